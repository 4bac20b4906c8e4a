"""The tower at rest shows one stage, however the five topics of an order interleave on their way to it."""

from contracts.envelope import Event
from contracts.topics import POSITION, TOPIC_OF
from modelcheck.deciding import Broken
from modelcheck.model import Model, Move

LAW = "the tower shows the same, however topics reach it"


def check_interleavings(model: Model, moves: list[Move], shown: int) -> int:
    """Let the tower read what a run wrote in every order of topics: it must end in `shown`, its state in that run.

    Returns how many states it passed.
    """
    logs: dict[str, list[int]] = {}
    for event in [*model.log, *[event for told in model.follow(moves) for event in told.events]]:
        message = model.alphabet.messages[event]
        assert isinstance(message, Event), "only events are published"
        logs.setdefault(TOPIC_OF[type(message)].name, []).append(event)
    topics = [logs[name] for name in sorted(logs, key=POSITION.__getitem__)]
    first = (model.tower.start, tuple(0 for _ in topics))
    todo, seen = [first], {first}
    ends: set[int] = set()
    while todo:
        local, places = todo.pop()
        if all(place == len(topic) for place, topic in zip(places, topics, strict=True)):
            ends.add(local)
        for n, topic in enumerate(topics):
            if places[n] < len(topic):
                after = model.tower.step(local, topic[places[n]]).local
                onward = (after, (*places[:n], places[n] + 1, *places[n + 1 :]))
                if onward not in seen:
                    seen.add(onward)
                    todo.append(onward)
    if ends != {shown}:
        raise Broken(LAW, f"{len(ends)} different ends")
    return len(seen)
