"""On a full disk Kafka is not even started: it would take its own metadata for torn and forget every topic."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from libs.testkit.embedded import kafka
from libs.testkit.embedded.server import ServerDidNotStart

Usage = namedtuple("Usage", "total used free")
MIB = 1024 * 1024


def test_it_is_refused_before_anything_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, (kafka.FREE_AT_START_MIB - 1) * MIB))
    with pytest.raises(ServerDidNotStart, match=f"has {kafka.FREE_AT_START_MIB - 1} MiB free"):
        kafka.kafka_command(tmp_path / "data", 1, 2)
    assert not list((tmp_path / "data").iterdir())
