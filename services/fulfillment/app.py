"""Wires fulfillment: settings, handlers, tables, routes, and the webhook to a WMS where there is one."""

from collections.abc import Mapping

import httpx

from libs.runtime.service import Parts, Service
from libs.senders.standard_webhooks import StandardWebhookSender
from libs.stream.egress import Sender
from services.fulfillment import api, handlers, store
from services.fulfillment.domain import WMS, Tolerance
from services.fulfillment.settings import Settings


def build(settings: Settings) -> Service:
    """Return the service, ready to run."""

    def senders(parts: Parts) -> Mapping[str, Sender]:
        if not settings.wms_url:
            return {}
        secret = settings.wms_secret.get_secret_value()
        client = httpx.AsyncClient()
        return {
            WMS: StandardWebhookSender(settings.wms_url, secret, client, timeout_seconds=settings.wms_timeout_seconds)
        }

    return Service(
        name="fulfillment",
        settings=settings,
        handlers=handlers.handlers(
            claim_limit_seconds=settings.claim_limit_seconds,
            tolerance=Tolerance(
                percent=settings.weight_tolerance_percent, floor_grams=settings.weight_tolerance_floor_grams
            ),
            tell_wms=bool(settings.wms_url),
        ),
        tables=store.TABLES,
        routers=api.routers,
        senders=senders,
        vault=True,
        title="Ordo fulfillment 履约",
    )
