"""Who may speak: applications, shops, their tokens by each platform's rules, and how fast they may call."""

import random
from collections.abc import Mapping
from datetime import datetime, timedelta

from simulators.clock import Clock
from simulators.model import App, Grant, Shop
from simulators.platform import Platform
from simulators.pushes import Pushes
from simulators.quirks import Dials

HEX = "0123456789abcdef"
CODE_LIFE_S = 600


class Refused(Exception):
    """What was asked for cannot be done; `reason` is a stable word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Registry:
    """Everything in memory; one event loop, no locks. `dice` are seeded: shops, ids and buyers repeat."""

    def __init__(self, platforms: Mapping[str, Platform], seed: int = 1, clock: Clock | None = None) -> None:
        self.platforms = dict(platforms)
        self.clock = clock or Clock()
        self.dice = random.Random(seed)
        self.quirk_dice = random.Random(seed + 1)
        self.dials: dict[str, Dials] = {name: Dials() for name in platforms}
        self.pushes = Pushes(self.clock, random.Random(seed + 2), self.dials)
        self.apps: dict[tuple[str, str], App] = {}
        self.shops: dict[tuple[str, str], Shop] = {}

    # ---- Names and chances

    def now(self) -> datetime:
        """Return the simulated moment, UTC."""
        return self.clock.now()

    def digits(self, count: int) -> str:
        """Return a number of so many digits that does not begin with 0."""
        return str(self.dice.randrange(10 ** (count - 1), 10**count))

    def secret(self, count: int = 32) -> str:
        """Return so many random hex characters."""
        return "".join(self.dice.choices(HEX, k=count))

    def falls(self, percent: float) -> bool:
        """Throw the quirks' dice."""
        return percent > 0 and self.quirk_dice.random() * 100 < percent

    # ---- Shops and tokens

    def shops_of(self, platform: str, app: App | None = None) -> list[Shop]:
        """Return a platform's shops, or those of one application."""
        return [s for s in self.shops.values() if s.platform == platform and (app is None or s.app is app)]

    def shop_of_token(self, platform: str, app: App, token: str) -> Shop | None:
        """Return whose access token this is, good or expired; counts the call against `token_expires_after_calls`."""
        for shop in self.shops_of(platform, app):
            grant = shop.grant
            if token and (token == grant.access_token or token in grant.old):
                grant.calls += 1
                limit = self.dials[platform].token_expires_after_calls
                if limit and grant.calls > limit:
                    grant.expire(self.now())
                return shop
        return None

    def shop_of_seller(self, platform: str, seller_id: str) -> Shop | None:
        """Return the shop with this id on its platform."""
        return next((s for s in self.shops_of(platform) if s.seller_id == seller_id), None)

    def authorize(self, shop: Shop) -> str:
        """Return a code that an operator's sign-in yields."""
        code = self.secret()
        shop.codes[code] = self.now() + timedelta(seconds=CODE_LIFE_S)
        return code

    def exchange(self, platform: str, app: App, code: str) -> Shop | None:
        """Trade a code for new tokens, once; None: the code is unknown or too old."""
        for shop in self.shops_of(platform, app):
            until = shop.codes.pop(code, None)
            if until is not None and self.now() < until:
                shop.grant = self.new_grant(platform)
                return shop
        return None

    def refresh(self, platform: str, app: App, refresh_token: str) -> Shop | None:
        """Renew a shop's tokens by the platform's rules; None: the refresh token is unknown or too old."""
        rules, now = self.platforms[platform].token_rules, self.now()
        for shop in self.shops_of(platform, app):
            old = shop.grant
            if not refresh_token or refresh_token != old.refresh_token or now >= old.refresh_until:
                continue
            if rules.same_until_s and old.access_until - now > timedelta(seconds=rules.same_until_s):
                return shop
            shop.grant = new = self.new_grant(platform)
            new.refreshes = old.refreshes + 1
            if not rules.refresh_rotates:
                new.refresh_token, new.refresh_until = old.refresh_token, old.refresh_until
            if rules.old_lives_s and now < old.access_until:
                new.old[old.access_token] = now + timedelta(seconds=rules.old_lives_s)
            return shop
        return None

    def new_grant(self, platform: str) -> Grant:
        """Return fresh tokens."""
        rules, now = self.platforms[platform].token_rules, self.now()
        access_until = now + timedelta(seconds=rules.access_life_s)
        return Grant(self.secret(), self.secret(), access_until, now + timedelta(seconds=rules.refresh_life_s))

    def over_limit(self, platform: str, app: App) -> bool:
        """Tell whether a call must be refused for its rate or by chance (`calls_per_s`, `busy_percent`)."""
        dials = self.dials[platform]
        if self.falls(dials.busy_percent):
            return True
        if not dials.calls_per_s:
            return False
        now_s = self.clock.now_s()
        filled = app.tokens_left + (now_s - app.counted_at_s) * dials.calls_per_s
        app.tokens_left, app.counted_at_s = min(filled, max(dials.calls_per_s, 1.0)), now_s
        if app.tokens_left < 1:
            return True
        app.tokens_left -= 1
        return False
