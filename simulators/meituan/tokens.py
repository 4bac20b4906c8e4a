"""Tokens of service providers' applications; an application of one's own needs none (dial `needs_token`)."""

from typing import Any

from starlette.responses import JSONResponse, Response

from simulators.meituan.answers import Failed
from simulators.meituan.dials import NAME, dials_of
from simulators.meituan.gate import Call
from simulators.model import Shop, TokenRules

DAY_S = 24 * 3600
RULES = TokenRules(30 * DAY_S, 60 * DAY_S)
TOKEN_REFUSED = 4001  # from memory: no public document names the code of a dead token


def authorize(call: Call) -> Response:
    """oauth/authorize: the tokens of a shop that has let the application in."""
    if call.text("response_type") != "token":
        raise Failed(705)
    return _token(call, call.shop(), call.params.get("state", ""))


def refresh(call: Call) -> Response:
    """oauth/token: a new pair for a refresh token, which is used up by it."""
    if call.text("grant_type") != "refresh_token":
        raise Failed(705)
    shop = call.market.refresh(NAME, call.app, call.text("refresh_token"))
    if shop is None:
        return JSONResponse({"status": TOKEN_REFUSED, "message": "refresh_token已失效"})
    return _token(call, shop, "")


def check(call: Call) -> None:
    """Refuse a call whose token is missing or dead, where a token is needed."""
    if not dials_of(call.market).needs_token:
        return
    token = call.text("access_token")
    shop = call.market.shop_of_token(NAME, call.app, token)
    if shop is None or not shop.grant.accepts(token, call.market.now()):
        raise Failed(TOKEN_REFUSED)


def _token(call: Call, shop: Shop, state: str) -> Response:
    now, grant = call.market.now(), shop.grant
    said: dict[str, Any] = {
        "status": 0,
        "access_token": grant.access_token,
        "expires_in": int((grant.access_until - now).total_seconds()),
        "refresh_token": grant.refresh_token,
        "re_expires_in": int((grant.refresh_until - now).total_seconds()),
        "state": state,
        "message": "",
    }
    return JSONResponse(said)
