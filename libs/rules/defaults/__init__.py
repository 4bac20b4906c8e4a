"""The rules a fresh installation starts with, one JSON file a service; read once, where the service is built."""

from importlib.resources import files
from typing import Any, cast

import msgspec


def read(service: str) -> dict[str, Any]:
    """Return the shipped content (`jdm`, `examples`, `parameters`) of a service's rules."""
    raw = files("libs.rules.defaults").joinpath(f"{service}.json").read_bytes()
    return cast("dict[str, Any]", msgspec.json.decode(raw))
