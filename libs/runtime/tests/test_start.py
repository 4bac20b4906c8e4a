"""Before anything runs: missing settings and unknown commands are named, tokens are issued, logs are JSON lines."""

import asyncio
import base64
import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from pydantic import Field

from libs.runtime.__main__ import main as issue
from libs.runtime.auth import Auth
from libs.runtime.main import main, read_settings
from libs.runtime.settings import ServiceSettings, sqlalchemy_url
from libs.vault import Forgotten, Vault, create_vault

SECRET = "a secret for tests only, long enough"
MASTER_KEY = base64.b64encode(b"a master key of thirty-two bytes").decode()
SEALED = (("demo", "2025-01"), ("demo", "2025-02"), ("other", "2025-01"))
NEEDED = {"ORDO_KAFKA": "kafka:9092", "ORDO_POSTGRES": "postgresql://u:p@db:5432/ordo"}


class Settings(ServiceSettings):
    model_config = ServiceSettings.prefixed("ORDO_TRIAL_")

    claim_limit_seconds: int = Field(default=900, ge=10)


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with nothing of ours in it but the two settings everybody needs."""
    for name in [name for name in os.environ if name.startswith("ORDO_")]:
        monkeypatch.delenv(name)
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def refusal(settings: type[ServiceSettings] = Settings) -> str:
    with pytest.raises(SystemExit) as caught:
        read_settings(settings)
    assert isinstance(caught.value.code, str), "a text: printed, and the status is 1"
    return caught.value.code


def test_shared_settings_come_from_ordo_and_a_services_own_from_its_prefix(env: pytest.MonkeyPatch) -> None:
    env.setenv("ORDO_LEASE_MS", "900")
    env.setenv("ORDO_TRIAL_CLAIM_LIMIT_SECONDS", "60")
    env.setenv("ORDO_CLAIM_LIMIT_SECONDS", "70")
    found = read_settings(Settings)
    assert (found.kafka, found.postgres, found.lease_ms) == ("kafka:9092", NEEDED["ORDO_POSTGRES"], 900)
    assert found.claim_limit_seconds == 60
    assert (found.host, found.port) == ("127.0.0.1", 0), "nobody is served but this machine unless told so"


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_setting_is_named(env: pytest.MonkeyPatch, name: str) -> None:
    env.delenv(name)
    assert name in refusal()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ORDO_PORT", "seventy"),
        ("ORDO_SHARD", "-1"),
        ("ORDO_SHARDS", "0"),
        ("ORDO_PARTITIONS", "0"),
        ("ORDO_BATCH_INPUTS", "0"),
        ("ORDO_QUEUE_COMMANDS", "0"),
        ("ORDO_RESTS", "-1"),
        ("ORDO_LEASE_MS", "499"),
    ],
)
def test_a_setting_out_of_bounds_is_named_and_not_repeated(env: pytest.MonkeyPatch, name: str, value: str) -> None:
    env.setenv(name, value)
    said = refusal()
    assert name in said
    assert f"input_value='{value}'" not in said


@pytest.mark.parametrize(("name", "value"), [("ORDO_SHARD", "1"), ("ORDO_SHARDS", "2")])
def test_a_shard_that_would_read_nothing_is_refused(env: pytest.MonkeyPatch, name: str, value: str) -> None:
    env.setenv(name, value)
    [told] = refusal().splitlines()[1:]
    assert told.startswith(f"  {name} "), "the sentence is about two settings, and begins with the one that is wrong"


def test_as_many_shards_as_partitions_are_taken(env: pytest.MonkeyPatch) -> None:
    for name, value in (("ORDO_SHARD", "1"), ("ORDO_SHARDS", "2"), ("ORDO_PARTITIONS", "2")):
        env.setenv(name, value)
    assert read_settings(Settings).shards == 2


def test_a_services_own_setting_out_of_bounds_is_named(env: pytest.MonkeyPatch) -> None:
    env.setenv("ORDO_TRIAL_CLAIM_LIMIT_SECONDS", "9")
    assert "claim_limit_seconds" in refusal().lower()


def test_settings_do_not_change_once_read(env: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="frozen"):
        read_settings(Settings).port = 1


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_the_same_dsn_serves_both_drivers(scheme: str) -> None:
    assert sqlalchemy_url(f"{scheme}://u:p@db:5432/ordo") == "postgresql+asyncpg://u:p@db:5432/ordo"


# -- commands --------------------------------------------------------------------------------------------------------


def never(settings: Settings) -> Any:
    raise AssertionError("nothing is built for this")


def command_line(env: pytest.MonkeyPatch, *words: str) -> None:
    env.setattr(sys, "argv", ["python -m services.trial", *words])


def test_an_unknown_command_is_answered_with_those_there_are(env: pytest.MonkeyPatch) -> None:
    command_line(env, "destroy")
    with pytest.raises(SystemExit) as caught:
        main(Settings, never, commands={"import": lambda words: 0})
    assert caught.value.code == "no command 'destroy': there are import, migrate, serve"


def test_a_services_own_command_gets_its_words_and_gives_the_status(env: pytest.MonkeyPatch) -> None:
    seen: list[Sequence[str]] = []

    def take(words: Sequence[str]) -> int:
        seen.append(words)
        return 3

    command_line(env, "import", "orders.csv", "--dry")
    with pytest.raises(SystemExit) as caught:
        main(Settings, never, commands={"import": take})
    assert caught.value.code == 3
    assert seen == [["orders.csv", "--dry"]]


def test_without_settings_nothing_starts(env: pytest.MonkeyPatch) -> None:
    env.delenv("ORDO_KAFKA")
    command_line(env)
    with pytest.raises(SystemExit, match="ORDO_KAFKA"):
        main(Settings, never)


# -- tokens ----------------------------------------------------------------------------------------------------------


def ask(env: pytest.MonkeyPatch, *words: str, secret: str = SECRET) -> int:
    env.setenv("ORDO_JWT_SECRET", secret)
    command_line(env, "token", *words)
    return issue()


async def test_the_command_line_issues_a_token_that_is_accepted(
    env: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--role", "picker", "--role", "sre", "--subject", "pda-7", "--warehouse", "CD", "--hours", "2"]
    assert ask(env, *words) == 0
    token = capsys.readouterr().out.strip()
    caller = await Auth(read_settings(Settings)).caller(token)
    assert (caller.subject, caller.roles, caller.warehouse) == ("pda-7", {"picker", "sre"}, "CD")
    ends = jwt.decode(token, options={"verify_signature": False})["exp"]
    assert 7_190 < ends - datetime.now(UTC).timestamp() <= 7_200


@pytest.mark.parametrize(
    ("words", "secret", "said"),
    [
        (["--subject", "x", "--role", "picker"], SECRET, "warehouse"),
        (["--subject", "x", "--role", "emperor"], SECRET, "emperor"),
        (["--subject", "x"], SECRET, "--role"),
        (["--role", "sre"], SECRET, "--subject"),
        (["--subject", "x", "--role", "sre", "--hours", "0"], SECRET, "--hours"),
        (["--subject", "x", "--role", "sre", "--hours", "721"], SECRET, "--hours"),
        (["--subject", "x", "--role", "sre", "--hours", "nan"], SECRET, "--hours"),
        (["--subject", "x", "--role", "sre"], "", "ORDO_JWT_SECRET"),
    ],
)
def test_the_command_line_says_why_it_issues_none(
    env: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], secret: str, said: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        ask(env, *words, secret=secret)
    printed = capsys.readouterr()
    assert caught.value.code == 2
    assert said in printed.err
    assert printed.out == ""


def test_the_module_is_the_command(env: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    env.setenv("ORDO_JWT_SECRET", SECRET)
    command_line(env, "token", "--role", "sre", "--subject", "x")
    with pytest.raises(SystemExit) as caught, pytest.warns(RuntimeWarning, match="libs.runtime.__main__"):
        runpy.run_module("libs.runtime", run_name="__main__")
    assert caught.value.code == 0
    assert capsys.readouterr().out.count(".") == 2


# -- a month that is to be forgotten ---------------------------------------------------------------------------------


def erase(env: pytest.MonkeyPatch, shop: str, month: str, **given: str) -> int:
    env.setenv("ORDO_MASTER_KEY", MASTER_KEY)
    for name, value in given.items():
        env.setenv(name, value)
    command_line(env, "erase", "--shop", shop, "--month", month)
    return issue()


@pytest.mark.parametrize(
    ("month", "given", "said"),
    [
        ("2025-13", {}, "--month 2025-13: must be YYYY-MM"),
        ("2025-1", {}, "--month 2025-1: must be YYYY-MM"),
        (f"{datetime.now(UTC):%Y-%m}", {}, "is not over"),
        ("9999-01", {}, "is not over"),
        ("2025-01", {"ORDO_MASTER_KEY": ""}, "ORDO_MASTER_KEY must be set"),
        ("2025-01", {"ORDO_MASTER_KEY": "c2hvcnQ="}, "ORDO_MASTER_KEY must be 32 bytes"),
        ("2025-01", {"ORDO_POSTGRES": ""}, "ORDO_POSTGRES and"),
    ],
)
def test_what_cannot_be_erased_is_refused_before_anything_is_asked(
    env: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], month: str, given: dict[str, str], said: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        erase(env, "demo", month, **given)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_a_key_table_that_is_away_erases_nothing(env: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert erase(env, "demo", "2025-01", ORDO_POSTGRES="postgresql://nobody@127.0.0.1:1/none") == 2
    assert "does not answer" in capsys.readouterr().err


@pytest.mark.postgres
def test_a_database_without_a_key_table_is_named_and_is_no_erased_month(
    env: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database: str
) -> None:
    assert erase(env, "demo", "2025-01", ORDO_POSTGRES=database) == 2
    assert "UndefinedTableError" in capsys.readouterr().err
    stranger = re.sub(r"://[^@]*@", "://stranger:wrong@", database)
    assert erase(env, "demo", "2025-01", ORDO_POSTGRES=stranger) == 2
    assert "InvalidPasswordError" in capsys.readouterr().err


@pytest.mark.postgres
def test_an_erased_month_opens_nowhere_and_the_others_stay(
    env: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database: str
) -> None:
    async def seal() -> list[str]:
        await create_vault(database)
        vault = Vault(database, MASTER_KEY)
        try:
            return [await vault.seal(shop, month, b"clear") for shop, month in SEALED]
        finally:
            await vault.close()

    async def open_again(texts: list[str]) -> list[bytes | None]:
        vault = Vault(database, MASTER_KEY)
        found: list[bytes | None] = []
        try:
            for text in texts:
                try:
                    found.append(await vault.open(text))
                except Forgotten:
                    found.append(None)
            return found
        finally:
            await vault.close()

    texts = asyncio.run(seal())
    assert erase(env, "demo", "2025-01", ORDO_POSTGRES=database) == 0
    assert "erased" in capsys.readouterr().out
    assert asyncio.run(open_again(texts)) == [None, b"clear", b"clear"]
    assert erase(env, "demo", "2025-01", ORDO_POSTGRES=database) == 1
    assert "erased before" in capsys.readouterr().out


# -- logs ------------------------------------------------------------------------------------------------------------

TALK = """
import logging, structlog
from libs.runtime.logging import configure_logging
configure_logging("info")
line = structlog.get_logger().bind(service="risk")
line.debug("unheard")
line.info("outward call", reason="驿站", attempt=2)
structlog.contextvars.bind_contextvars(request="r1")
line.warning("two\\nlines")
try:
    raise ValueError("broken")
