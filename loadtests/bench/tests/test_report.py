"""A figure is judged the right way round, and the guard bites."""

import json
from pathlib import Path

import msgspec

from libs.channels.own.inbound import parse
from libs.channels.own.signing import key_of_secret, read_headers, secret_of_key, verify
from loadtests.bench import report
from loadtests.bench.floor import STAGES, Shape, as_spec
from loadtests.bench.orders import Messages, goods, signed


def test_more_is_better_only_where_it_is() -> None:
    assert report.met(3_000, 3_000, more_is_better=True)
    assert not report.met(2_999, 3_000, more_is_better=True)
    assert report.met(2.0, 2.0, more_is_better=False)
    assert not report.met(2.1, 2.0, more_is_better=False)


def test_every_goal_is_a_figure_that_a_whole_run_takes() -> None:
    found: dict[str, object] = {"webhook": {"held_per_s": 5}}
    assert report.figure(found, "webhook.held_per_s") == 5
    assert report.figure(found, "webhook.at_500_per_s.answer_ms.p99") is None


def test_the_guard_complains_from_fifteen_percent_on() -> None:
    kept = {"ratio": {"cpu": 2.0}}
    assert report.worse({"ratio": {"cpu": 2.3}}, kept) == ""
    assert "more than 15%" in report.worse({"ratio": {"cpu": 2.31}}, kept)


def test_the_messages_sent_are_real_orders_under_new_names(tmp_path: Path) -> None:
    messages = Messages(goods(), "t")
    first, again = parse(messages.body(0)), parse(messages.body(len(goods().orders)))
    assert (first.platform_order_id, again.platform_order_id) == ("t-0", f"t-{len(goods().orders)}")
    assert first.lines == again.lines
    assert len(messages.batch(0, 3).split(b"\n")) == 3


def test_they_are_signed_as_a_shop_would() -> None:
    secret = secret_of_key(b"k" * 24)
    headers = [(name.encode(), value.encode()) for name, value in signed(secret, "m-1", b"{}").items()]
    read = read_headers(headers)
    verify([key_of_secret(secret)], read, b"{}", float(read.timestamp))


def test_the_bare_chain_is_told_every_stage() -> None:
    shape = Shape(1.5, 100, 0.5, {"orders": (1.0, 500)})
    spec = json.loads(as_spec(dict.fromkeys(STAGES, shape), orders=10, batch=5, partitions=1, number=0))
    assert (spec["orders"], spec["batch"], spec["partitions"], spec["number"]) == (10, 5, 1, 0)
    assert msgspec.convert(spec["shapes"]["risk"]["records"], dict[str, tuple[float, int]]) == {"orders": (1.0, 500)}
