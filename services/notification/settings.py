"""Notification's knobs, read once from ORDO_NOTIFICATION_*."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from libs.runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """Without a provider or a robot's address, messages go to the local sink."""

    model_config = ServiceSettings.prefixed("ORDO_NOTIFICATION_")

    # Nobody waits for a notice as a picker waits for a task: it lets those who decide go first.
    rests: float = Field(default=10.0, validation_alias="ORDO_NOTIFICATION_RESTS", ge=0)
    rest_limit_ms: int = Field(default=1_000, validation_alias="ORDO_NOTIFICATION_REST_LIMIT_MS", ge=0)
    dingtalk_url: str = ""
    dingtalk_secret: SecretStr = SecretStr("")
    messages_per_minute_limit: int = Field(default=18, ge=1, le=19)
    digest_interval_ms: int = Field(default=5_000, ge=1_000)
    digest_lines_limit: int = Field(default=15, ge=1, le=100)
    digest_limit_bytes: int = Field(default=18_000, ge=1_000, le=19_500)
    sms_provider: Literal["sink", "aliyun"] = "sink"
    sms_sign_name: str = ""
    sms_endpoint: str = "https://dysmsapi.aliyuncs.com"
    aliyun_access_key_id: str = ""
    aliyun_access_key_secret: SecretStr = SecretStr("")
    sink_path: Path | None = None
    sink_limit_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    connect_timeout_ms: int = Field(default=3_000, ge=100)
    answer_timeout_ms: int = Field(default=10_000, ge=100, le=14_000)

    @model_validator(mode="after")
    def _provider_is_complete(self) -> "Settings":
        """A provider that cannot sign would refuse every message: say so at the start instead."""
        if self.sms_provider == "aliyun" and not (
            self.aliyun_access_key_id and self.aliyun_access_key_secret.get_secret_value() and self.sms_sign_name
        ):
            raise ValueError("sms_provider=aliyun needs aliyun_access_key_id, aliyun_access_key_secret, sms_sign_name")
        return self
