"""Rules from outside run in a process of their own: what takes too much is refused, and nobody waits for it."""

import asyncio
import os

import pytest

from libs.rules import RuleFailed, RuleRefused, Vocabulary, defaults
from libs.rules.trial import ANSWER_LIMIT_BYTES, CPU_LIMIT_S, MEMORY_LIMIT_MIB, WAIT_LIMIT_S, tried

VOCABULARY = Vocabulary(neutral={"order": {"resolved": True, "total": 1}, "lines": [], "environment": len(os.environ)})
SHIPPED = {**defaults.read("risk"), "examples": [{"name": "nothing", "given": {}, "expect": {}}]}


def rules(*rows):
    """Rules of one expression node with these (key, expression)."""
    nodes = [
        {"id": "in", "type": "inputNode", "name": "request", "content": {}},
        {
            "id": "work",
            "type": "expressionNode",
            "name": "work",
            "content": {
                "expressions": [{"id": str(n), "key": key, "value": value} for n, (key, value) in enumerate(rows)]
            },
        },
        {"id": "out", "type": "outputNode", "name": "response", "content": {}},
    ]
    edges = [{"id": "1", "sourceId": "in", "targetId": "work"}, {"id": "2", "sourceId": "work", "targetId": "out"}]
    return {"jdm": {"nodes": nodes, "edges": edges}, "examples": SHIPPED["examples"]}


def doubled(first, step, times):
    """Rows that each are twice as large as the one before."""
    return [("z0", first), *((f"z{n}", step.format(before=f"$.z{n - 1}")) for n in range(1, times + 1))]


async def test_facts_are_completed_and_answered():
    content = rules(("total", "order.total"), ("resolved", "order.resolved"))
    assert await tried(__name__, content) == {"total": 1, "resolved": True}
    assert await tried(__name__, content, {"order": {"total": 7}}) == {"total": 7, "resolved": True}


async def test_what_is_screened_and_what_fails_is_told_apart():
    with pytest.raises(RuleRefused) as refused:
        await tried(__name__, rules(("x", "rand(2)"), ("y", "d()")))
    assert len(refused.value.reasons) == 2
    with pytest.raises(RuleFailed, match="node work"):
        await tried(__name__, rules(("x", "order.total * 2")), {"order": {"total": "a"}})
    with pytest.raises(RuleRefused, match="plain JSON"):
        await tried(__name__, rules(("x", "1")), {"order": "\ud800"})


@pytest.mark.parametrize(
    ("rows", "facts", "reason"),
    [
        ([("x", "len(filter(lines, some($root.lines, # == -1)))")], {"lines": list(range(30_000))}, f"{CPU_LIMIT_S} s"),
        (doubled("[1]", "flatMap({before}, [#, #])", 40), {}, f"{MEMORY_LIMIT_MIB} MiB"),
        (doubled("'xx'", "{before} + {before}", 60), {}, f"{MEMORY_LIMIT_MIB} MiB"),
        (doubled("'xx'", "{before} + {before}", 20), {}, f"the limit is {ANSWER_LIMIT_BYTES}"),
    ],
)
async def test_rules_without_end_are_refused_while_the_loop_goes_on(rows, facts, reason):
    late_s = []

    async def clock():
        loop = asyncio.get_running_loop()
        while True:
            before_s = loop.time()
            await asyncio.sleep(0.01)
            late_s.append(loop.time() - before_s)

    watching = asyncio.create_task(clock())
    with pytest.raises(RuleRefused, match=reason):
        await tried(__name__, rules(*rows), facts)
    watching.cancel()
    assert max(late_s) < CPU_LIMIT_S / 2
    assert await tried(__name__, rules(("x", "1"))) == {"x": 1}


async def test_rules_see_nothing_of_the_environment():
    assert await tried(__name__, rules(("seen", "environment"))) != {"seen": len(os.environ)}


async def test_trials_wait_for_one_another_and_not_for_ever(monkeypatch):
    content = rules(("x", "1"))
    assert await asyncio.gather(*(tried(__name__, content) for _ in range(3))) == [{"x": 1}] * 3
    monkeypatch.setattr("libs.rules.trial.WAIT_LIMIT_S", 0.001)
    with pytest.raises(RuleRefused, match=r"within 0\.001 s"):
        await tried(__name__, content)
    monkeypatch.setattr("libs.rules.trial.WAIT_LIMIT_S", WAIT_LIMIT_S)
    assert await tried(__name__, content) == {"x": 1}
