"""`make contracts`: keeps a schema and an example of every shape ever published, and the AsyncAPI document."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from contracts.envelope import Event
from contracts.topics import TOPICS, Topic

ROOT = Path(__file__).resolve().parents[2] / "contracts"
SCHEMAS = ROOT / "schemas"
EXAMPLES = ROOT / "examples"
ASYNCAPI = ROOT / "asyncapi.json"
_TIME = datetime(2026, 11, 11, 0, 0, 9, tzinfo=UTC)
_TEXTS = {
    "order_id": "own.demo.536365",
    "platform_order_id": "536365",
    "channel": "own",
    "shop_id": "demo",
    "sku": "85123A",
    "warehouse": "CD",
    "from_warehouse": "GZ",
    "to_warehouse": "CD",
    "task_id": "own.demo.536365/1",
    "parcel_id": "own.demo.536365/1",
    "currency": "CNY",
    "region": "华中",
    "province_code": "420000",
    "city_code": "420100",
    "district_code": "420111",
    "funder": "platform",
    "kind": "normal",
}


def schema_of(event: type[Event]) -> dict[str, Any]:
    """Return the JSON Schema of an event with its definitions inlined by name."""
    (schema,), definitions = msgspec.json.schema_components([event])
    name = schema["$ref"].rsplit("/", 1)[-1]
    body = dict(definitions.pop(name))
    if definitions:
        body["$defs"] = definitions
    found: dict[str, Any] = json.loads(
        json.dumps(body).replace("#/components/schemas/", "#/$defs/").replace("#/$defs/" + name, "#")
    )
    return found


def differences(old: dict[str, Any], new: dict[str, Any], path: str = "") -> list[str]:
    """Return what makes `new` incompatible with `old`, either way: only added optional properties are allowed."""
    if "$ref" in old or "$ref" in new:
        same = old.get("$ref") == new.get("$ref")
        return [] if same else [f"{path}: refers to {new.get('$ref')} instead of {old.get('$ref')}"]
    found = []
    for word in ("type", "format", "enum", "const", "items", "anyOf", "additionalProperties"):
        if (
            word in ("items", "additionalProperties")
            and isinstance(old.get(word), dict)
            and isinstance(new.get(word), dict)
        ):
            found += differences(old[word], new[word], f"{path}[]")
        elif old.get(word) != new.get(word):
            found.append(f"{path}: {word} was {old.get(word)}, is {new.get(word)}")
    before, after = old.get("properties", {}), new.get("properties", {})
    found += [f"{path}.{name}: is gone" for name in before if name not in after]
    for name in before.keys() & after.keys():
        found += differences(before[name], after[name], f"{path}.{name}")
    required_before, required_after = set(old.get("required", [])), set(new.get("required", []))
    found += [f"{path}.{name}: became required" for name in sorted(required_after - required_before)]
    found += [f"{path}.{name}: is no longer required" for name in sorted(required_before - required_after)]
    for name, definition in old.get("$defs", {}).items():
        found += differences(definition, new.get("$defs", {}).get(name, {}), f"{path}#{name}")
    return found


def example_of(struct: type[Any]) -> Any:
    """Return one value of a struct with every field filled, the same each time."""
    hints = get_type_hints(struct)
    return struct(**{name: _example(name, hints[name]) for name in struct.__struct_fields__})


def _example(name: str, annotation: Any) -> Any:
    arms: tuple[Any, ...] = getattr(annotation, "__args__", ())
    origin = getattr(annotation, "__origin__", None)
    if origin is list:
        return [_example(name, arms[0])]
    if origin is dict:
        return {"order.total": 51000}
    if type(None) in arms:
        return _example(name, next(arm for arm in arms if arm is not type(None)))
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return example_of(annotation)
    plain: dict[Any, Any] = {str: _TEXTS.get(name, name), int: 1, bool: True, datetime: _TIME}
    return plain[annotation]


def versions(folder: Path, event: type[Event]) -> list[Path]:
    """Return the kept files of an event, oldest first."""
    return sorted(folder.glob(f"{event.__name__}.v*.json"), key=lambda path: int(path.stem.rsplit(".v", 1)[1]))


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document of all topics."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for topic in TOPICS:
        names = [event.__name__ for event in topic.events]
        retention = {"retention.ms": topic.retention_ms, "cleanup.policy": ["delete"]}
        channels[topic.name] = {
            "address": topic.name,
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
            "bindings": {"kafka": {"topicConfiguration": retention}},
        }
        reference = {"$ref": f"#/channels/{topic.name}"}
        operations[f"{topic.writer}.sends.{topic.name}"] = {"action": "send", "channel": reference}
        for reader in topic.readers:
            operations[f"{reader}.receives.{topic.name}"] = {"action": "receive", "channel": reference}
        for event in topic.events:
            _, parts = msgspec.json.schema_components([event], ref_template="#/components/schemas/{name}")
            schemas.update(parts)
            messages[event.__name__] = {
                "name": event.__name__,
                "summary": (event.__doc__ or "").splitlines()[0],
                "contentType": "application/json",
                "bindings": {"kafka": {"key": {"type": "string", "description": event.partition_by}}},
                "payload": {"$ref": f"#/components/schemas/{event.__name__}"},
            }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Ordo", "version": "1", "description": "Everything the services say to each other."},
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }


def write_all() -> list[str]:
    """Write what is missing or changed; returns what cannot be written because it would break a reader."""
    refused: list[str] = []
    for topic, event in _events():
        folder = SCHEMAS / topic.name
        folder.mkdir(parents=True, exist_ok=True)
        kept = versions(folder, event)
        schema = schema_of(event)
        if kept and json.loads(kept[-1].read_text("utf-8")) == schema:
            continue
        broken = [
            f"{event.__name__}{d}" for path in kept for d in differences(json.loads(path.read_text("utf-8")), schema)
        ]
        if broken:
            refused += broken
            continue
        number = len(kept) + 1
        _write(folder / f"{event.__name__}.v{number}.json", schema)
        example = json.loads(msgspec.json.encode(example_of(event)))
        _write(EXAMPLES / topic.name / f"{event.__name__}.v{number}.json", example)
    _write(ASYNCAPI, asyncapi())
    return refused


def _events() -> list[tuple[Topic, type[Event]]]:
    seen: dict[type[Event], Topic] = {}
    for topic in TOPICS:
        for event in topic.events:
            seen.setdefault(event, topic)
    return [(topic, event) for event, topic in seen.items()]


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit("\n".join(write_all()) or 0)
