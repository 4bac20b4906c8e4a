"""What a closed order says: its cancellation, whether or not the rest of its document can be read."""

from collections.abc import Callable

from libs.channels.channel import Heard
from libs.channels.own.inbound import Cancellation, Order
from libs.channels.refusals import OrderRefused


def closed(cancellation: Cancellation, read: Callable[[], Order]) -> list[Heard]:
    """Return the order and its cancellation; of an order that cannot be read the cancellation alone.

    It may be here by an older document that could be read, and would ship while this one is parked.
    """
    try:
        return [read(), cancellation]
    except OrderRefused:
        return [cancellation]
