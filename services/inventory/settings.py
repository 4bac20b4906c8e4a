"""Inventory's knobs, read once."""

from pydantic import Field

from libs.runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment: `ORDO_INVENTORY_SAFETY_PERCENT` and so on, beside the settings every service has."""

    model_config = ServiceSettings.prefixed("ORDO_INVENTORY_")

    safety_percent: int = Field(
        default=150, ge=0, le=10_000, description="safety line in percent of a day's average sales, unless a SKU says"
    )
    sales_window_days: int = Field(default=7, ge=1, le=90, description="days that average daily sales look back on")
    lead_cover_days: int = Field(
        default=7, ge=0, le=365, description="days of sales a suggested purchase covers beyond the safety line"
    )
    retry_limit_orders: int = Field(default=100, ge=1, le=2_000, description="waiting orders tried again at a time")
    recheck_after_ms: int = Field(
        default=5_000, ge=100, le=600_000, description="when to look whether announced goods were really taken"
    )
    elsewhere_every_ms: int = Field(
        default=300_000,
        ge=1_000,
        le=86_400_000,
        description="how often to look what another warehouse could ship by now of what waits at one",
    )
    levels_every_ms: int = Field(
        default=2_000,
        ge=0,
        le=60_000,
        description="levels that changed are told together at most so often",
    )
