"""The tower's knobs, read once from ORDO_TOWER_*."""

from pydantic import Field

from libs.runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """`latency_window_orders`: over how many of the newest orders `GET /latency` is computed by default."""

    model_config = ServiceSettings.prefixed("ORDO_TOWER_")

    latency_window_orders: int = Field(default=10_000, ge=1, le=100_000)
