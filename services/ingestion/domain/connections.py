"""Decides how a shop on a platform is connected: configured, signed in once per state, refreshed, paused, or stuck."""

from datetime import datetime, timedelta
from typing import ClassVar

import msgspec

from libs.decide import Command, Output, Reply, Row, State, problem
from services.ingestion.domain.shops import PutShop, Shop, ShopCommand, put_shop
from services.ingestion.domain.watermark import Progress

SIGN_IN_LIMIT = timedelta(minutes=15)
# A platform that gives no newer token for this long after it refused the present one is asked again.
REFUSED_TOKEN_PATIENCE = timedelta(seconds=30)


class Connection(Row, kw_only=True):
    """A shop on a platform. `access_wrapped` and `token_wrapped` are sealed JSON; `asks` says what a person must do."""

    row_key: ClassVar[tuple[str, ...]] = ("shop_id",)
    shop_id: str
    channel: str
    seller_id: str = ""
    paused: bool = False
    gateway: str = ""
    sign_in: str = ""
    push_url: str = ""
    carriers: dict[str, str] = {}  # the platform's codes by ours
    access_digest: str
    access_wrapped: str
    token_wrapped: str | None = None
    token_version: int = 0
    token_expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None
    scopes: list[str] = []
    token_refused_at: datetime | None = None
    asks: str | None = None
    asks_since: datetime | None = None
    changed_at: datetime


class SignIn(Row, kw_only=True):
    """A sign-in that an operator began; its state is known here as a hash and good once, for a while."""

    row_key: ClassVar[tuple[str, ...]] = ("state_hash",)
    state_hash: str
    shop_id: str
    expires_at: datetime
    used_at: datetime | None = None


class TokenKept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A token as it is stored: sealed, with what may be shown of it."""

    wrapped: str
    expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None
    scopes: list[str] = []
    seller_id: str = ""


class PutConnection(ShopCommand, frozen=True, kw_only=True):
    """Connect a shop, change how it is connected, pause it. Without `access_wrapped` the access stays as it is.

    Without `carriers` those stay, too.
    """

    channel: str
    paused: bool
    seller_id: str = ""
    gateway: str = ""
    sign_in: str = ""
    push_url: str = ""
    carriers: dict[str, str] | None = None
    access_digest: str = ""
    access_wrapped: str = ""
    token: TokenKept | None = None
    orders_since: datetime | None = None
    evidence: list[str] = []

    @property
    def sameness(self) -> bytes:
        """Sealed text differs each time it is sealed; the digest tells whether the access is the same."""
        asked = [self.shop_id, self.channel, self.paused, self.seller_id, self.gateway, self.sign_in, self.push_url]
        return msgspec.json.encode([*asked, self.access_digest, self.orders_since, self.carriers])


class BeginSignIn(ShopCommand, frozen=True, kw_only=True):
    """An operator goes to the platform to authorise the shop."""

    state_hash: str


class UseSignIn(Command, frozen=True, kw_only=True):
    """Somebody came back from the platform with a state."""

    channel: str
    state_hash: str

    @property
    def key(self) -> str:
        """The state itself: nobody knows yet which shop it belongs to."""
        return f"sign-in:{self.state_hash}"


class KeepToken(ShopCommand, frozen=True, kw_only=True):
    """A newer token. From the refresher it replaces the very version it was made from; from a sign-in, any."""

    token: TokenKept
    instead_of: int | None = None


class RefuseToken(ShopCommand, frozen=True, kw_only=True):
    """The platform did not accept this version of the token before its time."""

    token_version: int


class AskPerson(ShopCommand, frozen=True, kw_only=True):
    """No retry helps: a person has to do something. `token_version` guards against news that is out of date."""

    token_version: int
    why: str


def put_connection(command: PutConnection, state: State, now: datetime) -> list[Output]:
    """Create or change a connection; what is new begins to be complete from `orders_since`, or from now."""
    if state.get(Shop, command.shop_id) is not None:
        return [problem(409, "a shop keeps its channel", field="channel", channel="own")]
    known = state.get(Connection, command.shop_id)
    created = known is None
    if known is None:
        if not command.access_wrapped:
            return [problem(422, "a new shop on a platform needs its access", field="access")]
        known = Connection(
            shop_id=command.shop_id,
            channel=command.channel,
            access_digest=command.access_digest,
            access_wrapped=command.access_wrapped,
            changed_at=now,
        )
        since = min(command.orders_since or now, now)
        state.put(
            Progress(
                shop_id=known.shop_id,
                channel=known.channel,
                evidence=command.evidence,
                since=since,
                covered_until=since,
                complete_until=since if command.evidence else None,
            )
        )
    elif known.channel != command.channel:
        return [problem(409, "a shop keeps its channel", field="channel", channel=known.channel)]
    else:
        _follow(command, state)
    if command.access_wrapped:
        _configure(known, command)
    if command.carriers is not None:
        known.carriers = command.carriers
    # An operator has looked: what still needs a person says so again.
    known.asks = known.asks_since = None
    known.paused = command.paused
    known.changed_at = now
    state.put(known)
    return [Reply(status=201 if created else 200, body=_shown(known))]


def _follow(command: PutConnection, state: State) -> None:
    """A connector may have learnt to ask for other evidence since the shop was made."""
    progress = state.get(Progress, command.shop_id)
    if progress is not None and progress.evidence != command.evidence:
        progress.evidence = command.evidence
        progress.complete_until = progress.complete_until or (progress.since if command.evidence else None)
        state.put(progress)


def put_own_shop(command: PutShop, state: State, now: datetime) -> list[Output]:
    """Create or change a shop of the own channel, unless its id belongs to a platform's."""
    taken = state.get(Connection, command.shop_id)
    if taken is not None:
        return [problem(409, "a shop keeps its channel", field="channel", channel=taken.channel)]
    return put_shop(command, state, now)


