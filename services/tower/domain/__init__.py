"""The fold behind the read model: where every order stands and what led there; it decides nothing."""

from services.tower.domain.fold import CHANGES, TOLD, fold_of, name_warehouses, note_parked, note_told, told
from services.tower.domain.rows import (
    STAGES,
    WAITING_STAGES,
    OrderView,
    ParkedCount,
    PickLatency,
    StageCount,
    TimelineEntry,
    stage_of,
)

__all__ = [
    "CHANGES",
    "STAGES",
    "TOLD",
    "WAITING_STAGES",
    "OrderView",
    "ParkedCount",
    "PickLatency",
    "StageCount",
    "TimelineEntry",
    "fold_of",
    "name_warehouses",
    "note_parked",
    "note_told",
    "stage_of",
    "told",
]
