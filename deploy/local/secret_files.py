"""The stack's secrets: made once at random, one file each for its owner alone, the same after every restart."""

import base64
import secrets
from collections.abc import Callable, Mapping

from deploy.local.layout import Layout, write_private


def _base64_of(length_bytes: int) -> str:
    return base64.b64encode(secrets.token_bytes(length_bytes)).decode("ascii")


MAKERS: Mapping[str, Callable[[], str]] = {
    "ORDO_MASTER_KEY": lambda: _base64_of(32),
    "ORDO_JWT_SECRET": lambda: _base64_of(48),
    # Standard Webhooks' own form, so that any client library takes it as it is.
    "ORDO_OWN_DEMO_SECRET": lambda: "whsec_" + _base64_of(24),
    "ORDO_BUYER_KEY_SECRET": lambda: _base64_of(32),
}


def ensure_secrets(layout: Layout, environ: Mapping[str, str]) -> dict[str, str]:
    """Every secret by its variable's name; what the user has set beforehand wins and is not stored."""
    found = {}
    for name, make in MAKERS.items():
        path = layout.secrets / name
        if not path.exists() and not environ.get(name):
            write_private(path, make())
        found[name] = environ.get(name) or path.read_text("utf-8")
    return found
