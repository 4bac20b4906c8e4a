"""Wires notification: who sends what where, with the sink wherever no provider is configured."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import msgspec

from libs.runtime.clock import utc_now
from libs.runtime.service import Service
from libs.senders.dingtalk import DingTalkSender
from libs.senders.sink import SinkSender
from libs.senders.sms import AliyunSmsSender
from libs.stream.egress import Refused, Sender
from libs.vault import Forgotten, Vault
from services.notification import api, domain, handlers, store
from services.notification.settings import Settings

CONNECTIONS_LIMIT = 16


def build(settings: Settings) -> Service:
    """Return the service, ready to be served."""
    limits = domain.DigestLimits(
        # Never faster than the limit, whatever the interval says.
        interval_ms=max(settings.digest_interval_ms, -(-60_000 // settings.messages_per_minute_limit)),
        lines_limit=settings.digest_lines_limit,
        text_limit_bytes=settings.digest_limit_bytes,
    )
    return Service(
        name="notification",
        settings=settings,
        handlers=handlers.handlers(limits),
        tables=store.TABLES,
        routers=api.routers,
        senders=lambda parts: senders(settings, parts.require_vault()),
        vault=True,
        title="Ordo notification 通知",
    )


def senders(settings: Settings, vault: Vault) -> Mapping[str, Sender]:
    """Return the sender of each destination."""
    opened = opener(vault)
    sink = SinkSender(
        path=settings.sink_path,
        hash_key=settings.buyer_key_secret.encode(),
        open_recipient=opened,
        file_limit_bytes=settings.sink_limit_bytes,
    )
    client = httpx.AsyncClient(
        timeout=httpx.Timeout(settings.answer_timeout_ms / 1000, connect=settings.connect_timeout_ms / 1000),
        limits=httpx.Limits(max_connections=CONNECTIONS_LIMIT),
    )
    found: dict[str, Sender] = {domain.SMS: sink, domain.DINGTALK: sink}
    if settings.sms_provider == "aliyun":
        found[domain.SMS] = AliyunSmsSender(
            access_key_id=settings.aliyun_access_key_id,
            access_key_secret=settings.aliyun_access_key_secret.get_secret_value(),
            sign_name=settings.sms_sign_name,
            client=client,
            open_recipient=opened,
            clock=utc_now,
            endpoint=settings.sms_endpoint,
        )
    if settings.dingtalk_url:
        found[domain.DINGTALK] = DingTalkSender(
            settings.dingtalk_url,
            settings.dingtalk_secret.get_secret_value(),
            client,
            messages_per_minute_limit=settings.messages_per_minute_limit,
        )
    return found


def opener(vault: Vault) -> Callable[[str], Awaitable[Mapping[str, Any]]]:
    """Return how a sealed recipient is opened: at the last moment, and never again once its data key is destroyed."""

    async def opened(sealed: str) -> Mapping[str, Any]:
        try:
            content = msgspec.json.decode(await vault.open(sealed))
        except Forgotten as gone:
            raise Refused(f"the recipient was erased: {gone}") from gone
        recipient: Mapping[str, Any] = content["recipient"]
        return recipient

    return opened
