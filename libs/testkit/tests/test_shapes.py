"""Shapes are only ever added to: what is published is kept, what would break a reader is not written."""

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.envelope import Event, Part
from contracts.topics import TOPICS, Topic
from libs.testkit import shapes


class Line(Part, frozen=True, kw_only=True):
    sku: str
    quantity: int = 1


class Happened(Event, frozen=True, kw_only=True):
    """Something happened."""

    order_id: str
    at: datetime
    lines: list[Line] = []
    note: str | None = None
    counts: dict[str, int] = {}
    done: bool = False


def grown(**more: Any) -> type[Event]:
    """The same event with other fields; a name given as None is gone."""
    fields: dict[str, Any] = {
        "order_id": ("order_id", str),
        "at": ("at", datetime),
        "lines": ("lines", list[Line], []),
        "note": ("note", str | None, None),
        "counts": ("counts", dict[str, int], {}),
        "done": ("done", bool, False),
    } | more
    kept = [field for field in fields.values() if field is not None]
    made = msgspec.defstruct("Happened", kept, bases=(Event,), frozen=True, kw_only=True)
    made.__doc__ = Happened.__doc__
    return made


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of contracts with one topic of one event."""
    monkeypatch.setattr(shapes, "SCHEMAS", tmp_path / "schemas")
    monkeypatch.setattr(shapes, "EXAMPLES", tmp_path / "examples")
    monkeypatch.setattr(shapes, "ASYNCAPI", tmp_path / "asyncapi.json")
    publish(monkeypatch, Happened)
    return tmp_path


def publish(monkeypatch: pytest.MonkeyPatch, event: type[Event]) -> None:
    monkeypatch.setattr(shapes, "TOPICS", (Topic("ordo.trial.v1", "risk", ("tower",), (event,)),))


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.json"))


FIRST = ["examples/ordo.trial.v1/Happened.v1.json", "schemas/ordo.trial.v1/Happened.v1.json"]


def test_a_new_shape_is_kept_with_an_example_that_fits_it(kept: Path) -> None:
    assert shapes.write_all() == []
    assert names(kept) == ["asyncapi.json", *FIRST]
    example = json.loads((kept / FIRST[0]).read_text("utf-8"))
    assert set(example) == set(Happened.__struct_fields__), "every field is filled"
    assert example["lines"][0]["sku"] == "85123A"
    assert msgspec.convert(example, Happened, strict=True)


def test_nothing_changes_until_the_shape_does(kept: Path) -> None:
    shapes.write_all()
    before = {name: (kept / name).read_bytes() for name in names(kept)}
    assert shapes.write_all() == []
    assert {name: (kept / name).read_bytes() for name in names(kept)} == before


def test_a_grown_shape_is_a_second_version_beside_the_first(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes.write_all()
    first = (kept / FIRST[1]).read_bytes()
    publish(monkeypatch, grown(extra=("extra", str, "")))
    assert shapes.write_all() == []
    assert len(names(kept)) == 5
    assert (kept / FIRST[1]).read_bytes() == first
    assert "extra" in json.loads((kept / "schemas/ordo.trial.v1/Happened.v2.json").read_text("utf-8"))["properties"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"note": None}, ".note: is gone"),
        ({"done": ("done", int, 0)}, "type was boolean, is integer"),
        ({"order_id": ("order_id", int)}, "type was string"),
        ({"note": ("note", str)}, ".note"),
        ({"extra": ("extra", str)}, ".extra: became required"),
        ({"order_id": ("order_id", str, "")}, ".order_id: is no longer required"),
        ({"lines": ("lines", list[str], [])}, ".lines[]"),
        ({"counts": ("counts", dict[str, str], {})}, ".counts[]: type was integer"),
    ],
)
def test_what_would_break_a_reader_is_refused_and_not_written(
    kept: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], said: str
) -> None:
    shapes.write_all()
    publish(monkeypatch, grown(**more))
    refused = shapes.write_all()
    assert any(said in line for line in refused), refused
    assert names(kept) == ["asyncapi.json", *FIRST]


def test_a_change_inside_a_part_is_seen() -> None:
    old, new = shapes.schema_of(Happened), shapes.schema_of(Happened)
    del new["$defs"]["Line"]["properties"]["quantity"]
    assert shapes.differences(old, new) == ["#Line.quantity: is gone"]


def test_every_version_ever_kept_is_compared_not_only_the_last(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes.write_all()
    shutil.copy(kept / FIRST[1], kept / "schemas/ordo.trial.v1/Happened.v2.json")
    old = json.loads((kept / FIRST[1]).read_text("utf-8"))
    old["properties"]["ancient"] = {"type": "string"}
    (kept / FIRST[1]).write_text(json.dumps(old), "utf-8")
    publish(monkeypatch, grown(extra=("extra", str, "")))
    assert shapes.write_all() == ["Happened.ancient: is gone"]


def test_versions_are_counted_as_numbers(tmp_path: Path) -> None:
    for number in (1, 2, 9, 10, 11):
        (tmp_path / f"Happened.v{number}.json").write_text("{}")
    (tmp_path / "HappenedAgain.v1.json").write_text("{}")
    assert [path.stem for path in shapes.versions(tmp_path, Happened)] == [f"Happened.v{n}" for n in (1, 2, 9, 10, 11)]


def test_the_asyncapi_document_holds_together() -> None:
    document = shapes.asyncapi()
    assert document["asyncapi"] == "3.0.0"
    assert set(document["channels"]) == {topic.name for topic in TOPICS}
    sends = [o for o in document["operations"].values() if o["action"] == "send"]
    receives = [o for o in document["operations"].values() if o["action"] == "receive"]
    assert (len(sends), len(receives)) == (len(TOPICS), sum(len(topic.readers) for topic in TOPICS))

    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            inner = [found for value in part.values() for found in references(value)]
            return [part["$ref"], *inner] if isinstance(part.get("$ref"), str) else inner
        return [found for value in part for found in references(value)] if isinstance(part, list) else []

    for reference in references(document):
        target = document
        for step in reference.removeprefix("#/").split("/"):
            assert step in target, reference
            target = target[step]
