"""Between a message and its command: derives what decisions need and seals the rest, so no name goes further."""

import hashlib
import hmac
from datetime import datetime

import msgspec

from contracts.orders import Destination
from libs.channels.channel import Heard
from libs.channels.own import mapping
from libs.channels.own.inbound import AskedBack, Cancellation, LeftOrder, Order, Recipient, RefundWithdrawn
from libs.regions import is_pickup_point, resolve
from libs.runtime.service import Parts
from services.ingestion.domain import CancelOrder, PlaceOrder, RequestRefund

CHANNEL = mapping.CHANNEL
DIGEST_BYTES = 12


class Edge:
    """Makes commands that hold no personal data in clear."""

    def __init__(self, parts: Parts) -> None:
        self._vault = parts.require_vault()
        self._now = parts.now
        self._keys = mapping.derive_keys(parts.settings.buyer_key_secret.encode())

    async def command(
        self, shop_id: str, message: Order | Cancellation, raw: bytes, request_id: str
    ) -> PlaceOrder | CancelOrder:
        """Return the command for one message of the own channel; `raw` is kept sealed as it came."""
        raw_sealed = await self.seal(shop_id, raw)
        if isinstance(message, Cancellation):
            return self._cancellation(CHANNEL, shop_id, message, raw_sealed, request_id)
        return await self._order(CHANNEL, shop_id, message, raw_sealed, request_id)

    async def command_of_platform(
        self, channel: str, shop_id: str, message: Heard, request_id: str
    ) -> PlaceOrder | CancelOrder | RequestRefund:
        """Return the command for one thing that a platform's document says; the document itself is sealed once."""
        if isinstance(message, Order):
            return await self._order(channel, shop_id, message, "", request_id)
        if isinstance(message, Cancellation):
            return self._cancellation(channel, shop_id, message, "", request_id)
        if isinstance(message, AskedBack):
            command = await self.command_of_platform(channel, shop_id, message.order, request_id)
            return msgspec.structs.replace(command, asked_back=True)
        order_id = mapping.order_id_of(channel, shop_id, message.platform_order_id)
        if isinstance(message, RefundWithdrawn):
            return RequestRefund(order_id=order_id, refund_id=message.refund_id, amount=0, withdrawn=True)
        return RequestRefund(
            order_id=order_id,
            refund_id=message.refund_id,
            amount=message.amount,
            after_shipping=message.after_shipping,
            requested_at=message.requested_at,
            reason=mapping.public_reason(message.reason),
            line_ids=message.line_ids,
        )

    async def seal(self, shop_id: str, raw: bytes) -> str:
        """Seal what came under the shop's key of this month."""
        return await self._vault.seal(shop_id, _month(self._now()), raw)

    def digest(self, text: bytes) -> str:
        """Return a keyed hash by which secrets can be told apart, and nothing else."""
        return hmac.digest(self._keys.content, b"ordo access\0" + text, hashlib.sha256)[:DIGEST_BYTES].hex()

    def _cancellation(
        self, channel: str, shop_id: str, message: Cancellation, raw_sealed: str, request_id: str
    ) -> CancelOrder:
        return CancelOrder(
            order_id=mapping.order_id_of(channel, shop_id, message.platform_order_id),
            request_id=request_id,
            requested_at=message.cancelled_at,
            reason=mapping.public_reason(message.reason),
            raw_sealed=raw_sealed,
        )

    async def _order(self, channel: str, shop_id: str, message: Order, raw_sealed: str, request_id: str) -> PlaceOrder:
        sealed = await self.seal(shop_id, mapping.personal(message))
        key = mapping.buyer_key(self._keys, channel, message.buyer)
        return PlaceOrder(
            order=mapping.placed(channel, shop_id, message, key, destination_of(message.recipient), sealed),
            fingerprints=mapping.fingerprints(self._keys, message),
            request_id=request_id,
            raw_sealed=raw_sealed,
            left=message.left if isinstance(message, LeftOrder) else "",
        )

    async def command_of_file_order(self, shop_id: str, order: Order, request_id: str) -> PlaceOrder:
        """Return the command for an order read from a file, whose message was put together from its rows."""
        command = await self.command(shop_id, order, msgspec.json.encode(order), request_id)
        assert isinstance(command, PlaceOrder)
        return command


def destination_of(recipient: Recipient) -> Destination:
    """Return the delivery address as codes; what cannot be told is marked, not guessed."""
    found = resolve(recipient.province, recipient.city, recipient.district, recipient.address)
    return Destination(
        resolved=found.resolved,
        province_code=found.province_code,
        city_code=found.city_code,
        district_code=found.district_code,
        region=found.region,
        is_pickup_point=is_pickup_point(recipient.address),
        why_unresolved="" if found.resolved else found.why,
    )


def _month(moment: datetime) -> str:
    return f"{moment.year:04}-{moment.month:02}"
