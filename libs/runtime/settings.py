"""What every service must be told, read once at the start; units stand in the names."""

from typing import Self

from pydantic import AliasChoices, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Settings that all services share, from `ORDO_*`; a service adds its own under `ORDO_<SERVICE>_*`."""

    model_config = SettingsConfigDict(env_prefix="ORDO_", extra="ignore", frozen=True, populate_by_name=True)

    kafka: str = Field(validation_alias="ORDO_KAFKA", description="bootstrap servers, host:port[,host:port]")
    postgres: str = Field(validation_alias="ORDO_POSTGRES", description="postgresql://user:password@host:port/database")
    jwt_secret: str = Field("", validation_alias="ORDO_JWT_SECRET", description="signs local tokens (HS256)")
    oidc_issuer: str = Field(
        "", validation_alias="ORDO_OIDC_ISSUER", description="issuer whose tokens are accepted too"
    )
    oidc_jwks_url: str = Field("", validation_alias="ORDO_OIDC_JWKS_URL")
    oidc_audience: str = Field("ordo", validation_alias="ORDO_OIDC_AUDIENCE")
    master_key: str = Field("", validation_alias="ORDO_MASTER_KEY", description="32 bytes, base64: wraps the data keys")
    buyer_key_secret: str = Field("", validation_alias="ORDO_BUYER_KEY_SECRET", description="keys the hash of buyers")
    host: str = Field("127.0.0.1", validation_alias="ORDO_HOST")
    port: int = Field(0, validation_alias=AliasChoices("ORDO_PORT"))
    log_level: str = Field("INFO", validation_alias="ORDO_LOG_LEVEL")
    shard: int = Field(0, validation_alias="ORDO_SHARD", ge=0)
    shards: int = Field(1, validation_alias="ORDO_SHARDS", ge=1)
    partitions: int = Field(
        1,
        validation_alias="ORDO_PARTITIONS",
        ge=1,
        description="of every topic, when it is created: at least the shards",
    )
    replication: int = Field(1, validation_alias="ORDO_REPLICATION", ge=1)
    batch_inputs: int = Field(
        4_000,
        validation_alias="ORDO_BATCH_INPUTS",
        ge=1,
        description="of one transaction: an order's events meet there",
    )
    queue_commands: int = Field(2_000, validation_alias="ORDO_QUEUE_COMMANDS", ge=1)
    rests: float = Field(
        3.0, validation_alias="ORDO_RESTS", ge=0, description="a busy worker begins batches so many durations apart"
    )
    rest_limit_ms: int = Field(100, validation_alias="ORDO_REST_LIMIT_MS", ge=0)
    calls_in_flight: int = Field(
        8, validation_alias="ORDO_CALLS_IN_FLIGHT", ge=1, description="outward calls at once, of each destination"
    )
    lease_ms: int = Field(3_000, validation_alias="ORDO_LEASE_MS", ge=500)

    @model_validator(mode="after")
    def _every_shard_has_work(self) -> Self:
        if self.shard >= self.shards:
            raise ValueError("ORDO_SHARD counts from 0: it must be less than ORDO_SHARDS")
        if self.shards > self.partitions:
            raise ValueError("ORDO_SHARDS must not exceed ORDO_PARTITIONS: a shard without a partition reads nothing")
        return self

    @staticmethod
    def prefixed(prefix: str) -> SettingsConfigDict:
        """Return the model_config of a service whose own knobs start with `prefix`."""
        return SettingsConfigDict(env_prefix=prefix, extra="ignore", frozen=True, populate_by_name=True)


def sqlalchemy_url(dsn: str) -> str:
    """Return a plain Postgres DSN as SQLAlchemy's asyncpg URL."""
    return "postgresql+asyncpg://" + dsn.split("://", 1)[1]
