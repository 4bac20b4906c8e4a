"""A merchant's side of the system over HTTP: signs webhooks, defines stock, works as picker, reads the tower."""

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from standardwebhooks import Webhook

from libs.runtime.auth import make_token
from libs.runtime.clock import utc_now

CALL_TIMEOUT_S = 15.0
CONNECTIONS_LIMIT = 40
# A service that has just lost its lease, its database or its schema to a rebuild says 503 for a moment.
AWAY_LIMIT_S, AWAY_PAUSE_S = 20.0, 0.2


def read_env(path: Path) -> dict[str, str]:
    """Return the KEY=VALUE lines of `.ordo/local.env`."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


class Merchant:
    """Talks to a running stack as a platform, an operator, a reviewer and pickers would."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        limits = httpx.Limits(max_connections=CONNECTIONS_LIMIT, max_keepalive_connections=CONNECTIONS_LIMIT)
        self.http = httpx.AsyncClient(timeout=CALL_TIMEOUT_S, limits=limits)
        # httpx looks through every waiting request whenever a connection frees: let few wait there, the others here.
        self._gate = asyncio.Semaphore(CONNECTIONS_LIMIT)
        self._tokens: dict[tuple[str, str, str], str] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self.http.aclose()

    def url(self, service: str, path: str) -> str:
        """Return the address of a service's path."""
        return self.env[f"ORDO_URL_{service.upper()}"] + path

    def bearer(self, role: str, warehouse: str = "", subject: str = "") -> dict[str, str]:
        """Return the headers of a caller with this role."""
        who = (role, warehouse, subject)
        if who not in self._tokens:
            self._tokens[who] = make_token(
                self.env["ORDO_JWT_SECRET"],
                subject=subject or f"{role}-{warehouse or 1}",
                roles=[role],
                warehouse=warehouse or None,
                now=utc_now(),
                lifetime=timedelta(hours=6),
            )
        return {"Authorization": f"Bearer {self._tokens[who]}"}

    async def webhook(self, message_id: str, body: Mapping[str, Any], shop: str = "demo") -> httpx.Response:
        """Post one signed own-channel webhook."""
        raw = json.dumps(body, ensure_ascii=False).encode()
        now = utc_now()
        signature = Webhook(self.env["ORDO_OWN_DEMO_SECRET"]).sign(message_id, now, raw.decode())
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
            "Content-Type": "application/json",
        }
        async with self._gate:
            return await self.http.post(self.url("ingestion", f"/webhooks/own/{shop}"), content=raw, headers=headers)

    async def operate(self, method: str, service: str, path: str, key: str, body: Any = None) -> httpx.Response:
        """Send an operator's command, again under its key while the service says that it is not serving."""
        role = "reviewer" if service == "risk" and path.startswith("/holds") else "operator"
        headers = {**self.bearer(role), "Idempotency-Key": key}
        loop = asyncio.get_running_loop()
        until = loop.time() + AWAY_LIMIT_S
        while True:
            answer = await self.http.request(method, self.url(service, path), json=body, headers=headers)
            if answer.status_code != 503 or loop.time() > until:
                return answer
            await asyncio.sleep(AWAY_PAUSE_S)

    async def read(self, service: str, path: str, **query: Any) -> Any:
        """Return what a service answers an operator's GET; raises for anything but success."""
        found = await self.http.get(self.url(service, path), params=query, headers=self.bearer("operator"))
        found.raise_for_status()
        return found.json()

    async def define_stock(self, sku: str, quantities: Mapping[str, int], **facts: Any) -> None:
        """Define a SKU and receive units of it into warehouses, once."""
        (await self.operate("PUT", "inventory", f"/skus/{quote(sku)}", f"sku:{sku}", facts)).raise_for_status()
        for warehouse, quantity in quantities.items():
            body = {"warehouse": warehouse, "items": [{"sku": sku, "quantity": quantity}]}
            await self._must("POST", "inventory", "/stock/receipts", f"first:{warehouse}:{sku}", body)

    async def define_warehouses(self) -> None:
        """Define 成都 and 广州."""
        for code, name, region, province in (("CD", "成都仓", "西南", "510000"), ("GZ", "广州仓", "华南", "440000")):
            facts = {"name": name, "region": region, "province_code": province}
            await self._must("PUT", "inventory", f"/warehouses/{code}", f"warehouse:{code}", facts)

    async def _must(self, method: str, service: str, path: str, key: str, body: Any) -> None:
        (await self.operate(method, service, path, key, body)).raise_for_status()

    async def pick(self, picker: str, warehouse: str, task_id: str, step: str, body: Any = None) -> httpx.Response:
        """Make one step of a task on a picker's device."""
        headers = {**self.bearer("picker", warehouse, picker), "Idempotency-Key": f"{step}:{task_id}"}
        path = f"/tasks/{quote(task_id, safe='')}/{step}"
        return await self.http.post(self.url("fulfillment", path), json=body, headers=headers)

    async def fulfil(self, picker: str, warehouse: str, task_id: str, waybill: str) -> dict[str, Any]:
        """Claim, scan, pack, weigh and ship one task; raises when a step is refused."""
        (await self.pick(picker, warehouse, task_id, "claim")).raise_for_status()
        path = self.url("fulfillment", f"/tasks/{quote(task_id, safe='')}")
        task = (await self.http.get(path, headers=self.bearer("picker", warehouse, picker))).raise_for_status().json()
        wanted: dict[str, int] = {}
        for line in task["lines"]:
            code = line.get("barcode") or line["sku"]
            wanted[code] = wanted.get(code, 0) + line["quantity"]
        for code, quantity in wanted.items():
            scan = {"scan_id": f"s:{code}", "barcode": code, "quantity": quantity}
            (await self.pick(picker, warehouse, task_id, "scan", scan)).raise_for_status()
        items = [{"barcode": code, "quantity": quantity} for code, quantity in wanted.items()]
        (await self.pick(picker, warehouse, task_id, "pack", {"items": items})).raise_for_status()
        weight = {"weight_grams": task.get("expected_weight_grams") or 500}
        (await self.pick(picker, warehouse, task_id, "weigh", weight)).raise_for_status()
        shipped = {"carrier": "SF", "waybill": waybill, "services": list(task["requirements"])}
        done = (await self.pick(picker, warehouse, task_id, "ship", shipped)).raise_for_status()
        return dict(done.json())


def order_body(order_id: str, wanted: Mapping[str, int], **more: Any) -> dict[str, Any]:
    """Return an own-channel order of these SKUs at 20.00 each, to Wuhan unless `more` says otherwise."""
    now = utc_now().strftime("%Y-%m-%dT%H:%M:%SZ")
    body: dict[str, Any] = {
        "platform_order_id": order_id,
        "placed_at": now,
        "paid_at": now,
        "currency": "CNY",
        "buyer": {"id": f"buyer-of-{order_id}", "vip": False},
        "recipient": {
            "name": "测试收件人",
            "phone": "13800000000",
            "province": "湖北省",
            "city": "武汉市",
            "district": "洪山区",
            "address": "珞喻路1号",
            "postcode": "430070",
        },
        "lines": [
            {"line_id": str(n), "sku": sku, "quantity": quantity, "unit_price": 2000}
            for n, (sku, quantity) in enumerate(wanted.items(), 1)
        ],
        "shipping_fee": 0,
        "total": 2000 * sum(wanted.values()),
        "kind": "normal",
    }
    return {**body, **more}
