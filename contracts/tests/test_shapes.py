"""A published shape only grows: every schema and example ever kept still fits the models of today."""

import json
from typing import Any

import msgspec
import pytest

from contracts.envelope import Event
from contracts.topics import EVENT_TYPES, SERVICES, TOPICS, topic_of
from libs.testkit import shapes

EVENTS = [pytest.param(topic, event, id=f"{topic.name}/{event.__name__}") for topic, event in shapes._events()]


@pytest.mark.parametrize(("topic", "event"), EVENTS)
def test_the_newest_schema_is_kept_and_every_older_one_is_compatible(topic: Any, event: type[Event]) -> None:
    kept = [json.loads(path.read_text("utf-8")) for path in shapes.versions(shapes.SCHEMAS / topic.name, event)]
    now = shapes.schema_of(event)
    assert kept, "run `make contracts`"
    assert kept[-1] == now, "the shape changed: run `make contracts`"
    for old in kept:
        assert shapes.differences(old, now) == []


@pytest.mark.parametrize(("topic", "event"), EVENTS)
def test_every_example_ever_kept_is_read_without_loss(topic: Any, event: type[Event]) -> None:
    kept = shapes.versions(shapes.EXAMPLES / topic.name, event)
    assert len(kept) == len(shapes.versions(shapes.SCHEMAS / topic.name, event))
    for path in kept:
        raw = json.loads(path.read_text("utf-8"))
        assert json.loads(msgspec.json.encode(msgspec.convert(raw, event))) == raw


@pytest.mark.parametrize(("topic", "event"), EVENTS)
def test_readers_ignore_unknown_fields_and_writers_refuse_them(topic: Any, event: type[Event]) -> None:
    raw = json.loads(msgspec.json.encode(shapes.example_of(event)))
    assert msgspec.convert({**raw, "field_of_tomorrow": 1}, event) == msgspec.convert(raw, event)
    with pytest.raises(TypeError):
        event(**dict.fromkeys(event.__struct_fields__), field_of_tomorrow=1)


def test_no_schema_of_a_shape_that_is_gone() -> None:
    named = {path.name.split(".v")[0] for path in shapes.SCHEMAS.glob("*/*.json")}
    assert named == set(EVENT_TYPES)


def test_the_asyncapi_document_is_current() -> None:
    assert json.loads(shapes.ASYNCAPI.read_text("utf-8")) == shapes.asyncapi(), "run `make contracts`"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s["properties"].pop("sku"), "is gone"),
        (lambda s: s["properties"]["cost"].update(anyOf=[{"type": "string"}]), "anyOf"),
        (lambda s: s["properties"]["sku"].update(type="integer"), "type was"),
        (lambda s: s["required"].append("title"), "became required"),
        (lambda s: s["required"].remove("sku"), "no longer required"),
    ],
)
def test_the_gate_sees_each_way_to_break_a_reader(change: Any, said: str) -> None:
    old, new = shapes.schema_of(EVENT_TYPES["SkuDefined"]), shapes.schema_of(EVENT_TYPES["SkuDefined"])
    change(new)
    assert any(said in difference for difference in shapes.differences(old, new))


def test_an_added_optional_field_is_fine() -> None:
    old, new = shapes.schema_of(EVENT_TYPES["SkuDefined"]), shapes.schema_of(EVENT_TYPES["SkuDefined"])
    new["properties"]["colour"] = {"type": "string", "default": ""}
    assert shapes.differences(old, new) == []


def test_each_topic_has_one_writer_and_known_readers() -> None:
    for topic in TOPICS:
        assert topic.writer in SERVICES
        assert set(topic.readers) <= set(SERVICES)
        assert topic.writer not in topic.readers
        for event in topic.events:
            assert topic_of(event, topic.writer) is topic
