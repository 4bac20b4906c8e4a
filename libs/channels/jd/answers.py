"""Opens a JOS answer: its content, or the refusal with what helps against it."""

import re
from typing import Any

from libs.channels.channel import Cure, PlatformRefused
from libs.channels.wire import shown

BUSY_WAIT_S = 1.0

# By `error_response.code`, asked first; then the words decide, for JD's codes are not published whole.
CODES: dict[str, Cure] = {
    "1": Cure.RETRY,
    "2": Cure.RETRY,  # too many calls in its time
    "8": Cure.ASK,  # our clock is wrong
    "12": Cure.ASK,  # the signature does not fit: the secret is another
    "18": Cure.ASK,  # no token at all: nobody has signed in
    "19": Cure.REFRESH,
    "21": Cure.ASK,
    "24": Cure.ASK,
    "65": Cure.RETRY,
}
WORDS: tuple[tuple[re.Pattern[str], Cure], ...] = (
    (re.compile(r"access_?token|token\s*(?:已|is\s)?(?:过期|失效|expired|invalid)", re.IGNORECASE), Cure.REFRESH),
    (re.compile(r"无权|权限|未授权|permission|not authorized", re.IGNORECASE), Cure.ASK),
    (
        re.compile(r"超时|频率|次数超|限流|繁忙|稍后|不可用|timeout|too many|limit|busy|unavailable", re.IGNORECASE),
        Cure.RETRY,
    ),
)


def content(answer: Any, method: str) -> dict[str, Any]:
    """Return what stands in `<method>_responce` (JD's spelling); PlatformRefused for errors and other shapes."""
    if isinstance(answer, dict):
        error = answer.get("error_response")
        if isinstance(error, dict):
            raise refusal(str(error.get("code", "")), error.get("zh_desc") or error.get("en_desc"))
        name = method.replace(".", "_")
        inner = answer.get(f"{name}_responce", answer.get(f"{name}_response"))
        if isinstance(inner, dict):
            if str(inner.get("code") or "0") != "0":
                raise refusal(str(inner["code"]), inner.get("zh_desc") or inner.get("en_desc"))
            return inner
    raise PlatformRefused(Cure.RETRY, "answer", f"does not answer {method}")


def result(inner: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a call's own result, whose success must be said: HTTP 200 and code 0 are no proof of it."""
    found = inner.get(name)
    if not isinstance(found, dict):
        raise PlatformRefused(Cure.RETRY, "answer", f"holds no {name}")
    told = found.get("apiResult")
    told = told if isinstance(told, dict) else found
    if not is_true(told.get("success")):
        code = told.get("numberCode") or told.get("errorCode") or told.get("code") or told.get("result_code") or ""
        words = next((told[key] for key in _WORDS_IN if told.get(key)), "no success and no reason")
        raise refusal(str(code), words)
    return found


def refusal(code: str, words: Any) -> PlatformRefused:
    """Return the refusal that a code and its words mean; the words are kept."""
    text = _TOKEN.sub("…", str(words or ""))
    cure = CODES.get(code) or next((cure for pattern, cure in WORDS if pattern.search(text)), Cure.GIVE_UP)
    return PlatformRefused(cure, code or "refused", shown(text), BUSY_WAIT_S if cure is Cure.RETRY else 0.0)


def rows(value: Any) -> list[dict[str, Any]]:
    """Return a list of objects; absent means empty."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise PlatformRefused(Cure.RETRY, "answer", "holds something else than a list")
    return value


def is_true(value: Any) -> bool:
    """Tell whether JD says yes, which it writes in two ways."""
    return value is True or value == "true"


# JD repeats the access token in its complaint about it.
_TOKEN = re.compile(r"[0-9A-Za-z-]{24,}")
_WORDS_IN = ("chineseErrCode", "errorMsg", "englishErrCode", "msg", "message", "result_message")
