"""How Pinduoduo says no: the numbers and words of its error list."""

from typing import Any

WORDS = {
    10000: "参数错误",
    10001: "公共参数错误",
    10016: "client_id不正确",
    10019: "access_token已过期",
    20004: "签名sign校验失败",
    20007: "缺少必填请求参数",
    20032: "access_token或client_id错误",
    50001: "业务服务错误",
    52101: "当前接口被限流，请稍后重试",
    70031: "调用过于频繁，请调整调用频率",
}


class PddRefused(Exception):
    """An `error_response`; `detail` follows the words."""

    def __init__(self, code: int, detail: str = "", sub_code: str = "", sub_msg: str = "") -> None:
        super().__init__(f"{code} {detail}")
        self.code, self.detail, self.sub_code, self.sub_msg = code, detail, sub_code, sub_msg

    def document(self, request_id: str) -> dict[str, Any]:
        """Return the answer's JSON."""
        words = WORDS[self.code] + (f":{self.detail}" if self.detail else "")
        return {
            "error_response": {
                "error_code": self.code,
                "error_msg": words,
                "sub_code": self.sub_code or str(self.code),
                "sub_msg": self.sub_msg or words,
                "request_id": request_id,
            }
        }


def failed(sub_code: str, sub_msg: str) -> PddRefused:
    """Return the refusal of the service behind the gateway."""
    return PddRefused(50001, "", sub_code, sub_msg)
