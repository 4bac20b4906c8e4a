"""The decisions of inventory: stock is promised once, owed once, shipped or given back once; pure, no I/O."""

from services.inventory.domain.assign import assign, block, free, ship
from services.inventory.domain.catalogue import define_sku, define_warehouse
from services.inventory.domain.commands import (
    AnnounceInbound,
    CountStock,
    DefineSku,
    DefineWarehouse,
    ReceiveStock,
    ReceiveTransfer,
    SendTransfer,
)
from services.inventory.domain.elsewhere import look
from services.inventory.domain.figures import Policy, explain
from services.inventory.domain.levels import LEVELS, settle, tell
from services.inventory.domain.reserve import amend, cancel, refund, reject, reserve
from services.inventory.domain.rows import (
    Inbound,
    LedgerEntry,
    Level,
    Pool,
    Queue,
    Reservation,
    Sku,
    Telling,
    Transfer,
    Waiting,
    Warehouse,
)
from services.inventory.domain.stock_moves import announce_inbound, count, receive, receive_transfer, send_transfer
from services.inventory.domain.waiting import ELSEWHERE, RECHECK, RETRY, retry

__all__ = [
    "ELSEWHERE",
    "LEVELS",
    "RECHECK",
    "RETRY",
    "AnnounceInbound",
    "CountStock",
    "DefineSku",
    "DefineWarehouse",
    "Inbound",
    "LedgerEntry",
    "Level",
    "Policy",
    "Pool",
    "Queue",
    "ReceiveStock",
    "ReceiveTransfer",
    "Reservation",
    "SendTransfer",
    "Sku",
    "Telling",
    "Transfer",
    "Waiting",
    "Warehouse",
    "amend",
    "announce_inbound",
    "assign",
    "block",
    "cancel",
    "count",
    "define_sku",
    "define_warehouse",
    "explain",
    "free",
    "look",
    "receive",
    "receive_transfer",
    "refund",
    "reject",
    "reserve",
    "retry",
    "send_transfer",
    "settle",
    "ship",
    "tell",
]
