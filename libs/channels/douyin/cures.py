"""What helps against each of Douyin's refusals, as data, and which refusals mean that it was done before; pure."""

from collections.abc import Mapping
from typing import Any

from libs.channels.channel import Cure, PlatformRefused
from libs.channels.wire import shown

SUCCESS, OLDER_SUCCESS = 10_000, 0
LIMITED = 60_000
LIMITED_WAIT_S = 1.0

# By the beginning of sub_code, most telling first.
CURES_BY_REASON: tuple[tuple[str, Cure], ...] = (
    ("isv.access-token-expired", Cure.REFRESH),
    ("isv.access-token-no-existed", Cure.REFRESH),
    ("isv.access-token", Cure.ASK),
    ("dop.token-generate-failed", Cure.ASK),
    ("isv.business-failed:31009", Cure.ASK),  # the refresh token is not known any more
    ("dop.authorization", Cure.ASK),
    ("dop.app", Cure.ASK),
    ("isv.app-", Cure.ASK),
    ("isv.signature", Cure.ASK),
    ("isv.timestamp", Cure.ASK),
    ("dop.service-error", Cure.RETRY),
    ("dop.unknown-error", Cure.RETRY),
    ("isp.api-service-off", Cure.GIVE_UP),
    ("isp.", Cure.RETRY),
)
CURES_BY_CODE: Mapping[int, Cure] = {
    20_000: Cure.RETRY,
    20_001: Cure.RETRY,
    30_001: Cure.ASK,
    30_002: Cure.ASK,
    50_000: Cure.RETRY,
    LIMITED: Cure.RETRY,
    80_000: Cure.ASK,
    90_000: Cure.RETRY,
}
CURES_BY_OLDER_CODE: Mapping[int, Cure] = {30_005: Cure.REFRESH}  # from memory

STOCK_REPEATED = "isv.idempotent-id-existed"
# An open refund forbids this order's shipment until it is answered, for which a merchant has two days. Nobody has to do
# anything about the shop; a call that is made so seldom is still made when the refund may have closed.
OPEN_REFUND_CODES = frozenset({"isv.business-failed:2001051"})
OPEN_REFUND_WORDS = ("退款需要处理", "售后中")
OPEN_REFUND_WAIT_S = 600.0
SHIPPED_WORDS = ("已发货", "重复发货", "已存在")


def check(answer: Any) -> Any:
    """Return the answer's data, or raise what the platform said. Older methods answer with err_no 0 for success."""
    if not isinstance(answer, dict):
        raise PlatformRefused(Cure.RETRY, "answer", "is not an object")
    newer = "code" in answer
    code = answer.get("code") if newer else answer.get("err_no")
    if code == (SUCCESS if newer else OLDER_SUCCESS):
        return answer.get("data")
    if newer and code == 0 and answer.get("err_no", 0) == 0 and "data" in answer:
        return answer["data"]
    reason = str(answer.get("sub_code") or "")
    words = str(answer.get("sub_msg") or answer.get("msg") or answer.get("message") or "")
    if reason in OPEN_REFUND_CODES or any(word in words for word in OPEN_REFUND_WORDS):
        raise PlatformRefused(Cure.RETRY, reason or str(code), shown(words), OPEN_REFUND_WAIT_S)
    raise PlatformRefused(
        _cure(code, reason, newer),
        reason or str(code),
        shown(words),
        LIMITED_WAIT_S if code == LIMITED else 0.0,
    )


def is_repeated_stock(refusal: PlatformRefused) -> bool:
    """Tell whether a stock update had been taken before."""
    return refusal.code == STOCK_REPEATED


def is_shipped_already(refusal: PlatformRefused) -> bool:
    """Tell whether the platform says that it has a shipment already; whose it is, the order tells."""
    return refusal.cure is Cure.GIVE_UP and any(word in refusal.text for word in SHIPPED_WORDS)


def _cure(code: Any, reason: str, newer: bool) -> Cure:
    for beginning, cure in CURES_BY_REASON:
        if reason.startswith(beginning):
            return cure
    if not isinstance(code, int):
        return Cure.GIVE_UP
    return (CURES_BY_CODE if newer else CURES_BY_OLDER_CODE).get(code, Cure.GIVE_UP)
