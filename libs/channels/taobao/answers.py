"""Opens a TOP answer: its content, or the refusal with what helps against it."""

import re
from typing import Any

from libs.channels.channel import Cure, PlatformRefused
from libs.channels.wire import shown

BAN_LIMIT_S = 86_400.0
LIMITED_WAIT_S = 1.0
ALREADY_SHIPPED = "isv.logistics-offline-service-error:B04"

_BAN = re.compile(r"last for (\d{1,9}) more second")

# These decide alone: whatever `sub_code` says, the session is missing or no longer good.
SESSION_CODES: dict[str, Cure] = {"26": Cure.ASK, "27": Cure.REFRESH, "53": Cure.REFRESH}
# By the start of `sub_code`, first match counts. What no rule names is a business refusal: nothing helps.
SUB_CODES: tuple[tuple[str, Cure], ...] = (
    ("isp.", Cure.RETRY),
    ("accesscontrol.", Cure.RETRY),
    ("invalid-sessionkey", Cure.REFRESH),
    ("session-expired", Cure.REFRESH),
    ("sessionkey-", Cure.REFRESH),
    ("isv.invalid-sessionkey", Cure.REFRESH),
    ("isv.session-expired", Cure.REFRESH),
    ("isv.logistics-offline-service-error:B150", Cure.RETRY),  # its text: wait a little and try again
    ("isv.logistics-offline-service-error:B60", Cure.ASK),  # the waybill breaks the carrier's rule or was used before
    ("isv.permission", Cure.ASK),
    ("isv.invalid-permission", Cure.ASK),
    ("isv.item-is-delist", Cure.ASK),
    ("isv.", Cure.GIVE_UP),
)
# By `code`, asked only when `sub_code` decides nothing.
CODES: dict[str, Cure] = {
    "3": Cure.RETRY,
    "4": Cure.RETRY,
    "5": Cure.RETRY,
    "6": Cure.RETRY,
    "7": Cure.RETRY,
    "8": Cure.RETRY,
    "10": Cure.RETRY,
    "11": Cure.ASK,
    "12": Cure.ASK,
    "13": Cure.ASK,
    "25": Cure.ASK,
    "28": Cure.ASK,
    "29": Cure.ASK,
    "30": Cure.ASK,
    "31": Cure.ASK,
}


def content(answer: Any, method: str) -> dict[str, Any]:
    """Return what stands in `<method>_response`; PlatformRefused for an error or an answer of another shape."""
    if isinstance(answer, dict):
        error = answer.get("error_response")
        if isinstance(error, dict):
            raise refusal(error)
        inner = answer.get(method.removeprefix("taobao.").replace(".", "_") + "_response")
        if isinstance(inner, dict):
            return inner
    raise PlatformRefused(Cure.RETRY, "answer", f"does not answer {method}")


def refusal(error: dict[str, Any]) -> PlatformRefused:
    """Return the refusal that an `error_response` means; its words are kept."""
    code, sub_code = str(error.get("code", "")), str(error.get("sub_code") or "")
    words = str(error.get("sub_msg") or error.get("msg") or "")
    cure = SESSION_CODES.get(code) or next((cure for start, cure in SUB_CODES if sub_code.startswith(start)), None)
    if cure is None:
        cure = CODES.get(code, Cure.GIVE_UP)
    after_s = 0.0
    if cure is Cure.RETRY:
        ban = _BAN.search(words)
        after_s = min(float(ban[1]), BAN_LIMIT_S) if ban else LIMITED_WAIT_S
    return PlatformRefused(cure, sub_code or code, shown(words), after_s)


def rows(value: Any, name: str) -> list[dict[str, Any]]:
    """Return a list, which TOP writes as `{"trade": [...]}` or, simplified, as `[...]`; absent means empty."""
    if isinstance(value, dict):
        value = value.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise PlatformRefused(Cure.RETRY, "answer", f"has no list of {name}")
    return value
