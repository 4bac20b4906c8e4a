"""How TOP says no: numbers and words of its own error list."""

from typing import Any


class TopRefused(Exception):
    """An `error_response`."""

    def __init__(self, code: int, msg: str, sub_code: str = "", sub_msg: str = "") -> None:
        super().__init__(f"{code} {sub_code}")
        self.code, self.msg, self.sub_code, self.sub_msg = code, msg, sub_code, sub_msg

    def document(self, request_id: str) -> dict[str, Any]:
        """Return the answer's JSON."""
        error: dict[str, Any] = {"code": self.code, "msg": self.msg, "request_id": request_id}
        if self.sub_code:
            error.update(sub_code=self.sub_code, sub_msg=self.sub_msg)
        return {"error_response": error}


def missing(name: str) -> TopRefused:
    """Return the refusal for an argument that is not there."""
    return TopRefused(40, "Missing required arguments:" + name, f"isv.missing-parameter:{name}", f"缺少必要参数 {name}")


def invalid(name: str, why: str = "参数无效") -> TopRefused:
    """Return the refusal for an argument that makes no sense."""
    return TopRefused(41, "Invalid arguments:" + name, f"isv.invalid-parameter:{name}", f"{name} {why}")


def failed(sub_code: str, sub_msg: str) -> TopRefused:
    """Return the refusal of the service behind the gateway."""
    return TopRefused(15, "Remote service error", sub_code, sub_msg)
