"""The demo's way to the services: signed webhooks and tokens, each request repeated until it is answered."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from standardwebhooks import Webhook

from demo.wire import Connections
from deploy.local.layout import SERVICES
from libs.runtime.auth import make_token
from libs.runtime.clock import utc_now

# A killed server is back within seconds; a stack that is not back after this long will not be.
GIVE_UP_AFTER_S = 240.0
PAUSE_FIRST_S, PAUSE_LIMIT_S = 0.1, 2.0
COME_BACK = frozenset({408, 425, 429})
TOKEN_LIFETIME = timedelta(hours=12)
PAGE_ROWS = 200
PAGES_LIMIT = 1_000
NONE: Mapping[str, Any] = {}


class Unanswered(RuntimeError):
    """A service gave no usable answer for so long that the demo ends; the text names the request."""


class Unexpected(RuntimeError):
    """A service refused what it should have taken; the text quotes its answer."""


@dataclass(frozen=True)
class Answer:
    """A final answer: accepted, or refused for good."""

    status: int
    body: Any

    @property
    def ok(self) -> bool:
        return self.status < 400


@dataclass
class Traffic:
    """How much was asked, and how often something had to be asked again."""

    requests: int = 0
    repeats: int = 0
    last_trouble: str = ""


@dataclass
class Api:
    """Everything the demo's players need to reach a stack."""

    urls: Mapping[str, str]
    jwt_secret: str
    webhook_secret: str
    traffic: Traffic = field(default_factory=Traffic)
    _clients: dict[str, Connections] = field(default_factory=dict)
    _tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._clients = {service: Connections(url) for service, url in self.urls.items()}

    async def close(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            await client.close()

    def bearer(self, subject: str, role: str, warehouse: str | None = None) -> dict[str, str]:
        """Return the header that says who asks."""
        name = f"{subject}/{role}/{warehouse}"
        if name not in self._tokens:
            self._tokens[name] = make_token(
                self.jwt_secret,
                subject=subject,
                roles=[role],
                warehouse=warehouse,
                now=utc_now(),
                lifetime=TOKEN_LIFETIME,
            )
        return {"Authorization": f"Bearer {self._tokens[name]}"}

    async def webhook(self, shop_id: str, webhook_id: str, message: Mapping[str, Any]) -> Answer:
        """Deliver a message of the shop. A repeat has the same id and body, and a signature of its own time."""
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":"))

        def signed() -> dict[str, str]:
            now = utc_now()
            return {
                "webhook-id": webhook_id,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": Webhook(self.webhook_secret).sign(webhook_id, now, body),
            }

        return await self._until_answered("ingestion", "POST", f"/webhooks/own/{shop_id}", signed, body.encode("utf-8"))

    async def tell(
        self, service: str, method: str, path: str, body: Mapping[str, Any] | None, *, key: str, by: dict[str, str]
    ) -> Answer:
        """Send a command; repeated under the same key it is decided once."""
        headers = {**by, "Idempotency-Key": key}
        encoded = b"" if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8")
        return await self._until_answered(service, method, path, lambda: headers, encoded)

    async def get(
        self, service: str, path: str, *, by: dict[str, str], params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Read one document."""
        body: dict[str, Any] = must(await self.read(service, path, by=by, params=params), f"GET {path}")
        return body

    async def read(
        self, service: str, path: str, *, by: dict[str, str], params: Mapping[str, Any] | None = None
    ) -> Answer:
        """Read what may not be there."""
        return await self._until_answered(service, "GET", path, lambda: by, params=params or {})

    async def pages(
        self, service: str, path: str, *, by: dict[str, str], params: Mapping[str, Any] | None = None
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """Read a list page by page."""
        cursor: dict[str, str] = {}
        for _ in range(PAGES_LIMIT):
            page = await self.get(service, path, by=by, params={**(params or {}), **cursor, "limit": PAGE_ROWS})
            yield page["items"]
            if not page["next_cursor"]:
                return
            cursor = {"cursor": page["next_cursor"]}
        raise Unexpected(f"GET {path} has more than {PAGES_LIMIT} pages")

    async def lag_records(self) -> int | None:
        """Return how many records wait to be read by all services together; None while one of them is not ready."""
        total = 0
        for service in SERVICES:
            try:
                status, body = await self._clients[service].request("GET", "/readyz", NONE, b"", NONE)
            except OSError:
                return None
            if status != 200:
                return None
            total += int(body["lag_records"])
        return total

    async def _until_answered(
        self,
        service: str,
        method: str,
        path: str,
        headers: Callable[[], dict[str, str]],
        body: bytes = b"",
        params: Mapping[str, Any] = NONE,
    ) -> Answer:
        """Ask until there is an answer that another try would not change; a signature's time is new each time."""
        client = self._clients[service]
        give_up_at_s = time.monotonic() + GIVE_UP_AFTER_S
        pause_s = PAUSE_FIRST_S
        content = {"content-type": "application/json"} if body else {}
        while True:
            self.traffic.requests += 1
            try:
                status, found = await client.request(method, path, {**headers(), **content}, body, params)
            except OSError as error:
                trouble = str(error) or type(error).__name__
            else:
                if status < 500 and status not in COME_BACK:
                    return Answer(status, found)
                trouble = f"HTTP {status}"
            if time.monotonic() > give_up_at_s:
                raise Unanswered(f"{method} {path} of {service}: {trouble} for {GIVE_UP_AFTER_S:.0f} s")
            self.traffic.repeats += 1
            self.traffic.last_trouble = f"{service}: {trouble}"
            await asyncio.sleep(pause_s * (0.5 + random.random() / 2))
            pause_s = min(PAUSE_LIMIT_S, pause_s * 2)


def must(answer: Answer, what: str) -> Any:
    """Return an answer's body; raise if it is a refusal."""
    if not answer.ok:
        raise Unexpected(f"{what}: HTTP {answer.status} {json.dumps(answer.body, ensure_ascii=False)[:500]}")
    return answer.body


def api_of(environment: Mapping[str, str]) -> Api:
    """Return the way to the stack that `local.env` describes."""
    return Api(
        urls={service: environment[f"ORDO_URL_{service.upper()}"] for service in SERVICES},
        jwt_secret=environment["ORDO_JWT_SECRET"],
        webhook_secret=environment["ORDO_OWN_DEMO_SECRET"],
    )
