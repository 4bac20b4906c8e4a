"""The doubles as the run drives them, and ingestion as an operator drives it: both by HTTP and nothing else."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from libs.runtime.auth import make_token
from libs.runtime.clock import utc_now
from loadtests.chaos.jumping import Offset
from loadtests.lossy.truth import Timeline, moment

PLATFORMS = ("taobao", "douyin", "pinduoduo", "jd", "meituan", "wechat")
PUSHED_TO = frozenset({"douyin", "meituan", "wechat"})
CATALOGUE_SKUS = 400
TOKEN_LIFETIME = timedelta(hours=24)
REPEAT_LIMIT_S, REPEAT_PAUSE_S = 60.0, 0.5
# Less than the strictest platform's tolerance of a wrong clock, for the two clocks are not moved at once.
CLOCK_STEP_S = 120.0
SECRETS = ("app_key", "app_secret", "access_token", "refresh_token", "seller_id", "secrets")


def shop_of(platform: str) -> str:
    """Return the name of the run's only shop on a platform."""
    return f"lossy-{platform}"


@dataclass
class Doubles:
    """The doubles' control API."""

    url: str
    http: httpx.AsyncClient
    _cursors: dict[str, int] = field(default_factory=dict)

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call it; a refusal ends the run."""
        answer = await self.http.request(method, f"{self.url}/control{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    async def open_shop(self, platform: str, push_url: str) -> dict[str, Any]:
        """Open the shop of a platform; the answer holds its credentials."""
        wanted = {"platform": platform, "shop_id": shop_of(platform), "catalogue": CATALOGUE_SKUS}
        made: dict[str, Any] = await self.control("POST", "/shops", wanted | {"push_url": push_url})
        return made

    async def dial(self, platform: str, **turned: Any) -> None:
        """Turn dials of a platform, or of all."""
        await self.control("PATCH", f"/dials/{platform}", turned)

    async def changed(self, platform: str) -> list[dict[str, Any]]:
        """Return the orders of a shop's books that changed since this was asked last."""
        after = self._cursors.get(platform, 0)
        told = await self.control("GET", f"/books/{platform}/{shop_of(platform)}?stock=false&after={after}")
        self._cursors[platform] = int(told["cursor"])
        orders: list[dict[str, Any]] = told["orders"]
        return orders


@dataclass
class Operator:
    """Somebody with a browser on ingestion."""

    url: str
    secret: str
    http: httpx.AsyncClient

    def __post_init__(self) -> None:
        token = make_token(
            self.secret, subject="lossy", roles=["operator"], warehouse=None, now=utc_now(), lifetime=TOKEN_LIFETIME
        )
        self._by = {"Authorization": f"Bearer {token}"}

    async def connect(self, platform: str, made: Mapping[str, Any], doubles_url: str, since: datetime) -> None:
        """Configure a shop; repeated until it is answered."""
        base = f"{doubles_url}/{platform}"
        access = {name: made[name] for name in SECRETS} | {"gateway": base, "sign_in": base}
        access |= {"push_url": made["push_url"], "token_expires_at": made["access_expires_at"]}
        body = {"channel": platform, "access": access, "orders_since": since.isoformat()}
        headers = self._by | {"Idempotency-Key": f"connect-{platform}"}
        until_s = asyncio.get_running_loop().time() + REPEAT_LIMIT_S
        while True:
            try:
                answer = await self.http.put(f"{self.url}/shops/{shop_of(platform)}", json=body, headers=headers)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < 500:
                answer.raise_for_status()
                return
            if asyncio.get_running_loop().time() > until_s:
                raise TimeoutError(f"no answer to PUT /shops/{shop_of(platform)}")
            await asyncio.sleep(REPEAT_PAUSE_S)

    async def shops(self) -> dict[str, dict[str, Any]] | None:
        """Return every shop of the run as `GET /shops` shows it; None while ingestion does not answer."""
        try:
            answer = await self.http.get(f"{self.url}/shops", params={"limit": 50}, headers=self._by)
        except httpx.TransportError:
            return None
        if answer.status_code != httpx.codes.OK:
            return None
        return {shop["shop_id"]: shop for shop in answer.json()["items"] if shop["shop_id"].startswith("lossy-")}


def complete_of(shops: Mapping[str, Mapping[str, Any]]) -> dict[str, datetime]:
    """Return every shop's T, where it has one."""
    found = {name: moment((shop["completeness"] or {}).get("complete_until")) for name, shop in shops.items()}
    return {name: until for name, until in found.items() if until is not None}


@dataclass
class World:
    """The one simulated time of the doubles and of ingestion: real time, moved ahead in steps."""

    doubles: Doubles
    offset: Offset
    timeline: Timeline

    def now(self) -> datetime:
        """Return the simulated moment."""
        return utc_now() + timedelta(seconds=self.offset.asked_s)

    async def advance(self, seconds: float, pause_s: float) -> None:
        """Let time pass in steps, with a real pause after each.

        The platforms' clock goes first. So ours is never ahead of theirs: it could otherwise ask for a time that is
        still to come there, and take what it hears for all of it.
        """
        left_s, began = seconds, self.now()
        while left_s > 0:
            step_s = min(CLOCK_STEP_S, left_s)
            self.timeline.step(self.now(), step_s)
            await self.doubles.control("POST", "/clock", {"advance_s": step_s})
            self.offset.asked_s += step_s
            left_s -= step_s
            await asyncio.sleep(pause_s)
        self.timeline.hurries.append((began, self.now()))
