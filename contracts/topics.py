"""Each topic once: its name, its one writer, its readers, its events and how long it keeps them."""

from dataclasses import dataclass

from contracts import catalog, notices, orders, parked, risk, routes, shipments, stock, stock_levels
from contracts.envelope import Event

SERVICES = ("ingestion", "inventory", "routing", "risk", "fulfillment", "notification", "tower")
FOREVER_MS = -1
THIRTY_DAYS_MS = 30 * 24 * 3600 * 1000


@dataclass(frozen=True)
class Topic:
    """One log. All topics have the same partition count, so one key has the same partition number in each."""

    name: str
    writer: str
    readers: tuple[str, ...]
    events: tuple[type[Event], ...]
    retention_ms: int = FOREVER_MS


# A batch is decided in this order of topics, then by partition, then by offset.
CATALOG = Topic(
    "ordo.catalog.v1", "inventory", ("risk", "fulfillment", "tower"), (catalog.SkuDefined, catalog.WarehouseDefined)
)
ORDERS = Topic(
    "ordo.orders.v1",
    "ingestion",
    ("inventory", "routing", "risk", "fulfillment", "notification", "tower"),
    (orders.OrderPlaced, orders.OrderAmended, orders.OrderCancelRequested, orders.RefundRequested),
)
RISK = Topic(
    "ordo.risk.v1",
    "risk",
    ("inventory", "routing", "fulfillment", "notification", "tower"),
    (risk.OrderCleared, risk.OrderHeld, risk.HoldResolved, risk.OrderRejected),
)
STOCK = Topic(
    "ordo.stock.v1",
    "inventory",
    ("routing", "fulfillment", "tower"),
    (
        stock.StockReserved,
        stock.StockShort,
        stock.ShippableChanged,
        stock.StockAssigned,
        stock.AssignmentRefused,
        stock.StockReleased,
        stock.StockShipped,
    ),
)
ROUTES = Topic(
    "ordo.routes.v1", "routing", ("inventory", "notification", "tower"), (routes.RoutePlanned, routes.RouteBlocked)
)
SHIPMENTS = Topic(
    "ordo.shipments.v1",
    "fulfillment",
    ("ingestion", "inventory", "notification", "tower"),
    (
        shipments.PickTaskCreated,
        shipments.PickTaskClaimed,
        shipments.PickTaskUnclaimed,
        shipments.ItemsPicked,
        shipments.ParcelPacked,
        shipments.ParcelWeighed,
        shipments.ParcelShipped,
        shipments.FulfillmentCancelled,
        shipments.CancelTooLate,
        shipments.AmendTooLate,
    ),
)
STOCK_LEVELS = Topic(
    "ordo.stock-levels.v1",
    "inventory",
    ("ingestion", "notification"),
    (stock_levels.StockLevelChanged, stock_levels.SafetyLineCrossed, stock_levels.InboundExpected),
    THIRTY_DAYS_MS,
)
NOTICES = Topic(
    "ordo.notices.v1", "notification", ("tower",), (notices.NoticeSent, notices.NoticeFailed), THIRTY_DAYS_MS
)
PARKED = {
    name: Topic(f"ordo.parked-{name}.v1", name, () if name == "tower" else ("tower",), (parked.MessageParked,))
    for name in SERVICES
}

TOPICS: tuple[Topic, ...] = (
    CATALOG,
    ORDERS,
    RISK,
    STOCK,
    ROUTES,
    SHIPMENTS,
    STOCK_LEVELS,
    NOTICES,
    *PARKED.values(),
)
BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}
POSITION: dict[str, int] = {topic.name: place for place, topic in enumerate(TOPICS)}
EVENT_TYPES: dict[str, type[Event]] = {event.__name__: event for topic in TOPICS for event in topic.events}
TOPIC_OF: dict[type[Event], Topic] = {
    event: topic for topic in TOPICS for event in topic.events if event is not parked.MessageParked
}


def topic_of(event: type[Event], writer: str) -> Topic:
    """Return the topic that `writer` publishes `event` to; KeyError if it has no right to."""
    topic = PARKED[writer] if event is parked.MessageParked else TOPIC_OF[event]
    if topic.writer != writer:
        raise KeyError(f"{writer} does not write {topic.name}, where {event.__name__} lives")
    return topic


def topics_read_by(service: str) -> tuple[Topic, ...]:
    """Return the topics a service reads, in decision order."""
    return tuple(topic for topic in TOPICS if service in topic.readers)
