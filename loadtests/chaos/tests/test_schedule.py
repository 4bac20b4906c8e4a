"""The schedule: a seed tells everything, every kind comes often enough, and what was not hit is said."""

from collections import Counter
from itertools import islice

from loadtests.chaos.schedule import HITS_OF_A_KIND, KINDS, LEASE_S, STOP, TARGETS, faults, missing, points


def hits(count: int, seed: int = 7) -> Counter[str]:
    return Counter(fault.point for fault in islice(faults(seed), count))


def test_a_seed_tells_everything() -> None:
    assert list(islice(faults(11), 200)) == list(islice(faults(11), 200))
    assert list(islice(faults(11), 200)) != list(islice(faults(12), 200))


def test_one_of_each_kind_comes_first_then_five_then_every_point() -> None:
    for seed in range(50):
        assert not missing(hits(len(KINDS), seed), minutes=1)
        kinds = Counter(fault.kind for fault in islice(faults(seed), len(KINDS) * HITS_OF_A_KIND))
        assert kinds == dict.fromkeys(KINDS, HITS_OF_A_KIND)
        assert not missing(hits(len(KINDS) * HITS_OF_A_KIND, seed), minutes=5)
        everything = sum(max(HITS_OF_A_KIND, len(TARGETS[kind])) for kind in KINDS)
        assert not missing(hits(everything, seed), minutes=10)


def test_what_was_not_hit_is_said() -> None:
    assert missing({}, minutes=1, kinds=["kill"]) == ["kill: 0 of 1"]
    assert missing({}, minutes=5, kinds=["disk full kafka"]) == ["disk full kafka: 0 of 5"]
    seen = dict.fromkeys(points(["kill"]), 2)
    del seen["kill risk"]
    assert missing(seen, minutes=5, kinds=["kill"]) == []
    assert missing(seen, minutes=10, kinds=["kill"]) == ["kill risk: never"]


def test_nobody_sleeps_longer_than_two_leases() -> None:
    assert all(fault.hold_s <= 2 * LEASE_S for fault in islice(faults(3), 500) if fault.kind == STOP)


def test_only_what_was_asked_for_comes() -> None:
    assert {fault.kind for fault in islice(faults(1, ["kill", "clock"]), 100)} == {"kill", "clock"}
