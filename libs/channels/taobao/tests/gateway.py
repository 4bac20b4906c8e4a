"""The gateway that the client's tests speak to, and what they say."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx

from libs.channels.channel import About, Access, Window
from libs.channels.taobao import CHANNEL

NOW = datetime(2026, 11, 11, 4, 0, tzinfo=UTC)
WINDOW = Window(NOW - timedelta(minutes=30), NOW)
ACCESS = Access(
    "s1",
    "12345678",
    "helloworld",
    "session-1",
    "refresh-1",
    "2074082786",
    {"tmc_group": "g1"},
    "http://x/taobao",
    "http://x/taobao",
)
STAMP = "2026-11-11 11:59:00"


class Gateway:
    """Answers by method; keeps what was asked."""

    def __init__(self, answers):
        self.answers, self.asked = answers, []

    def __call__(self, request):
        form = {name: values[0] for name, values in parse_qs(request.content.decode(), keep_blank_values=True).items()}
        assert (request.method, request.url.path) == ("POST", "/taobao/router/rest")
        unsigned = "".join(name + form[name] for name in sorted(form) if name != "sign")
        assert form["sign"] == hmac.new(b"helloworld", unsigned.encode(), hashlib.md5).hexdigest().upper()
        assert form["sign_method"] == "hmac"
        assert form["timestamp"] == "2026-11-11 12:00:00"
        assert all(form.values())
        self.asked.append(form)
        method = form["method"]
        answer = self.answers[method]
        answer = answer(form) if callable(answer) else answer
        if isinstance(answer, httpx.Response):
            return answer
        key = method.removeprefix("taobao.").replace(".", "_") + "_response"
        return httpx.Response(200, json=answer if "error_response" in answer else {key: answer})


def speaking(answers, access=ACCESS):
    gateway = answers if callable(answers) else Gateway(answers)
    http = httpx.AsyncClient(transport=httpx.MockTransport(gateway))
    return CHANNEL.client(access, http, lambda: NOW), gateway


def refused(code, sub_code="", sub_msg="", msg="no"):
    return {"error_response": {"code": code, "msg": msg, "sub_code": sub_code, "sub_msg": sub_msg, "request_id": "r"}}


class Trades:
    """A list sorted newest first; `after` changes it after so many pages were read."""

    def __init__(self, ids, after=None):
        self.ids, self.after, self.pages = list(ids), after or {}, 0

    def __call__(self, form):
        size, number = int(form["page_size"]), int(form["page_no"])
        if form["use_has_next"] == "false":
            return {"total_results": len(self.ids)}
        part = self.ids[(number - 1) * size : number * size]
        answer = {
            "has_next": number * size < len(self.ids),
            "trades": {"trade": [{"tid": each, "modified": STAMP} for each in part]},
        }
        self.pages += 1
        self.after.get(self.pages, lambda ids: None)(self.ids)
        return answer


async def walked(taobao, about=About.ORDER, window=WINDOW):
    return [page async for page in taobao.pages(about, window)]
