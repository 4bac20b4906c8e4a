"""Risk's knobs, read once. Thresholds are none of them: they are parameters of the rules."""

from pydantic import Field

from libs.runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment: `ORDO_RISK_LOCAL_UTC_OFFSET_MINUTES`, beside the settings every service has."""

    model_config = ServiceSettings.prefixed("ORDO_RISK_")

    local_utc_offset_minutes: int = Field(
        default=480, ge=-840, le=840, description="where a buyer's day begins and ends; China is UTC+8 all year"
    )
