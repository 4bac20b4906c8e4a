"""What notification decides, by table and by random digests."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.decide import State
from services.notification import domain
from services.notification.domain import DigestLimits, Lines

NOW = datetime(2026, 11, 11, 2, 0, tzinfo=UTC)


def command(name: str, text: str) -> domain.SetTemplate:
    return domain.SetTemplate(name=name, text=text, provider_code="", by="ops")


@pytest.mark.parametrize(
    ("name", "text", "status"),
    [
        ("parcel_shipped", "单号${waybill}", 200),
        ("parcel_shipped", "no variables at all", 200),
        ("parcel_shipped", "收件人${name}", 422),
        ("parcel_shipped", "单号${waybill", 422),
        ("parcel_shipped", "单号${}", 422),
        ("parcel_shipped", "单号${Waybill}", 422),
        ("order_held", "${order_id} ${reasons}", 200),
        ("order_held", "${waybill}", 422),
        ("nobody", "text", 404),
    ],
)
def test_a_wording_names_only_what_its_notice_knows(name: str, text: str, status: int) -> None:
    state = State()
    state.fill(domain.Template, [(name,)], [])
    [reply] = domain.set_template(command(name, text), state, NOW)
    assert reply.status == status
    if status == 422:
        assert reply.body["field"] == "text"


def test_versions_count_changes_only() -> None:
    state = State()
    state.fill(domain.Template, [("parcel_shipped",)], [])
    versions = [
        domain.set_template(command("parcel_shipped", text), state, NOW)[0].body["version"]
        for text in ("a", "a", "b", "a")
    ]
    assert versions == [1, 1, 2, 3]
    [(_, entries)] = list(state.appended())
    assert [entry.version for entry in entries] == [1, 2, 3]


def test_every_default_wording_would_be_accepted() -> None:
    for name, template in domain.DEFAULTS.items():
        assert domain.placeholders(template.text) == domain.VARIABLES[name]


LINES = st.builds(
    lambda first, more: Lines(count=len(first) + more, first=first),
    st.lists(st.text(alphabet="abc 订单库存", max_size=90), max_size=20),
    st.integers(0, 10_000),
)


@given(st.dictionaries(st.sampled_from(sorted(domain.HEADINGS)), LINES, min_size=1), st.integers(1_000, 19_500))
def test_a_digest_never_passes_its_limit_and_counts_everything(pending: dict[str, Lines], limit_bytes: int) -> None:
    text = domain.digest_text(pending, limit_bytes)
    assert len(text.encode()) <= limit_bytes
    sections = text.split("\n\n")
    assert len(sections) == len(pending)
    kinds = [kind for kind in domain.HEADINGS if kind in pending]
    for kind, section in zip(kinds, sections, strict=True):
        heading, *shown = section.split("\n")
        assert heading == f"#### {domain.HEADINGS[kind]}：{pending[kind].count}"
        rest = 0
        if shown and shown[-1].startswith("- 另有 "):
            rest = int(shown.pop().split(" ")[2])
        assert len(shown) + rest == pending[kind].count


@given(st.text(max_size=200), st.integers(4, 300))
def test_clipped_text_fits_and_is_whole_characters(text: str, limit_bytes: int) -> None:
    cut = domain.clipped(text, limit_bytes)
    assert len(cut.encode()) <= limit_bytes
    assert text.startswith(cut.removesuffix("…"))


def test_limits_keep_the_robot_under_twenty_messages_a_minute() -> None:
    assert 60_000 / DigestLimits().interval_ms + 1 < 20
    assert timedelta(milliseconds=DigestLimits().interval_ms) == timedelta(seconds=5)
