"""The sink: everything but personal data is written down, and the file stays bounded."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from libs.decide import Send
from libs.senders.sink import SinkSender, phone_hash

PHONE = "13800138000"


def message(n: int = 1) -> Send:
    body = {"sealed": "k1:x", "template": "parcel_shipped", "variables": {"waybill": f"SF{n}"}}
    return Send(destination="sms", send_id=f"shipped:own.demo.{n}/1", key=f"own.demo.{n}", body=body)


def sizes_of(folder: Path) -> dict[str, int]:
    return {found.name: found.stat().st_size for found in folder.iterdir()}


async def opened(sealed: str) -> Mapping[str, Any]:
    return {"name": "张三", "phone": PHONE, "address": "珞喻路 1037 号"}


async def test_a_message_is_written_without_personal_data(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "sink.jsonl"
    sink = SinkSender(path=path, hash_key=b"k", open_recipient=opened)
    assert await sink.send(message(), 1) == "written to the sink"
    text = path.read_text()
    assert json.loads(text) == {
        "destination": "sms",
        "send_id": "shipped:own.demo.1/1",
        "body": {
            "template": "parcel_shipped",
            "variables": {"waybill": "SF1"},
            "phone_hash": phone_hash(PHONE, b"k"),
        },
    }
    for secret in (PHONE, "张三", "珞喻路", "k1:x"):
        assert secret not in text


def test_the_hash_needs_its_key() -> None:
    assert phone_hash(PHONE, b"k") == phone_hash(PHONE, b"k")
    assert phone_hash(PHONE, b"k") != phone_hash(PHONE, b"other")
    assert phone_hash(PHONE, b"k") != phone_hash("13800138001", b"k")


async def test_the_file_is_turned_over_at_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "sink.jsonl"
    sink = SinkSender(path=path, file_limit_bytes=500)
    for n in range(40):
        await sink.send(message(n), 1)
    sizes = sizes_of(tmp_path)
    assert sorted(sizes) == ["sink.jsonl", "sink.jsonl.1"]
    assert max(sizes.values()) <= 500


async def test_without_a_path_messages_are_accepted_and_not_kept() -> None:
    assert await SinkSender().send(message(), 1) == "written to the sink"
