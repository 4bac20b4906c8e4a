"""What operators write and read about shops: every field bounded, no secret in an answer but the one just made."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from libs.channels.capabilities import Capabilities
from libs.runtime.http import Text
from services.ingestion.domain import Colour

Url = Annotated[str, StringConstraints(pattern=r"^(https?://[!-~]{1,300})?$")]
SecretName = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,32}$")]
SecretText = Text(0, 4_000)
SECRETS_LIMIT = 8
CarrierCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
CARRIERS_LIMIT = 64
Gap = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}( #\d{1,9})?$")]
GAPS_LIMIT = 200


class PlatformAccess(BaseModel):
    """How a shop is spoken for. It replaces what was there as a whole, and is never answered."""

    model_config = ConfigDict(extra="forbid", strict=True)
    app_key: Text(1, 200)  # type: ignore[valid-type]
    app_secret: Text(1, 400)  # type: ignore[valid-type]
    access_token: SecretText = ""  # type: ignore[valid-type]
    refresh_token: SecretText = ""  # type: ignore[valid-type]
    token_expires_at: AwareDatetime | None = Field(default=None, strict=False)
    seller_id: Text(0, 64) = Field(default="", description="the shop's id on the platform")  # type: ignore[valid-type]
    secrets: dict[SecretName, SecretText] = Field(  # type: ignore[valid-type]
        default_factory=dict, max_length=SECRETS_LIMIT, description="what only this platform has, by name"
    )
    gateway: Url = Field(default="", description="base URL of the API; empty: the platform's own")
    sign_in: Url = Field(default="", description="base URL of OAuth; empty: the platform's own")
    push_url: Url = Field(default="", description="our push address as the platform has it, where it signs that too")


class ShopWanted(BaseModel):
    """What a shop should be. A new shop always gets a secret; an existing one only with `rotate_secret`.

    A shop on a platform has `access` instead; without it only `paused` and `carriers` change.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {"channel": "own", "paused": False, "rotate_secret": True},
                {"channel": "taobao", "access": {"app_key": "12345678", "app_secret": "…", "seller_id": "2200000"}},
            ]
        },
    )
    channel: Literal["own", "taobao", "douyin", "pinduoduo", "jd", "meituan", "wechat"] = "own"
    paused: bool = False
    rotate_secret: bool = False
    previous_secret_valid_hours: int = Field(default=24, ge=0, le=168, description="how long the old secret stays good")
    access: PlatformAccess | None = None
    carriers: dict[CarrierCode, Text(1, 64)] | None = Field(  # type: ignore[valid-type]
        default=None,
        max_length=CARRIERS_LIMIT,
        description="the platform's codes of carriers by ours, before the connector's own table; absent: as they are",
        examples=[{"JD": "JDKD"}],
    )
    orders_since: AwareDatetime | None = Field(
        default=None, strict=False, description="a new shop on a platform is complete from here on; default: now"
    )


class TokenShown(BaseModel):
    """How long a shop stays signed in, for what, and what breaks when it does not."""

    version: int
    scopes: list[str]
    expires_at: datetime | None
    refresh_expires_at: datetime | None
    breaks_when_expired: list[str] = Field(examples=[["orders are no longer pulled: completeness stands still"]])


class GapsWaived(BaseModel):
    """Day numbers that no order ever had, or days that cannot be read, as the `gaps` of a shop names them."""

    model_config = ConfigDict(extra="forbid", strict=True)
    gaps: list[Gap] = Field(min_length=1, max_length=GAPS_LIMIT, examples=[["2026-11-11 #3"]])
    why: Text(1, 300) = Field(examples=["the platform's support: never given out"])  # type: ignore[valid-type]


class WaivedShown(BaseModel):
    """A gap that an operator vouched for."""

    gap: str
    by: str
    why: str
    at: datetime


class CompletenessShown(BaseModel):
    """Every order paid from `since` to `complete_until` is here, but for what is parked and what `waived` names."""

    since: datetime
    complete_until: datetime | None
    lag_s: float | None = Field(description="how far behind now that is, in event time")
    evidence: list[str] = Field(examples=[["pull", "days"]])
    evidence_at: datetime | None
    open_documents: int = Field(description="documents that the platform told of and that are not here yet")
    waits_for: list[str] = Field(description="some of them, the oldest first", examples=[["order 4081234567890"]])
    gaps: list[str] = Field(description="day numbers that no order was shown for", examples=[["2026-11-11 #3"]])
    waived: list[WaivedShown]
    parked_documents: int
    late_orders: int
    trouble: str | None
    trouble_since: datetime | None


class ShopShown(BaseModel):
    """A shop as operators see it; `secret_id` tells secrets apart without showing them."""

    shop_id: str = Field(examples=["demo"])
    channel: str = Field(examples=["own"])
    paused: bool
    secret_id: str | None = Field(default=None, examples=["9f86d081"])
    previous_secret_until: datetime | None = None
    from_settings: bool = False
    seller_id: str | None = None
    carriers: dict[str, str] = {}
    colour: Colour = "grey"
    reasons: list[str] = []
    asks_since: datetime | None = None
    token: TokenShown | None = None
    completeness: CompletenessShown | None = None


class ShopSaved(BaseModel):
    """The answer to a change: `secret` is there once, when this very request created it."""

    shop_id: str
    channel: str
    paused: bool
    secret_id: str | None = None
    secret: str | None = Field(default=None, examples=["whsec_…"])
    seller_id: str | None = None
    token_version: int | None = None


class ShopPage(BaseModel):
    """A page of shops."""

    items: list[ShopShown]
    next_cursor: str | None = None


class ChannelShown(BaseModel):
    """What a channel can do."""

    channel: str
    pushes_orders: bool
    pushes_cancellations: bool
    supplies_buyer_token: bool
    pulls_orders: bool
    pulls_refunds: bool
    has_queue: bool
    counts_orders: bool
    numbers_days: bool
    takes_shipment_upload: bool
    splits_parcels: bool
    takes_stock_push: bool
    signs_in: bool
    recipient: str


def breaks_when_expired(capabilities: Capabilities) -> list[str]:
    """Say what a shop's expired token stops."""
    found = ["pushed orders are kept, but their documents cannot be read"]
    if capabilities.pulls_orders or capabilities.numbers_days:
        found.append("orders are no longer pulled: completeness stands still")
    if capabilities.has_queue:
        found.append("the platform's queue is no longer read")
    if capabilities.takes_shipment_upload:
        found.append("shipments wait to be reported")
    if capabilities.takes_stock_push:
        found.append("the platform sells by the stock it was told last")
    return found
