"""The gateway that the client's tests speak to, and what they say."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx

from libs.channels.channel import About, Access, Window
from libs.channels.jd import CHANNEL

NOW = datetime(2026, 11, 11, 4, 0, tzinfo=UTC)
WINDOW = Window(NOW - timedelta(hours=1), NOW)
ACCESS = Access("s1", "key-1", "secret-1", "token-1", "refresh-1", "", {}, "http://x/jd", "http://x/jd")
STAMP = "2026-11-11 11:59:00"
SEARCH, GET, VIEW = "jingdong.pop.order.search", "jingdong.pop.order.get", "jingdong.asc.serviceAndRefund.view"
APPLIED = "jingdong.pop.afs.soa.refundapply.queryPageList"
SHIP, STOCK = "jingdong.pop.order.shipment", "jingdong.ware.stock.sku.set"


class Gateway:
    """Answers by method; keeps what was asked."""

    def __init__(self, answers):
        self.answers, self.asked = answers, []

    def __call__(self, request):
        form = {name: values[0] for name, values in parse_qs(request.content.decode(), keep_blank_values=True).items()}
        assert (request.method, request.url.path) == ("POST", "/jd/routerjson")
        unsigned = "".join(name + form[name] for name in sorted(form) if name != "sign")
        assert form["sign"] == hashlib.md5(f"secret-1{unsigned}secret-1".encode()).hexdigest().upper()
        assert (form["timestamp"], form["v"], form["access_token"]) == ("2026-11-11 12:00:00", "2.0", "token-1")
        method, asked = form["method"], json.loads(form["360buy_param_json"])
        self.asked.append((method, asked))
        answer = self.answers[method]
        answer = answer(asked) if callable(answer) else answer
        if isinstance(answer, httpx.Response):
            return answer
        key = method.replace(".", "_") + "_responce"
        return httpx.Response(200, json=answer if "error_response" in answer else {key: {"code": "0", **answer}})


def speaking(answers, access=ACCESS):
    gateway = answers if callable(answers) else Gateway(answers)
    http = httpx.AsyncClient(transport=httpx.MockTransport(gateway))
    return CHANNEL.client(access, http, lambda: NOW), gateway


def refused(code, zh_desc="不行"):
    return {"error_response": {"code": code, "zh_desc": zh_desc, "en_desc": "no"}}


def orders_of(found, total):
    return {"searchorderinfo_result": {"apiResult": {"success": True}, "orderTotal": total, "orderInfoList": found}}


class Orders:
    """A list sorted oldest change first; `after` changes it after so many pages were read."""

    def __init__(self, ids, after=None):
        self.ids, self.after, self.pages = list(ids), after or {}, 0

    def __call__(self, asked):
        size, number = int(asked["page_size"]), int(asked["page"])
        part = self.ids[(number - 1) * size : number * size]
        answer = orders_of([{"orderId": each, "modified": STAMP} for each in part], len(self.ids))
        if size > 1:
            self.pages += 1
            self.after.get(self.pages, lambda ids: None)(self.ids)
        return answer


async def walked(jd, about=About.ORDER, window=WINDOW):
    return [page async for page in jd.pages(about, window)]
