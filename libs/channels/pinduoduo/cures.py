"""What helps against each of Pinduoduo's refusals, as data, and which mean that it was done before; pure."""

from collections.abc import Mapping
from typing import Any

from libs.channels.channel import Cure, PlatformRefused
from libs.channels.wire import shown

LIMITED_WAIT_S = 1.0

# Only 70031 was read in public code; the other numbers are from memory (README.md).
CURES_BY_CODE: Mapping[str, Cure] = {
    "10018": Cure.REFRESH,
    "10019": Cure.REFRESH,  # the access token has expired
    "10016": Cure.ASK,
    "10035": Cure.ASK,
    "20004": Cure.ASK,  # the signature does not fit: secret or clock
    "20005": Cure.ASK,  # the caller's address is not on the list
    "20031": Cure.ASK,  # the shop did not permit this method
    "20032": Cure.REFRESH,  # the token is not (any more) the application's
    "20034": Cure.ASK,
    "20035": Cure.ASK,
    "30000": Cure.ASK,
    "30001": Cure.ASK,
    "50000": Cure.RETRY,
    "52001": Cure.RETRY,
    "52002": Cure.RETRY,
    "52101": Cure.RETRY,
    "52102": Cure.RETRY,
    "52103": Cure.RETRY,
    "70031": Cure.RETRY,
    "70032": Cure.RETRY,
    "70033": Cure.RETRY,
    "70034": Cure.RETRY,
    "70035": Cure.RETRY,
    "70036": Cure.RETRY,
}
LIMITED_CODES = frozenset({"52101", "52102", "52103", "70031", "70032", "70033", "70034", "70035", "70036"})

# A number we do not know is judged by its words.
CURES_BY_WORD: tuple[tuple[str, Cure], ...] = (
    ("refresh_token", Cure.ASK),
    ("access_token", Cure.REFRESH),
    ("过于频繁", Cure.RETRY),
    ("限流", Cure.RETRY),
    ("稍后", Cure.RETRY),
    ("超时", Cure.RETRY),
    ("授权", Cure.ASK),
    ("风控", Cure.ASK),
)
# An order that may not leave now, and may later: a refund is open (a merchant has two days to answer it), or risk
# control checks it. Nobody has to do anything about the shop.
LATER_WORDS = ("售后中", "风控审核中")
LATER_WAIT_S = 600.0
SHIPPED_WORDS = ("已发货", "重复发货", "已经发货")


def check(answer: Any, response_key: str) -> dict[str, Any]:
    """Return the answer under its key, or raise what the platform said."""
    if not isinstance(answer, dict):
        raise PlatformRefused(Cure.RETRY, "answer", "is not an object")
    error = answer.get("error_response")
    if isinstance(error, dict):
        code, sub_code = str(error.get("error_code") or ""), str(error.get("sub_code") or "")
        words = str(error.get("sub_msg") or error.get("error_msg") or "")
        named = f"{code}/{sub_code}" if sub_code else code
        if any(word in words for word in LATER_WORDS):
            raise PlatformRefused(Cure.RETRY, named, shown(words), LATER_WAIT_S)
        raise PlatformRefused(
            _cure(code, words),
            named,
            shown(words),
            LIMITED_WAIT_S if code in LIMITED_CODES else 0.0,
        )
    value = answer.get(response_key, answer)
    if not isinstance(value, dict):
        raise PlatformRefused(Cure.RETRY, "answer", f"holds no {response_key}")
    return value


def is_shipped_already(refusal: PlatformRefused) -> bool:
    """Tell whether the platform says that the order has left already; under which waybill, the order tells."""
    return refusal.cure is Cure.GIVE_UP and any(word in refusal.text for word in SHIPPED_WORDS)


def _cure(code: str, words: str) -> Cure:
    # A sub_code is the number of the service behind the gateway, which counts for itself.
    return CURES_BY_CODE.get(code) or next((cure for word, cure in CURES_BY_WORD if word in words), Cure.GIVE_UP)
