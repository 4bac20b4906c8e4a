"""Every connector against its double: each capability that it declares, and each quirk that its platform documents."""

import pytest

from libs.channels.registry import CHANNELS
from libs.channels.tests.conformance import checks_back, checks_calls, checks_in, checks_push
from libs.channels.tests.conformance.check import CHECKS
from libs.channels.tests.conformance.entries import ENTRIES

FAMILIES = (checks_calls, checks_in, checks_push, checks_back)
CASES = [
    pytest.param(entry, each, id=f"{entry.name}-{each.name}")
    for entry in ENTRIES
    for each in CHECKS.values()
    if each.applies(entry)
]


def test_every_channel_takes_part():
    assert {entry.name for entry in ENTRIES} == set(CHANNELS)
    assert all(entry.channel.capabilities.channel == entry.name for entry in ENTRIES)


def test_every_check_is_taken_by_somebody():
    assert len(FAMILIES) == 4
    assert all(any(each.applies(entry) for entry in ENTRIES) for each in CHECKS.values())


@pytest.mark.parametrize(("entry", "check"), CASES)
async def test_channel(open_stand, entry, check):
    await check.run(await open_stand(entry))
