"""Fulfillment's knobs, read once from ORDO_FULFILLMENT_…"""

from pydantic import Field, SecretStr

from libs.runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """How long a claim holds, how exact a scale must be, and which WMS hears of tasks."""

    model_config = ServiceSettings.prefixed("ORDO_FULFILLMENT_")

    claim_limit_seconds: int = Field(default=900, ge=10, le=86_400)
    weight_tolerance_percent: int = Field(default=5, ge=0, le=100)
    weight_tolerance_floor_grams: int = Field(default=50, ge=0, le=100_000)
    wms_url: str = ""
    wms_secret: SecretStr = SecretStr("")
    wms_timeout_seconds: float = Field(default=10.0, gt=0, le=14)
