"""How JD says no: numbers and words of its gateway's list."""

from typing import Any

WORDS = {
    2: ("限制时间内调用失败次数", "App Call Limited"),
    4: ("缺少版本参数", "Missing Version"),
    5: ("不支持的版本号", "Unsupported Version"),
    7: ("缺少时间戳参数", "Missing Timestamp"),
    8: ("非法的时间戳参数", "Invalid Timestamp"),
    11: ("缺少签名参数", "Missing Signature"),
    12: ("无效签名", "Invalid Signature"),
    14: ("缺少方法名参数", "Missing Method"),
    15: ("不存在的方法名", "Invalid Method"),
    18: ("缺少access_token参数", "Missing access_token"),
    19: ("无效access_token", "Invalid access_token"),
    20: ("缺少app_key参数", "Missing app_key"),
    21: ("无效app_key", "Invalid app_key"),
    61: ("参数值不合法，请参照帮助文档确认", "Invalid parameter value"),
    62: ("json转换时错误，错误的请求参数", "Invalid JSON parameter"),
    65: ("平台连接后端服务超时", "Platform connecting service timeout"),
}


class JdRefused(Exception):
    """An `error_response`."""

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(f"{code} {detail}")
        self.code, self.detail = code, detail

    def document(self) -> dict[str, Any]:
        """Return the answer's JSON."""
        chinese, english = WORDS[self.code]
        if self.detail:
            chinese, english = f"{chinese}: {self.detail}", f"{english}: {self.detail}"
        return {"error_response": {"code": str(self.code), "zh_desc": chinese, "en_desc": english}}
