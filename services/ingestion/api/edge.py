"""Between a message and its command: derives what decisions need and seals the rest, so no name goes further."""

from datetime import datetime

import msgspec

from contracts.orders import Destination
from libs.channels.own import mapping
from libs.channels.own.inbound import Cancellation, Order, Recipient
from libs.regions import is_pickup_point, resolve
from libs.runtime.service import Parts
from services.ingestion.domain import CancelOrder, PlaceOrder

CHANNEL = mapping.CHANNEL


class Edge:
    """Makes commands that hold no personal data in clear."""

    def __init__(self, parts: Parts) -> None:
        self._vault = parts.require_vault()
        self._now = parts.now
        self._keys = mapping.derive_keys(parts.settings.buyer_key_secret.encode())

    async def command(
        self, shop_id: str, message: Order | Cancellation, raw: bytes, request_id: str
    ) -> PlaceOrder | CancelOrder:
        """Return the command for one message; `raw` is kept sealed as it came."""
        month = _month(self._now())
        raw_sealed = await self._vault.seal(shop_id, month, raw)
        if isinstance(message, Cancellation):
            return CancelOrder(
                order_id=mapping.order_id_of(CHANNEL, shop_id, message.platform_order_id),
                request_id=request_id,
                requested_at=message.cancelled_at,
                reason=mapping.public_reason(message.reason),
                raw_sealed=raw_sealed,
            )
        sealed = await self._vault.seal(shop_id, month, mapping.personal(message))
        key = mapping.buyer_key(self._keys, CHANNEL, message.buyer)
        return PlaceOrder(
            order=mapping.placed(CHANNEL, shop_id, message, key, destination_of(message.recipient), sealed),
            fingerprints=mapping.fingerprints(self._keys, message),
            request_id=request_id,
            raw_sealed=raw_sealed,
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
