"""What fulfillment decides: who picks what, whether the parcel is right and has left, and who won a cancellation."""

from services.fulfillment.domain.answers import NEXT, task_view
from services.fulfillment.domain.commands import (
    ClaimTask,
    HandBack,
    PackedItem,
    PackParcel,
    RegisterDevice,
    RevokeDevice,
    ScanItem,
    ShipParcel,
    TaskCommand,
    WeighParcel,
    order_of,
)
from services.fulfillment.domain.devices import register_device, revoke_device
from services.fulfillment.domain.orders import amend, assign, cancel, define_sku, place, refund, release
from services.fulfillment.domain.parcels import Tolerance, pack, ship, weigh
from services.fulfillment.domain.picking import CLAIM_TIMER, claim, expire, hand_back, scan
from services.fulfillment.domain.rows import (
    LABEL_STATES,
    TASK_STATES,
    Device,
    Item,
    OrderFile,
    PickLine,
    PickTask,
    TaskRef,
    Waybill,
)
from services.fulfillment.domain.wms import WMS

__all__ = [
    "CLAIM_TIMER",
    "LABEL_STATES",
    "NEXT",
    "TASK_STATES",
    "WMS",
    "ClaimTask",
    "Device",
    "HandBack",
    "Item",
    "OrderFile",
    "PackParcel",
    "PackedItem",
    "PickLine",
    "PickTask",
    "RegisterDevice",
    "RevokeDevice",
    "ScanItem",
    "ShipParcel",
    "TaskCommand",
    "TaskRef",
    "Tolerance",
    "Waybill",
    "WeighParcel",
    "amend",
    "assign",
    "cancel",
    "claim",
    "define_sku",
    "expire",
    "hand_back",
    "order_of",
    "pack",
    "place",
    "refund",
    "register_device",
    "release",
    "revoke_device",
    "scan",
    "ship",
    "task_view",
    "weigh",
]
