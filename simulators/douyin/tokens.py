"""Signing in and tokens: a refresh more than an hour before the end answers the same token again."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from simulators.douyin.answers import Failed
from simulators.douyin.dials import NAME
from simulators.douyin.documents import number
from simulators.douyin.gate import Call
from simulators.model import Shop, TokenRules

if TYPE_CHECKING:
    from simulators.market import Market

DAY_S = 24 * 3600
RULES = TokenRules(7 * DAY_S, 14 * DAY_S, refresh_rotates=True, same_until_s=3600, old_lives_s=3600)


def create(call: Call) -> dict[str, Any]:
    """token.create: for a code of the sign-in page, or for one's own shop."""
    kind = call.params.get("grant_type")
    if kind == "authorization_code":
        shop = call.market.exchange(NAME, call.app, str(call.params.get("code") or ""))
        if shop is None:
            raise _refused("code-expired", "生成token失败，code已经失效（code的有效期为10分钟）")
    elif kind == "authorization_self":
        shop = call.market.shop_of_seller(NAME, str(call.params.get("shop_id") or ""))
        if shop is None or shop.app is not call.app:
            raise _refused("no-authorization", "生成token失败，店铺授权已失效，请重新引导商家完成店铺授权")
        if (shop.grant.access_until - call.market.now()).total_seconds() <= RULES.same_until_s:
            shop.grant = call.market.new_grant(NAME)
    else:
        raise _refused("grant-type-invalid", "生成token失败，grant_type参数取值不正确")
    return _token(call, shop)


def refresh(call: Call) -> dict[str, Any]:
    """token.refresh: a new pair within the last hour, the known one before."""
    if call.params.get("grant_type") != "refresh_token":
        raise _refused("grant-type-invalid", "生成token失败，grant_type参数取值不正确")
    shop = call.market.refresh(NAME, call.app, str(call.params.get("refresh_token") or ""))
    if shop is None:
        raise _refused("token-expired", "生成token失败，token已过期")
    return _token(call, shop)


async def sign_in(market: "Market", request: Request) -> Response:
    """The page where a merchant lets an application in: whoever comes is let in, and sent back with a code."""
    asked = request.query_params
    app = market.apps.get((NAME, asked.get("service_id", "")))
    shops = market.shops_of(NAME, app) if app else []
    shop = next((s for s in shops if asked.get("shop_id", "") in ("", s.shop_id, s.seller_id)), None)
    if shop is None:
        return JSONResponse({"message": "service_id不存在"}, status_code=400)
    said = {"code": market.authorize(shop), "state": asked.get("state", "")}
    # On the platform the address is registered with the application; here it may come along.
    target = asked.get("redirect_uri") or shop.settings.get("redirect_uri", "")
    if not target:
        return JSONResponse(said)
    return RedirectResponse(target + ("&" if "?" in target else "?") + urlencode(said), status_code=302)


def _token(call: Call, shop: Shop) -> dict[str, Any]:
    left_s = (shop.grant.access_until - call.market.now()).total_seconds()
    return {
        "access_token": shop.grant.access_token,
        "expires_in": max(int(left_s), 0),
        "refresh_token": shop.grant.refresh_token,
        "scope": "SCOPE",
        "shop_id": number(shop.seller_id),
        "shop_name": shop.name,
    }


def _refused(what: str, text: str) -> Failed:
    return Failed(50001, f"dop.token-generate-failed:{what}", text)
