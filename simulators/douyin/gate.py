"""The gateway's own checks of a call, in their order: application, signature, time, token, rate."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from simulators.clock import of_wall
from simulators.douyin.answers import Failed
from simulators.douyin.dials import NAME, dials_of
from simulators.douyin.signing import call_signature, is_canonical
from simulators.model import App, Shop

if TYPE_CHECKING:
    from simulators.market import Market

TIMESTAMP_TOLERANCE_S = 600
WITHOUT_TOKEN = ("token.create", "token.refresh")


@dataclass(frozen=True)
class Call:
    """A call that passed the gateway. Calls about tokens have no shop yet."""

    market: "Market"
    app: App
    method: str
    params: dict[str, Any]
    _shop: Shop | None

    @property
    def shop(self) -> Shop:
        """Return the shop whose token was shown."""
        if self._shop is None:
            raise Failed(40001, "isv.access-token-missing", "认证失败，access_token不能为空")
        return self._shop

    def count(self) -> None:
        """Count the call in its shop's books; calls about tokens have no shop."""
        if self._shop is not None:
            self._shop.count(self.method)

    def text(self, name: str) -> str:
        """Return a required parameter as text; numbers count."""
        value = self.params.get(name)
        if value is None or value == "" or isinstance(value, bool | dict | list | float):
            raise Failed(40002, "isv.parameter-missing", f"缺少必选参数{name}")
        return str(value)

    def number(self, name: str, least: int, most: int, default: int | None = None) -> int:
        """Return a whole number within its limits; texts of digits count."""
        value = self.params.get(name, default)
        if value is None or value == "":
            raise Failed(40002, "isv.parameter-missing", f"缺少必选参数{name}")
        try:
            found = int(str(value))
        except ValueError:
            found = least - 1
        if not least <= found <= most or isinstance(value, bool):
            raise Failed(40004, "isv.parameter-invalid", f"参数{name}不合法")
        return found


def admitted(market: "Market", path: str, query: Mapping[str, str], param_json: str) -> Call:
    """Return the call, or raise what the gateway answers."""
    method = query.get("method", "")
    if not method or path.strip("/").replace("/", ".") != method:
        raise Failed(70000, "isp.api-service-off", "API不存在或API已下线")
    app = _app(market, query.get("app_key", ""))
    _check_signature(market, app, method, query, param_json)
    _check_time(market, query.get("timestamp", ""))
    params = _params(param_json)
    shop = None if method in WITHOUT_TOKEN else _shop(market, app, query.get("access_token", ""))
    if market.over_limit(NAME, app):
        raise Failed(60000, "isp.call-limited", "触发限流，请稍后重试")
    return Call(market, app, method, params, shop)


def _app(market: "Market", app_key: str) -> App:
    if not app_key:
        raise Failed(40001, "isv.app-id-missing", "认证失败，app_key不存在")
    app = market.apps.get((NAME, app_key))
    if app is None:
        raise Failed(40003, "isv.app-id-invalid", "认证失败，app_key格式不正确，应为19位纯数字")
    return app


def _check_signature(market: "Market", app: App, method: str, query: Mapping[str, str], param_json: str) -> None:
    if not query.get("sign"):
        raise Failed(40001, "isv.signature-missing", "获取签名失败，请根据文档确保参数拼装正确")
    timestamp, version = query.get("timestamp", ""), query.get("v", "")
    expected = call_signature(
        app.secret, app.app_key, method, param_json, timestamp, version, query.get("sign_method", "")
    )
    canonical = not dials_of(market).canonical_params or is_canonical(param_json)
    if version != "2" or query["sign"] != expected or not canonical:
        raise Failed(40003, "isv.signature-invalid", "签名校验失败")


def _check_time(market: "Market", timestamp: str) -> None:
    try:
        at_s = float(int(timestamp)) if timestamp.isdigit() else of_wall(timestamp).timestamp()
    except ValueError:
        raise Failed(40003, "isv.timestamp-format-error", "时间戳格式错误") from None
    if market.dials[NAME].timestamps_checked and abs(market.clock.now_s() - at_s) > TIMESTAMP_TOLERANCE_S:
        raise Failed(40003, "isv.timestamp-invalid", "时间戳不合法")


def _params(param_json: str) -> dict[str, Any]:
    try:
        params = json.loads(param_json)
    except (ValueError, RecursionError):
        params = None
    if not isinstance(params, dict):
        raise Failed(40003, "isv.parameter-format-invalid", "业务参数json解析失败，所有参数需为string类型")
    return params


def _shop(market: "Market", app: App, token: str) -> Shop:
    if not token:
        raise Failed(40001, "isv.access-token-missing", "认证失败，access_token不能为空")
    shop = market.shop_of_token(NAME, app, token)
    if shop is None:
        if any(market.shop_of_token(NAME, other, token) for (name, _), other in market.apps.items() if name == NAME):
            raise Failed(40003, "isv.access-token-invalid", "app_key和access_token不匹配，请仔细检查")
        raise Failed(40003, "isv.access-token-no-existed", "access_token不存在，请使用最新的access_token访问")
    if not shop.grant.accepts(token, market.now()):
        raise Failed(40003, "isv.access-token-expired", "access_token已过期")
    return shop


def moment(call: Call, name: str, default: datetime) -> datetime:
    """Return a parameter in seconds since 1970 as a moment."""
    if call.params.get(name) in (None, "", 0):
        return default
    return datetime.fromtimestamp(call.number(name, 0, 2**33), default.tzinfo)
