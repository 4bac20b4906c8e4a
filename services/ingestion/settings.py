"""The knobs of ingestion, read once from the environment."""

from pydantic import Field, SecretStr

from libs.channels.own.signing import key_of_secret
from libs.runtime.settings import ServiceSettings

DEMO_SHOP = "demo"


class Settings(ServiceSettings):
    """What every service has, and the own-channel shop that exists without anybody creating it."""

    model_config = ServiceSettings.prefixed("ORDO_INGESTION_")

    # Platforms and shops wait for the answer: company is worth a few milliseconds to them, not more.
    rests: float = Field(default=4.0, validation_alias="ORDO_INGESTION_RESTS", ge=0)
    rest_limit_ms: int = Field(default=15, validation_alias="ORDO_INGESTION_REST_LIMIT_MS", ge=0)
    # A request may hold hundreds of orders.
    batch_inputs: int = Field(default=1_000, validation_alias="ORDO_INGESTION_BATCH_INPUTS", ge=1)
    # What bounds calls to a platform is its rate, which the channel's client keeps to; this only fills its line.
    calls_in_flight: int = Field(default=64, validation_alias="ORDO_INGESTION_CALLS_IN_FLIGHT", ge=1)
    # Buyers are hashed and personal data sealed here first, so this service does not start without the two secrets.
    buyer_key_secret: str = Field(validation_alias="ORDO_BUYER_KEY_SECRET", min_length=16)
    master_key: str = Field(validation_alias="ORDO_MASTER_KEY", min_length=44, max_length=44)
    own_demo_secret: SecretStr | None = Field(default=None, validation_alias="ORDO_OWN_DEMO_SECRET")
    public_url: str = Field(
        "", validation_alias="ORDO_PUBLIC_URL", description="how platforms and browsers reach this service"
    )
    url_inventory: str = Field(
        "", validation_alias="ORDO_URL_INVENTORY", description="who is asked for the figures of a SKU newly listed"
    )
    pull_interval_s: float = Field(10.0, validation_alias="ORDO_PULL_INTERVAL_S", gt=0)
    shop_late_after_s: float = Field(300.0, validation_alias="ORDO_SHOP_LATE_AFTER_S", gt=0)
    shop_red_after_s: float = Field(900.0, validation_alias="ORDO_SHOP_RED_AFTER_S", gt=0)

    @property
    def own_keys(self) -> dict[str, bytes]:
        """The signing keys of the shops that come from the environment."""
        if self.own_demo_secret is None:
            return {}
        return {DEMO_SHOP: key_of_secret(self.own_demo_secret.get_secret_value())}
