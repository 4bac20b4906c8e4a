"""Keeps every shop signed in: a newer token ahead of the old one's end, one refresh at a time for each shop."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
import structlog

from libs.channels.channel import Cure, PlatformRefused, Token
from libs.channels.outward.lines import Line, Lines, plain
from libs.stream.desk import NotServing, Overloaded

REFRESH_POLL_S = 1.0
REFRESH_TIMEOUT_S = 20.0
RETRY_FIRST_S = 2.0
RETRY_LAST_S = 300.0
KEEP_ATTEMPTS_LIMIT = 300
KEEP_RETRY_S = 1.0
AHEAD_LEAST = timedelta(minutes=1)
AHEAD_MOST = timedelta(days=1)
AHEAD_PARTS = 5
SAME_END_WITHIN = timedelta(minutes=1)  # the end is told as a rest, in seconds
NOT_SIGNED_IN = "nobody has signed this shop in"
NO_REFRESH = "the token ends and the platform gave none to refresh it with: sign in again"
CANNOT = "the token cannot be refreshed: "
SIGN_IN_AGAIN = "sign the shop in again: "
LOST = "the platform gave a newer token, and it could not be kept"

Keep = Callable[[Line, Token], Awaitable[None]]
"""Makes a newer token durable in the place of the line's."""


def is_due(line: Line, now: datetime) -> bool:
    """Tell whether the shop's token is to be refreshed now: refused, missing, or in the last fifth of its life."""
    capabilities = line.channel.capabilities
    if capabilities.signs_in and not line.access.access_token:
        return True
    if capabilities.token_lives_s is None and line.token_expires_at is None:
        return line.token_refused_at is not None
    if line.token_refused_at is not None or not line.access.access_token:
        return True
    if line.token_expires_at is None:
        return False
    lives = timedelta(seconds=capabilities.token_lives_s or 0)
    ahead = max(AHEAD_LEAST, min(lives / AHEAD_PARTS, AHEAD_MOST))
    return line.token_expires_at - now <= ahead


def needs_person(line: Line) -> str | None:
    """Say why no refresh can help, if so."""
    if not line.channel.capabilities.signs_in:
        return None
    if not line.access.access_token:
        return NOT_SIGNED_IN
    return None if line.access.refresh_token else NO_REFRESH


def is_same(line: Line, token: Token) -> bool:
    """Tell whether a refresh gave what is here, unrefused and with nobody asked: then there is nothing to keep."""
    known = line.access
    if token.access_token != known.access_token or token.refresh_token not in ("", known.refresh_token):
        return False
    if line.token_refused_at is not None or line.asks is not None:
        return False
    if token.expires_at is None or line.token_expires_at is None:
        return False
    return abs(token.expires_at - line.token_expires_at) <= SAME_END_WITHIN


@dataclass(frozen=True, slots=True)
class _InForce:
    """A token that the platform gave again: which version it is here, and until when nothing is asked."""

    version: str
    until: datetime


@dataclass(frozen=True, slots=True)
class _PutOff:
    """A refresh that failed: for which token, until when nothing is tried, and how long that is."""

    version: str
    until_s: float
    wait_s: float


