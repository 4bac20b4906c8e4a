"""The command line's `explain` says in one line what keeps it from telling."""

import pytest

from services.tower import app


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDO_KAFKA", "nowhere:1")
    monkeypatch.setenv("ORDO_POSTGRES", "postgresql://nobody@127.0.0.1:1/none")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "usage: python -m services.tower explain ORDER_ID"),
        (["own.demo.1"], 1, "explain: Postgres does not tell: "),
        (["own.demo.\udcff"], 2, "explain: an order's id is UTF-8 text, this one is not"),
    ],
)
def test_what_keeps_it_from_telling_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, said: str
) -> None:
    assert app.explain(arguments) == status
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(said)
    assert told.err.count("\n") == 1
