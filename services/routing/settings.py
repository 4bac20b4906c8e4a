"""Routing's knobs, read once."""

from pydantic import Field

from libs.runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment: `ORDO_ROUTING_REPLANS_LIMIT` and so on, beside the settings every service has."""

    model_config = ServiceSettings.prefixed("ORDO_ROUTING_")

    replans_limit: int = Field(
        default=5, ge=0, le=100, description="how often in a row a refused order is planned again before it is blocked"
    )
    rule_retry_seconds: int = Field(
        default=30, ge=1, le=86_400, description="how often an order the rules failed on looks for new rules"
    )
    replans_pause_seconds: int = Field(
        default=300,
        ge=1,
        le=86_400,
        description="after the last refusal of these, how long until planning is tried again",
    )
    blocked_look_seconds: int = Field(
        default=300, ge=10, le=86_400, description="how often an order that waits for goods looks for new rules"
    )
    decisions_shown_limit: int = Field(default=50, ge=1, le=200, description="decisions shown with an order")
