"""A platform in memory with a connector of its own: what a test tells it, the service has to find out."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from libs.channels.capabilities import Capabilities
from libs.channels.channel import (
    About,
    Answer,
    Channel,
    Cure,
    Document,
    Hint,
    Page,
    PlatformRefused,
    Pushed,
    PushRefused,
    Token,
)
from libs.channels.own.inbound import Cancellation, Refund, RefundWithdrawn, convert
from libs.channels.refusals import OrderRefused
from libs.runtime.clock import utc_now
from services.ingestion.tests.samples import message

ABLE = Capabilities(
    channel="taobao",
    pushes_orders=True,
    pushes_cancellations=True,
    supplies_buyer_token=True,
    pulls_orders=True,
    pulls_refunds=True,
    counts_orders=True,
    calls_per_second=1_000,
    signs_in=True,
    token_lives_s=3_600,
)


def second(moment):
    return moment.replace(microsecond=0)


@dataclass
class FakePlatform:
    """Orders and refunds by number, the tokens it takes, and what it refuses next."""

    orders: dict = field(default_factory=dict)
    refunds: dict = field(default_factory=dict)
    tokens: set = field(default_factory=lambda: {"token-1"})
    refuses: list = field(default_factory=list)
    fetched: list = field(default_factory=list)
    refreshes: int = 0
    hides: set = field(default_factory=set)
    lists_documents: bool = False

    def change(self, number, **what):
        now = utc_now()
        order = self.orders.setdefault(number, {"order": message(platform_order_id=number, paid_at=now.isoformat())})
        order["modified"] = second(now)
        order["order"].update(what.pop("order", {}))
        order.update(what)
        return order

    def ask_refund(self, number, order, amount):
        self.refunds[number] = {"order": order, "amount": amount, "modified": second(utc_now())}

    def withdraw(self, number):
        self.refunds[number] |= {"withdrawn": True, "modified": second(utc_now())}

    def channel(self):
        return Channel(
            capabilities=ABLE, client=lambda access, http, now: FakeClient(self, access), receive=receive, heard=heard
        )


def receive(request, access, now):
    if dict(request.headers).get(b"x-sign", b"").decode() != access.app_secret:
        raise PushRefused("the signature does not fit")
    if request.method == "GET":
        return Pushed(Answer(request.query, "text/plain"))
    try:
        found = json.loads(request.body)
    except ValueError:
        raise OrderRefused("", "is not JSON") from None
    hints = [Hint(About(each.get("about", "order")), each["id"], each.get("message", "")) for each in found]
    return Pushed(Answer(b'{"code":0}'), tuple(hints))


def heard(document):
    said = json.loads(document.raw)
    if document.about is About.REFUND and said.get("withdrawn"):
        return [RefundWithdrawn(platform_order_id=said["order"], refund_id=document.subject_id)]
    if document.about is About.REFUND:
        return [
            Refund(
                type="order.refund_requested",
                platform_order_id=said["order"],
                refund_id=document.subject_id,
                amount=said["amount"],
            )
        ]
    if said.get("poison"):
        raise OrderRefused("lines[0].num", "is not a number")
    if said.get("crash"):
        return [said["no such field"]]
    order = {name: value for name, value in said["order"].items() if value is not None}
    for name in ("placed_at", "paid_at"):
        order[name] = datetime.fromisoformat(order[name])
    order["promise"] = None
    found = [convert(order, said.get("left", ""))]
    if said.get("closed"):
        found.append(Cancellation(type="order.cancelled", platform_order_id=document.subject_id, reason="closed"))
    return found


class FakeClient:
    """Calls on one access."""

    def __init__(self, platform, access):
        self.platform, self.access = platform, access

    def _check(self):
        if self.platform.refuses:
            raise self.platform.refuses.pop(0)
        if self.access.access_token not in self.platform.tokens:
            raise PlatformRefused(Cure.REFRESH, "27", "invalid session")

    def authorize_url(self, redirect_uri, state):
        return f"https://sign-in.example/authorize?redirect_uri={redirect_uri}&state={state}"

    async def exchange(self, code, redirect_uri):
        if code != "good":
            raise PlatformRefused(Cure.ASK, "code", "is not good")
        return self._token()

    async def refresh(self):
        if self.access.refresh_token != "refresh":
            raise PlatformRefused(Cure.ASK, "40006", "the refresh token was revoked")
        return self._token()

    def _token(self):
        self.platform.refreshes += 1
        name = f"token-{self.platform.refreshes + 1}"
        self.platform.tokens = {name}
        return Token(name, utc_now() + timedelta(hours=1), "refresh", scopes=("trade", "item"), seller_id="9")

    async def pages(self, about, window):
        self._check()
        held = self.platform.orders if about is About.ORDER else self.platform.refunds
        found = [(n, o["modified"]) for n, o in held.items() if window.since <= o["modified"] < window.until]
        shown = tuple(each for each in found if each[0] not in self.platform.hides)
        whole = [self.document_of(about, number) for number, _ in shown] if self.platform.lists_documents else []
        yield Page(subjects=shown, documents=tuple(whole))

    async def count(self, window):
        return sum(window.since <= o["modified"] < window.until for o in self.platform.orders.values())

    async def document(self, about, subject_id):
        self._check()
        self.platform.fetched.append(subject_id)
        return self.document_of(about, subject_id)

    def document_of(self, about, subject_id):
        held = self.platform.orders if about is About.ORDER else self.platform.refunds
        if subject_id not in held:
            raise PlatformRefused(Cure.GIVE_UP, "trade-not-exist", "no such trade")
        said = held[subject_id]
        raw = json.dumps({name: value for name, value in said.items() if name != "modified"}, ensure_ascii=False)
        return Document(about, subject_id, raw.encode(), said["modified"])
