"""The tower's knobs, read once from ORDO_TOWER_*."""

from pydantic import Field

from libs.runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """`latency_window_orders`: over how many of the newest orders `GET /latency` is computed by default."""

    model_config = ServiceSettings.prefixed("ORDO_TOWER_")

    latency_window_orders: int = Field(default=10_000, ge=1, le=100_000)
    # It only looks: it lets those who decide go first, and after a long rest an order's changes meet in one batch.
    rests: float = Field(default=10.0, validation_alias="ORDO_TOWER_RESTS", ge=0)
    rest_limit_ms: int = Field(default=1_000, validation_alias="ORDO_TOWER_REST_LIMIT_MS", ge=0)
