"""Requests under chaos: each is repeated with the same id until it is answered, and what was answered is noted."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from standardwebhooks import Webhook

from demo.wire import Connections
from deploy.local.layout import SERVICES
from libs.runtime.auth import make_token
from libs.runtime.clock import utc_now
from loadtests.chaos.told import Notebook, Told

SHOP = "demo"
TRY_LIMIT_S = 8.0
PAUSE_FIRST_S, PAUSE_LIMIT_S = 0.1, 1.5
TOKEN_LIFETIME = timedelta(hours=12)
# 401 too: a service whose clock has jumped takes a right signature for a stale one.
COME_BACK = frozenset({401, 408, 425, 429})
NOTHING: Mapping[str, Any] = {}


class GivenUp(Exception):
    """No answer came before the time was up; the text names the request."""


@dataclass(frozen=True)
class Answer:
    """A final answer: accepted, or refused for good."""

    status: int
    body: Any

    @property
    def ok(self) -> bool:
        """Tell whether it was accepted."""
        return self.status < 400


@dataclass
class Clients:
    """Everybody outside the system: the platform, operators, reviewers and pickers."""

    env: Mapping[str, str]
    notebook: Notebook
    dice: random.Random
    give_up_at_s: float = float("inf")
    requests: int = 0
    repeats: int = 0
    unanswered: list[str] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    _connections: dict[str, Connections] = field(default_factory=dict)
    _tokens: dict[tuple[str, str, str], dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._connections = {service: Connections(self.env[f"ORDO_URL_{service.upper()}"]) for service in SERVICES}
        self._webhook = Webhook(self.env["ORDO_OWN_DEMO_SECRET"])

    async def close(self) -> None:
        """Close every connection."""
        for connections in self._connections.values():
            await connections.close()

    def bearer(self, role: str, subject: str, warehouse: str = "") -> dict[str, str]:
        """Return the header that says who asks."""
        who = (role, subject, warehouse)
        if who not in self._tokens:
            token = make_token(
                self.env["ORDO_JWT_SECRET"],
                subject=subject,
                roles=[role],
                warehouse=warehouse or None,
                now=utc_now(),
                lifetime=TOKEN_LIFETIME,
            )
            self._tokens[who] = {"Authorization": f"Bearer {token}"}
        return self._tokens[who]

    async def webhook(self, what: str, webhook_id: str, message: Mapping[str, Any]) -> Answer:
        """Deliver a message of the shop; a repeat has the same id and body, and a signature of its own time."""
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":"))

        def signed() -> dict[str, str]:
            now = utc_now()
            return {
                "webhook-id": webhook_id,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": self._webhook.sign(webhook_id, now, body),
            }

        answer = await self._until_answered("ingestion", "POST", f"/webhooks/own/{SHOP}", signed, body.encode())
        order_id = f"own.{SHOP}.{message['platform_order_id']}"
        self._note(what, "ingestion", f"own:{SHOP}:{webhook_id}", answer, order_id)
        return answer

    async def tell(
        self,
        what: str,
        service: str,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        *,
        key: str,
        by: Mapping[str, str],
        log_key: str = "",
    ) -> Answer:
        """Send a command; `log_key` is its key in the service's log of commands where that is another one."""
        headers = {**by, "Idempotency-Key": key}
        encoded = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        answer = await self._until_answered(service, method, path, lambda: headers, encoded)
        self._note(what, service, log_key or key, answer)
        return answer

    async def read(
        self, service: str, path: str, *, by: Mapping[str, str], params: Mapping[str, Any] | None = None
    ) -> Answer:
        """Read a document or a list."""
        return await self._until_answered(service, "GET", path, lambda: dict(by), params=params or NOTHING)

    async def readiness(self, service: str, limit_s: float) -> tuple[bool, str]:
        """Ask a service once whether it is ready; also returns what it says of itself."""
        try:
            async with asyncio.timeout(limit_s):
                status, body = await self._connections[service].request("GET", "/readyz", {}, b"", {})
        except (OSError, ValueError) as error:
            # A time-out is an OSError too.
            return False, str(error) or type(error).__name__
        said = body.get("reasons") or f"{body.get('lag_records')} records behind" if isinstance(body, dict) else body
        return status == 200, str(said)

    def _note(self, what: str, service: str, log_key: str, answer: Answer, order_id: str = "") -> None:
        if answer.ok:
            self.notebook.write(
                Told(
                    what=what,
                    service=service,
                    log_key=log_key,
                    status=answer.status,
                    answer=answer.body,
                    order_id=order_id,
                )
            )
        else:
            name = f"{what} {answer.status}"
            self.refused[name] = self.refused.get(name, 0) + 1

    async def _until_answered(
        self,
        service: str,
        method: str,
        path: str,
        headers: Callable[[], dict[str, str]],
        body: bytes = b"",
        params: Mapping[str, Any] = NOTHING,
    ) -> Answer:
        connections = self._connections[service]
        content = {"content-type": "application/json"} if body else {}
        pause_s = PAUSE_FIRST_S
        while True:
            self.requests += 1
            try:
                async with asyncio.timeout(TRY_LIMIT_S):
                    status, found = await connections.request(method, path, {**headers(), **content}, body, params)
            except (OSError, ValueError) as error:
                # No answer, half of one, or one that is no JSON: a process died while it spoke.
                trouble = str(error) or type(error).__name__
            else:
                if status < 500 and status not in COME_BACK:
                    return Answer(status, found)
                trouble = f"HTTP {status} {str(found)[:200]}"
            if time.monotonic() > self.give_up_at_s:
                text = f"{method} {path}: {trouble}"
                if method != "GET":
                    self.unanswered.append(text)
                raise GivenUp(text)
            self.repeats += 1
            await asyncio.sleep(pause_s * self.dice.uniform(0.5, 1.0))
            pause_s = min(PAUSE_LIMIT_S, pause_s * 2)
