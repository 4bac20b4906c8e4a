"""What Meituan answers: `{"data": ...}`, or `ng` with one of its error codes; the HTTP status is always 200."""

from typing import Any

from starlette.responses import Response

from simulators.calls import as_json

OK = "ok"
MESSAGES = {
    700: "系统错误",
    701: "缺少参数，数据不完整",
    702: "app_id不存在",
    703: "签名验证错误",
    704: "没有权限操作这条数据",
    705: "参数格式错误",
    708: "没有权限访问该接口",
    711: "接口调用过于频繁，触发流控，请降低调用频率",
    803: "不存在此门店",
    805: "不存在此菜品",
    806: "不存在此订单",
    808: "操作失败（如订单在操作时，状态已变更等情况）",
    1015: "不存在此菜品sku",
    4001: "access_token已失效",
    1022: "该订单已完成，无法取消",
}


class Failed(Exception):
    """A call that is refused with a documented code."""

    def __init__(self, code: int, text: str = "") -> None:
        super().__init__(str(code))
        self.code = code
        self.text = text or MESSAGES[code]


def succeeded(data: Any, message: str = "") -> Response:
    """Wrap what a call found."""
    return _answer({"data": data, "msg": message} if message else {"data": data})


def failed(failure: Failed) -> Response:
    """Wrap a refusal."""
    return _answer({"data": "ng", "error": {"code": failure.code, "msg": failure.text}})


def _answer(said: dict[str, Any]) -> Response:
    return as_json(said)
