"""Rules as data: what is taken, what is refused and why, and that evaluation is repeatable."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.rules import Graph, RuleFailed, RuleRefused, Vocabulary, compile_graph, digest, graph_of
from libs.rules.proof import differs
from libs.rules.tokens import calls, depth, looped_range, paths


def graph(expression="order.total > parameters.limit", cell="above", node="expressionNode", **content):
    """A graph of one expression node and one table."""
    jdm = {
        "nodes": [
            {"id": "in", "type": "inputNode", "name": "request", "content": {"schema": ""}},
            {
                "id": "work",
                "type": node,
                "name": "work",
                "content": {
                    "expressions": [{"id": "1", "key": "above", "value": expression}],
                    "passThrough": True,
                    **content,
                },
            },
            {
                "id": "table",
                "type": "decisionTableNode",
                "name": "table",
                "content": {
                    "hitPolicy": "collect",
                    "inputs": [{"id": "c", "name": "when", "field": ""}],
                    "outputs": [{"id": "o", "name": "rule", "field": "rule"}],
                    "rules": [{"_id": "r", "c": cell, "o": '"above"'}],
                    "outputPath": "findings",
                },
            },
            {"id": "out", "type": "outputNode", "name": "response", "content": {}},
        ],
        "edges": [
            {"id": "1", "sourceId": "in", "targetId": "work"},
            {"id": "2", "sourceId": "work", "targetId": "table"},
            {"id": "3", "sourceId": "table", "targetId": "out"},
        ],
    }
    examples = [{"name": "above", "given": {"order": {"total": 11}}, "expect": {"findings": [{"rule": "above"}]}}]
    return {"jdm": jdm, "examples": examples, "parameters": {"limit": 10}}


WORDS = Vocabulary(names=("order.total", "lines[].sku"), neutral={"order": {"total": 0}})


def reasons(content, vocabulary=WORDS):
    with pytest.raises(RuleRefused) as refused:
        compile_graph(content, 1, vocabulary)
    return refused.value.reasons


def test_rules_are_evaluated_with_their_parameters():
    rules = compile_graph(graph(), 7, WORDS)
    assert rules.version == 7
    assert rules.evaluate({"order": {"total": 11}}) == {"findings": [{"rule": "above"}]}
    assert rules.evaluate({"order": {"total": 10}}) == {"findings": []}
    changed = graph()
    changed["parameters"]["limit"] = 9
    assert compile_graph(changed, 8, WORDS).evaluate({"order": {"total": 10}}) == {"findings": [{"rule": "above"}]}


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("rand(10) > 5", "random"),
        ("rand (10) > 5", "random"),
        ("`${rand(10)}` == 'x'", "random"),
        ('contains(`${"}" + string(rand(1000))}`, "5")', "random"),
        ("`${'`' + string(rand(10))}` == 'x'", "random"),
        ("`${'}' + string(date('now'))}` != ''", "clock"),
        ("d().year() > 2020", "clock"),
        ("d(order.total).isToday()", "clock"),
        ("date('now') > 1", "clock"),
        ("time('now') > 1", "clock"),
        ("year('now') > 1", "clock"),
        ("order.total > startOf('now', 'day')", "clock"),
        ("len(keys(order)) > 1", "no fixed order"),
        ("len(map([1..1000000000], #)) > 1", "range"),
        ("order.total >", "parserError"),
        ("unknownFunction(1)", "parserError"),
        ("order.totl > 1", "there is no fact `order.totl`"),
        ("parameters.limmit > 1", "there is no fact `parameters.limmit`"),
    ],
)
def test_an_expression_that_is_not_pure_known_or_sound_is_refused(expression, word):
    assert any(word in reason for reason in reasons(graph(expression))), reasons(graph(expression))


def test_tables_switches_and_input_fields_are_screened_too():
    assert any("random" in reason for reason in reasons(graph(cell="rand(3) > 1")))
    assert any("clock" in reason for reason in reasons(graph(inputField="d()")))
    assert any(
        "random" in r for r in reasons(graph(node="switchNode", statements=[{"id": "s", "condition": "rand(1)"}]))
    )


@pytest.mark.parametrize("node", ["functionNode", "customNode", "decisionNode", "httpNode", None])
def test_nodes_that_reach_outside_are_refused(node):
    assert any("is not allowed" in reason for reason in reasons(graph(node=node)))


def test_a_schema_may_not_fetch_another():
    content = graph()
    content["jdm"]["nodes"][0]["content"]["schema"] = '{"properties": {"a": {"$ref": "https://elsewhere/x.json"}}}'
    assert any("refer only to itself" in reason for reason in reasons(content))


def test_examples_must_exist_and_hold():
    content = graph()
    content["examples"][0]["expect"] = {"findings": []}
    assert reasons(content) == ["example `above`: findings has 1 items, expected 0"]
    content["examples"] = []
    assert reasons(content) == ["give at least one example: {name, given, expect}"]
    content["examples"] = [{"name": "x", "given": {}, "expect": {}, "expected": 1}]
    assert "must be an object with" in reasons(content)[0]


def test_the_service_may_check_every_answer():
    words = Vocabulary(WORDS.names, WORDS.neutral, lambda answer: ["no"] if answer["findings"] else [])
    assert reasons(graph(), words) == ["example `above`: no"]


@pytest.mark.parametrize(
    "content",
    [None, [], {}, {"jdm": 1}, {"jdm": {}}, {"jdm": {"nodes": [], "edges": []}}, {"jdm": {"nodes": [1], "edges": []}}],
)
def test_shapeless_content_is_refused_not_raised(content):
    assert reasons(content)


def test_a_graph_without_a_way_to_its_end_or_with_a_circle_is_refused():
    content = graph()
    content["jdm"]["edges"].append({"id": "4", "sourceId": "table", "targetId": "work"})
    assert reasons(content)
    content = graph()
    content["jdm"]["nodes"][1]["content"]["expressions"] = "x"
    assert reasons(content) == ["node `work`: content is not as the JDM format has it"]


def test_parameters_are_plain_values():
    content = graph()
    content["parameters"] = {"limit": {"a": 1}}
    assert "parameter `limit`" in reasons(content)[0]


def test_a_failing_rule_is_one_short_sentence_without_addresses():
    rules = Graph(graph())
    with pytest.raises(RuleFailed) as failed:
        rules.evaluate({"order": {"total": "secret"}})
    assert str(failed.value) == 'node work: Failed to evaluate expression: "order.total > parameters.limit"'


def test_content_that_no_longer_compiles_fails_instead_of_raising_something_else():
    with pytest.raises(RuleFailed):
        Graph({"jdm": {"nodes": []}})
    with pytest.raises(RuleFailed):
        Graph({})


def test_a_graph_is_compiled_once_a_process():
    content = graph()
    name = digest(content)
    assert graph_of(content, 1, name) is graph_of(copy.deepcopy(content), 1, name)
    assert digest(dict(reversed(content.items()))) == name
    assert digest({**content, "parameters": {"limit": 11}}) != name
    for version in range(2, 40):
        assert graph_of(content, version, name).version == version


@given(st.integers(-(2**53), 2**53))
def test_the_same_facts_give_the_same_answer(total):
    rules = graph_of(graph(), 1, digest(graph()))
    facts = {"order": {"total": total}}
    assert rules.evaluate(facts) == rules.evaluate(facts) == {"findings": [{"rule": "above"}] * (total > 10)}


def test_tokens_see_calls_and_paths_but_not_texts():
    assert calls("'rand(1)' + \"d()\" + upper(a.b) + x.isToday()") == ["upper", ".isToday"]
    assert calls("`rand(1) ${len(a)} d()`") == ["len"]
    assert calls("`${a` + rand(3) + `}`") == ["rand"]
    assert calls("`${'}' + len(a) + \"`\"} rand(1) ${'${'} d()` + upper(a)") == ["len", "upper"]
    found = paths("order.total > parameters.x and lines[0].sku == a.b.c")
    assert [path for path in found if len(path) > 1] == [("order", "total"), ("parameters", "x"), ("a", "b", "c")]
    assert looped_range("a in [1..5]", unary=False) is None
    assert looped_range("[1..5]", unary=True) is None
    assert looped_range("map([1..5], #)", unary=False) is not None


def test_depth_counts_brackets_but_not_those_in_texts():
    assert depth("a[0] + max([(1), {b: [2]}])") == 4
    assert depth("']]]]' + [[ `((( ${[1]}` ]") == 4


def test_brackets_too_deep_for_the_engine_are_refused():
    for deep in ("[" * 40_000 + "]" * 40_000, "[" * 65 + "'" + "]" * 65 + "'" + "]" * 65):
        (reason,) = reasons(graph(deep))
        assert reason.endswith("brackets stand more than 64 deep in one another")
    compile_graph(graph("(" * 64 + "order.total > parameters.limit" + ")" * 64), 7, WORDS)


def test_differs_names_the_place():
    assert differs({"a": {"b": 1}}, {"a": {"b": 1.0, "c": 2}}) == ""
    assert differs({"a": [1, 2]}, {"a": [1, 3]}) == "a[1] is 3, expected 2"
    assert differs({"a": True}, {"a": 1}) == "a is 1, expected True"
    assert differs({"a": None}, {}) == ""
