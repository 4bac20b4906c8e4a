"""Access tokens: each fetch makes a new one, and the one before soon dies, so two who refresh disturb each other."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from simulators.model import Shop, TokenRules
from simulators.wechat.answers import Failed
from simulators.wechat.dials import NAME, dials_of

if TYPE_CHECKING:
    from simulators.market import Market

LIFE_S = 7200
RENEWED_BEFORE_S = 300
RULES = TokenRules(LIFE_S, LIFE_S, old_lives_s=300)
GRANT_TYPE = "client_credential"


@dataclass
class _Stable:
    token: str
    until: datetime


_stable: "WeakKeyDictionary[Market, dict[str, _Stable]]" = WeakKeyDictionary()


def fetch(market: "Market", given: dict[str, Any]) -> dict[str, Any]:
    """GET /cgi-bin/token: always a new token."""
    shop = _known(market, given)
    _count(market, shop)
    now = market.now()
    before = shop.grant
    shop.grant = new = market.new_grant(NAME)
    new.refreshes = before.refreshes + 1
    # Tokens that died long ago stay known, so that whoever still shows them hears 40001.
    new.old = dict(before.old)
    dies = now + timedelta(seconds=dials_of(market).old_token_lives_s)
    new.old[before.access_token] = min(dies, before.access_until)
    return {"access_token": new.access_token, "expires_in": LIFE_S}


def fetch_stable(market: "Market", given: dict[str, Any]) -> dict[str, Any]:
    """POST /cgi-bin/stable_token: the same token until five minutes before its end, or forced; apart from the others.

    The one before lives on to its end, unless another was forced.
    """
    shop = _known(market, given)
    _count(market, shop)
    now = market.now()
    known = _stable.setdefault(market, {})
    before = known.get(shop.shop_id)
    forced = given.get("force_refresh") is True
    renewed = timedelta(seconds=RENEWED_BEFORE_S)
    if before is None or forced or now >= before.until - renewed or before.token not in shop.grant.old:
        if before is not None and forced:
            shop.grant.old[before.token] = now
        before = known[shop.shop_id] = _Stable(market.secret(), now + timedelta(seconds=LIFE_S))
        shop.grant.calls = 0  # each token dies after so many calls of its own
        shop.grant.refreshes += 1
        shop.grant.old[before.token] = before.until
    return {"access_token": before.token, "expires_in": max(int((before.until - now).total_seconds()), 0)}


def shop_of(market: "Market", token: str) -> Shop:
    """Return whose access token this is, or raise what is answered."""
    if not token:
        raise Failed(41001)
    for app in [app for (name, _key), app in market.apps.items() if name == NAME]:
        shop = market.shop_of_token(NAME, app, token)
        if shop is None:
            continue
        if not shop.grant.accepts(token, market.now()):
            raise Failed(42001 if token == shop.grant.access_token else 40001)
        return shop
    raise Failed(40001)


def _known(market: "Market", given: dict[str, Any]) -> Shop:
    if given.get("grant_type") != GRANT_TYPE:
        raise Failed(40002)
    app = market.apps.get((NAME, str(given.get("appid", ""))))
    shops = market.shops_of(NAME, app) if app else []
    if app is None or not shops:
        raise Failed(40013)
    if given.get("secret") != app.secret:
        raise Failed(40125)
    return shops[0]


def _count(market: "Market", shop: Shop) -> None:
    fetched: Counter[date] = shop.extra.setdefault("token_fetches", Counter())
    today = market.now().date()
    limit = dials_of(market).tokens_per_day
    if limit and fetched[today] >= limit:
        raise Failed(45009)
    fetched[today] += 1