def begin_sign_in(command: BeginSignIn, state: State, now: datetime) -> list[Output]:
    """Remember the state for a quarter of an hour."""
    if state.get(Connection, command.shop_id) is None:
        return [problem(404, "no such shop on a platform", field="shop_id")]
    expires_at = now + SIGN_IN_LIMIT
    state.put(SignIn(state_hash=command.state_hash, shop_id=command.shop_id, expires_at=expires_at))
    return [Reply(body={"shop_id": command.shop_id, "expires_at": expires_at.isoformat()})]


def use_sign_in(command: UseSignIn, state: State, now: datetime) -> list[Output]:
    """Accept a state once, in time, for the channel it was made for; every other answer is the same refusal."""
    begun = state.get(SignIn, command.state_hash)
    shop = None if begun is None else state.get(Connection, begun.shop_id)
    good = begun is not None and begun.used_at is None and now < begun.expires_at
    if begun is None or shop is None or not good or shop.channel != command.channel:
        return [problem(400, "this sign-in was not begun here, was used already, or took too long", field="state")]
    begun.used_at = now
    state.put(begun)
    return [Reply(body={"shop_id": begun.shop_id, "token_version": shop.token_version})]


def keep_token(command: KeepToken, state: State, now: datetime) -> list[Output]:
    """Take a token in; one made from a version that is gone, or for another seller, is refused."""
    shop = state.get(Connection, command.shop_id)
    if shop is None:
        return [problem(404, "no such shop on a platform", field="shop_id")]
    if command.instead_of is not None and command.instead_of != shop.token_version:
        return [problem(409, "a newer token is there already", token_version=shop.token_version)]
    # Only a person can sign somebody else in; a refresh speaks for whoever signed in before.
    told = command.token.seller_id if command.instead_of is None else ""
    if told and shop.seller_id and told != shop.seller_id:
        return [problem(409, "another seller signed in than the one this shop belongs to", field="seller_id")]
    _take_token(shop, command.token)
    shop.seller_id = shop.seller_id or told
    shop.changed_at = now
    state.put(shop)
    return [Reply(body=_shown(shop))]


def refuse_token(command: RefuseToken, state: State, now: datetime) -> list[Output]:
    """Note that the token in force is not accepted, so that the shop's refresher gets another."""
    shop = state.get(Connection, command.shop_id)
    if shop is None or shop.token_version != command.token_version:
        return [Reply(body={"refresh": False})]
    if shop.token_refused_at is None or now - shop.token_refused_at > REFUSED_TOKEN_PATIENCE:
        shop.token_refused_at = now
        state.put(shop)
    return [Reply(body={"refresh": True})]


def ask_person(command: AskPerson, state: State, now: datetime) -> list[Output]:
    """Keep the platform's words where operators see them, until they act."""
    shop = state.get(Connection, command.shop_id)
    if shop is None or shop.token_version != command.token_version:
        return [Reply(body={"asks": None})]
    if shop.asks != command.why:
        shop.asks = command.why
        shop.asks_since = shop.asks_since or now
        state.put(shop)
    return [Reply(body={"asks": command.why})]


def _configure(shop: Connection, command: PutConnection) -> None:
    """Replace the access as a whole. The same access again keeps the token that was refreshed since."""
    same = shop.access_digest == command.access_digest and shop.token_version > 0
    shop.seller_id = command.seller_id or shop.seller_id
    shop.gateway = command.gateway
    shop.sign_in = command.sign_in
    shop.push_url = command.push_url
    shop.access_digest = command.access_digest
    shop.access_wrapped = command.access_wrapped
    shop.asks = shop.asks_since = None
    if command.token is not None and not same:
        _take_token(shop, command.token)


def _take_token(shop: Connection, token: TokenKept) -> None:
    shop.token_wrapped = token.wrapped
    shop.token_version += 1
    shop.token_expires_at = token.expires_at
    shop.refresh_expires_at = token.refresh_expires_at or shop.refresh_expires_at
    shop.scopes = token.scopes or shop.scopes
    shop.token_refused_at = None
    shop.asks = shop.asks_since = None


def _shown(shop: Connection) -> dict[str, object]:
    return {
        "shop_id": shop.shop_id,
        "channel": shop.channel,
        "paused": shop.paused,
        "seller_id": shop.seller_id,
        "token_version": shop.token_version,
    }
