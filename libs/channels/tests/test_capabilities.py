"""What is declared of a channel is asked for by somebody: by code, by the conformance kit, or shown to operators."""

import re
from dataclasses import fields
from pathlib import Path

from libs.channels.capabilities import Capabilities

ROOT = Path(__file__).resolve().parents[3]


def test_every_capability_is_read() -> None:
    sources = [path for part in ("libs", "services") for path in (ROOT / part).rglob("*.py")]
    text = "\n".join(path.read_text("utf-8") for path in sources if path.name != "capabilities.py")
    unread = [each.name for each in fields(Capabilities) if not re.search(rf"\.{each.name}\b|\n +{each.name}: ", text)]
    assert unread == []
