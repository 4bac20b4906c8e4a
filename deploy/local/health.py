"""Asks a service whether it is ready, and reads what it says about itself."""

import http.client
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

ANSWER_LIMIT_S = 2.0
ANSWER_LIMIT_BYTES = 64 * 1024


@dataclass(frozen=True)
class Readiness:
    """One answer of /readyz; lag is None when the service does not report any."""

    ready: bool
    reason: str
    lag_records: int | None = None
    lag_ms: int | None = None


def ask_ready(url: str, answer_limit_s: float = ANSWER_LIMIT_S) -> Readiness:
    """Ready means HTTP 200; no answer at all is an answer too."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=answer_limit_s)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/readyz")
        response = connection.getresponse()
        body = response.read(ANSWER_LIMIT_BYTES)
    except (OSError, http.client.HTTPException) as failed:
        return Readiness(False, f"no answer: {failed}")
    finally:
        connection.close()
    return _understood(response.status, body)


def _understood(status: int, body: bytes) -> Readiness:
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        return Readiness(status == 200, "" if status == 200 else f"HTTP {status}")
    reasons = said.get("reasons")
    reason = "; ".join(str(each) for each in reasons) if isinstance(reasons, list) else ""
    if status != 200 and not reason:
        reason = f"HTTP {status}"
    return Readiness(status == 200, reason, _number(said.get("lag_records")), _number(said.get("lag_ms")))


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