except ValueError:
    line.exception("caught")
logging.getLogger("httpx").info("https://provider.example/send?phone=13800000000")
logging.getLogger("aiokafka.conn").error("connection lost")
logging.getLogger("somebody").warning("a line of another library")
"""


def test_each_log_line_is_one_json_object() -> None:
    done = subprocess.run([sys.executable, "-c", TALK], capture_output=True, text=True, timeout=30, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["outward call", "two\nlines", "caught", "somebody"]
    first, second, third, _ = lines
    assert (first["level"], first["service"], first["reason"], first["attempt"]) == ("info", "risk", "驿站", 2)
    assert "驿站" in done.stdout, "people read it too"
    assert datetime.fromisoformat(first["timestamp"]).tzinfo is not None
    assert second["request"] == "r1"
    assert "ValueError: broken" in third["exception"]
    assert "13800000000" not in done.stdout + done.stderr


@pytest.mark.parametrize(("level", "heard"), [("WARNING", 1), ("debug", 3), ("nonsense", 2)])
def test_the_level_decides_what_is_heard(level: str, heard: int) -> None:
    talk = f"""
import structlog
from libs.runtime.logging import configure_logging
configure_logging({level!r})
for name in ("debug", "info", "error"):
    getattr(structlog.get_logger(), name)(name)
"""
    done = subprocess.run([sys.executable, "-c", talk], capture_output=True, text=True, timeout=30, check=True)
    assert len(done.stdout.splitlines()) == heard
