"""Who takes part: one line a channel. What a connector can do is asked of its capabilities, not written here again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from libs.channels.channel import Channel
from libs.channels.registry import CHANNELS


@dataclass(frozen=True)
class Entry:
    """A channel of the registry, and what its double does otherwise than most."""

    name: str  # in the registry; the double's name as well
    skus_named_by: Literal["sku_id", "outer_id"] = "sku_id"  # by what the platform knows a listing's SKU
    holds_risky: bool = False  # the platform checks some paid orders before they may be shipped
    delta_has_key: bool = True  # a stock difference that is told twice counts once
    tells_shipped: bool = True  # a refund says by itself whether the goods had left
    token_dials: Mapping[str, object] = field(default_factory=dict)  # make the double ask for a token

    @property
    def channel(self) -> Channel:
        """Return the connector."""
        return CHANNELS[self.name]


ENTRIES = (
    Entry("taobao"),
    Entry("douyin", holds_risky=True),
    Entry("pinduoduo", holds_risky=True),
    Entry("jd"),
    Entry("meituan", skus_named_by="outer_id", tells_shipped=False, token_dials={"needs_token": True}),
    Entry("wechat", delta_has_key=False, tells_shipped=False),
)
