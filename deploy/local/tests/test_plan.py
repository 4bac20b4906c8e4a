"""The stack as data: addresses, secrets, environments and the files that carry them."""

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from deploy.local.health import _understood
from deploy.local.layout import SERVICES, Layout, Ports, WrongSetting, make_folders, ports_from
from deploy.local.logs import _show_added, log_names
from deploy.local.plan import (
    Servers,
    choose_servers,
    env_file_text,
    plan_from_json,
    stack_environment,
    stack_plan,
)
from deploy.local.secret_files import ensure_secrets
from deploy.local.supervisor import LOG_FILES_LIMIT, rotate_log

PORTS = Ports(7400)
OWN_URL = "postgresql://ordo:secret@127.0.0.1:7410/ordo"
OWN = Servers("127.0.0.1:7411", OWN_URL, True, True)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / ".ordo")
    make_folders(made)
    return made


def test_ports_follow_the_base() -> None:
    assert ports_from({}) == PORTS
    assert ports_from({"ORDO_PORT_BASE": "9000"}).of_service("tower") == 9007
    for wrong in ("-1", "80", "70000", "x"):
        with pytest.raises(WrongSetting, match="ORDO_PORT_BASE"):
            ports_from({"ORDO_PORT_BASE": wrong})


def test_the_whole_stack(layout: Layout) -> None:
    plan = stack_plan(layout, PORTS, OWN)
    assert [child.name for child in plan.children] == ["postgres", "kafka", "migrate", *SERVICES]
    assert plan_from_json(plan.to_json()) == plan
    by_name = {child.name: child for child in plan.children}
    assert by_name["migrate"].after == ("postgres",), "it waits for Kafka itself"
    assert by_name["risk"].env == {"ORDO_PORT": "7404"}
    assert by_name["risk"].stop_stage < by_name["kafka"].stop_stage < by_name["postgres"].stop_stage
    assert "secret" not in plan.to_json()


def test_one_process_for_all_services(layout: Layout) -> None:
    plan = stack_plan(layout, PORTS, OWN, "all")
    assert [child.name for child in plan.children] == ["postgres", "kafka", "migrate", "services"]
    assert set(plan.children[-1].health) == set(SERVICES)


def test_servers_set_beforehand_are_used_and_none_is_started(layout: Layout) -> None:
    environ = {"ORDO_KAFKA": "kafka.example:9092", "ORDO_POSTGRES": "postgresql://db.example/ordo"}
    servers = choose_servers(environ, PORTS, OWN_URL)
    assert servers == Servers("kafka.example:9092", "postgresql://db.example/ordo", False, False)
    assert [child.name for child in stack_plan(layout, PORTS, servers).children] == ["migrate", *SERVICES]
    assert stack_plan(layout, PORTS, servers).children[0].after == ()


def test_our_own_addresses_set_again_by_local_env_stay_our_own() -> None:
    assert choose_servers({}, PORTS, OWN_URL) == OWN
    stale = {"ORDO_KAFKA": OWN.kafka, "ORDO_POSTGRES": OWN_URL.replace("secret", "older")}
    assert choose_servers(stale, PORTS, OWN_URL) == OWN


def test_every_program_gets_addresses_secrets_and_the_users_settings(layout: Layout) -> None:
    secrets = ensure_secrets(layout, {})
    environment = stack_environment({"ORDO_BATCH_LIMIT": "7", "PATH": "/bin"}, PORTS, OWN, secrets)
    assert environment["ORDO_BATCH_LIMIT"] == "7"
    assert environment["ORDO_PORT_TOWER"] == "7407"
    assert environment["ORDO_URL_INGESTION"] == "http://127.0.0.1:7401"
    lines = dict(line.split("=", 1) for line in env_file_text(environment, secrets).splitlines())
    assert lines["ORDO_POSTGRES"] == OWN_URL
    assert {f"ORDO_URL_{service.upper()}" for service in SERVICES} < set(lines)
    assert {name: lines[name] for name in secrets} == secrets


def test_secrets_are_made_once_for_their_owner_alone(layout: Layout) -> None:
    secrets = ensure_secrets(layout, {})
    assert ensure_secrets(layout, {}) == secrets
    assert len(base64.b64decode(secrets["ORDO_MASTER_KEY"])) == 32
    assert 24 <= len(base64.b64decode(secrets["ORDO_OWN_DEMO_SECRET"].removeprefix("whsec_"))) <= 64
    for path in layout.secrets.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    assert ensure_secrets(layout, {"ORDO_JWT_SECRET": "mine"})["ORDO_JWT_SECRET"] == "mine"
    assert ensure_secrets(layout, {}) == secrets


def test_a_log_that_grew_too_long_is_rotated_under_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    with path.open("ab", buffering=0) as writer:
        for generation in range(LOG_FILES_LIMIT + 2):
            writer.write(f"{generation}".encode() * 200)
            rotate_log(path, limit_bytes=100)
            assert path.stat().st_size == 0
        writer.write(b"short")
    rotate_log(path, limit_bytes=100)
    assert path.read_bytes() == b"short"
    kept = sorted(each.name for each in tmp_path.iterdir())
    assert kept == ["a.log", *(f"a.log.{number}" for number in range(1, LOG_FILES_LIMIT + 1))]
    assert (tmp_path / "a.log.1").read_text().startswith("4")
    rotate_log(tmp_path / "none.log")


def test_following_a_log_shows_whole_lines_and_survives_rotation(layout: Layout) -> None:
    path = layout.log_of("a")
    path.write_text("one\ntw")
    shown: list[str] = []
    at = _show_added(path, 0, "a: ", shown.append)
    path.write_text("one\ntwo\n")
    at = _show_added(path, at, "a: ", shown.append)
    path.write_text("new\n")
    _show_added(path, at, "a: ", shown.append)
    assert shown == ["a: one", "a: two", "a: new"]
    assert log_names(layout) == ["a"]


@pytest.mark.parametrize(
    ("status", "body", "ready", "reason"),
    [
        (200, b'{"ready": true, "reasons": []}', True, ""),
        (503, b'{"ready": false, "reasons": ["no lease", "lag"]}', False, "no lease; lag"),
        (503, b"busy", False, "HTTP 503"),
        (404, b'{"detail": "Not Found"}', False, "HTTP 404"),
        (200, b"[]", True, ""),
    ],
)
def test_readiness_is_understood(status: int, body: bytes, ready: bool, reason: str) -> None:
    answer = _understood(status, body)
    assert (answer.ready, answer.reason) == (ready, reason)


def test_the_state_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    from deploy.local.layout import ROOT, layout_from

    assert layout_from({}).state == ROOT / ".ordo"
    assert layout_from({"ORDO_STATE": str(tmp_path)}).state == tmp_path
    assert os.path.isabs(layout_from({"ORDO_STATE": "here"}).state)
