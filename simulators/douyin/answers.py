"""What the gateway answers: the 10000 envelope, and its documented error codes."""

from typing import Any

from starlette.responses import Response

from simulators.calls import as_json

SUCCESS = 10000
MESSAGES = {
    20000: "服务不可用",
    30001: "操作权限不足",
    40001: "缺少必选参数（平台校验）",
    40002: "缺少必选参数（业务校验）",
    40003: "非法的参数（平台校验）",
    40004: "非法的参数（业务校验）",
    50001: "平台处理失败",
    50002: "业务处理失败",
    60000: "触发限流，请稍后重试",
    70000: "接口服务已下线",
}


class Failed(Exception):
    """A call that the gateway or a business system refuses."""

    def __init__(self, code: int, sub_code: str = "", sub_msg: str = "") -> None:
        super().__init__(f"{code} {sub_code}")
        self.code = code
        self.sub_code = sub_code
        self.sub_msg = sub_msg


class BusinessFailed(Failed):
    """The order, listing or refund does not allow what was asked."""

    def __init__(self, number: int, sub_msg: str) -> None:
        super().__init__(50002, f"isv.business-failed:{number}", sub_msg)


def succeeded(data: Any, log_id: str) -> Response:
    """Wrap what a call found."""
    return _answer({"code": SUCCESS, "msg": "success", "sub_code": "", "sub_msg": "", "data": data}, log_id, 0)


def failed(failure: Failed, log_id: str) -> Response:
    """Wrap a refusal; the HTTP status stays 200."""
    said = {"code": failure.code, "msg": MESSAGES[failure.code], "sub_code": failure.sub_code}
    return _answer({**said, "sub_msg": failure.sub_msg, "data": None}, log_id, failure.code)


def _answer(said: dict[str, Any], log_id: str, number: int) -> Response:
    # Gateways of the older generation said err_no and message: both are still there.
    said |= {"err_no": number, "message": said["msg"], "log_id": log_id}
    return as_json(said)
