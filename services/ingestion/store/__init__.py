"""The tables of ingestion, and the only SQL it runs."""

from libs.stream.tables import Tables
from services.ingestion.store import connections, orders, outward
from services.ingestion.store.connections import (
    ConnectionRecord,
    Watched,
    all_connections,
    connection_by_id,
    known_subjects,
    parked_documents,
    progress_of,
    waiting,
    watched,
)
from services.ingestion.store.orders import ShopRecord, intake, platform_order, shop, shop_by_id, shops
from services.ingestion.store.pages import METADATA, PAGE_LIMIT_ROWS, BadCursor, cursor_of

TABLES = Tables(METADATA, {**orders.BY_TYPE, **connections.BY_TYPE, **outward.BY_TYPE})

__all__ = [
    "METADATA",
    "PAGE_LIMIT_ROWS",
    "TABLES",
    "BadCursor",
    "ConnectionRecord",
    "ShopRecord",
    "Watched",
    "all_connections",
    "connection_by_id",
    "cursor_of",
    "intake",
    "known_subjects",
    "parked_documents",
    "platform_order",
    "progress_of",
    "shop",
    "shop_by_id",
    "shops",
    "waiting",
    "watched",
]