class Refresher:
    """Looks at all shops and refreshes what is due."""

    def __init__(
        self,
        lines: Lines,
        keep: Keep,
        clock: Callable[[], datetime],
        poll_s: float = REFRESH_POLL_S,
        keep_retry_s: float = KEEP_RETRY_S,
    ) -> None:
        self._lines = lines
        self._keep = keep
        self._clock = clock
        self._poll_s = poll_s
        self._keep_retry_s = keep_retry_s
        self._flying: dict[str, asyncio.Task[None]] = {}
        self._later: dict[str, _PutOff] = {}
        self._in_force: dict[str, _InForce] = {}

    async def run(self) -> None:
        """Refresh until cancelled."""
        try:
            while True:
                await self.round()
                await asyncio.sleep(self._poll_s)
        finally:
            for task in self._flying.values():
                task.cancel()

    async def round(self) -> None:
        """Start what is due and not under way."""
        now_s = asyncio.get_running_loop().time()
        self._flying = {shop_id: task for shop_id, task in self._flying.items() if not task.done()}
        for line in await self._lines.all():
            put_off = self._later.get(line.shop_id)
            waits = put_off is not None and put_off.version == line.version and now_s < put_off.until_s
            waits = waits or self._is_in_force(line)
            if line.shop_id in self._flying or waits or not is_due(line, self._clock()):
                continue
            self._flying[line.shop_id] = asyncio.create_task(self._refresh(line))

    async def settled(self) -> None:
        """Wait for the refreshes under way."""
        if self._flying:
            await asyncio.wait(self._flying.values(), timeout=REFRESH_TIMEOUT_S)

    async def _refresh(self, line: Line) -> None:
        log = structlog.get_logger().bind(channel=line.name, shop_id=line.shop_id)
        try:
            why = needs_person(line)
            if why is not None:
                self._put_off(line)
                if line.asks is None:
                    await self._lines.person_needed(line, why)
                return
            async with asyncio.timeout(REFRESH_TIMEOUT_S):
                token = await line.client.refresh()
            if is_same(line, token):
                self._wait_for_another(line)
                log.info("the token is the same as before", expires_at=str(token.expires_at))
                return
            await self._kept(line, token)
            self._later.pop(line.shop_id, None)
            log.info("the token was refreshed", expires_at=str(token.expires_at))
        except PlatformRefused as refused:
            self._put_off(line, refused.after_seconds)
            log.warning("the token was not refreshed", reason=plain(str(refused)))
            if refused.cure is not Cure.RETRY:
                # A refresh token is good once where the platform rotates it: who died between the platform's answer
                # and its keeping has none, and nothing but signing in helps.
                advice = SIGN_IN_AGAIN if line.channel.capabilities.signs_in else ""
                await self._lines.person_needed(line, f"{advice}{CANNOT}{plain(str(refused))}")
        except (NotServing, Overloaded):
            self._put_off(line)
            log.error("the token was refreshed and is lost", reason=LOST)
        except (httpx.HTTPError, OSError) as error:
            self._put_off(line)
            log.warning("the token was not refreshed", reason=type(error).__name__)

    async def _kept(self, line: Line, token: Token) -> None:
        """Keep what cannot be had again: a refused attempt is made anew as long as this process may keep anything."""
        for _ in range(KEEP_ATTEMPTS_LIMIT - 1):
            try:
                await self._keep(line, token)
            except (NotServing, Overloaded):
                await asyncio.sleep(self._keep_retry_s)
            else:
                return
        await self._keep(line, token)

    def _is_in_force(self, line: Line) -> bool:
        known = self._in_force.get(line.shop_id)
        if known is None or known.version != line.version or line.token_refused_at is not None:
            return False
        return self._clock() < known.until

    def _wait_for_another(self, line: Line) -> None:
        """Ask again after half the time that is left: so a few times at most, and surely once it brings another.

        Platforms give the same token until it is nearly over: Douyin for all but its last hour, WeChat five minutes.
        """
        now = self._clock()
        left = (line.token_expires_at or now) - now
        self._in_force[line.shop_id] = _InForce(line.version, now + max(left / 2, timedelta(seconds=RETRY_FIRST_S)))
        self._later.pop(line.shop_id, None)

    def _put_off(self, line: Line, after_s: float = 0.0) -> None:
        before = self._later.get(line.shop_id)
        before_s = before.wait_s if before is not None and before.version == line.version else 0.0
        wait_s = max(after_s, min(max(before_s * 2, RETRY_FIRST_S), RETRY_LAST_S))
        self._later[line.shop_id] = _PutOff(line.version, asyncio.get_running_loop().time() + wait_s, wait_s)
