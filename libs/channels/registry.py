"""Every channel by name: the one place that knows which platforms there are."""

from libs.channels import douyin, jd, meituan, pinduoduo, taobao, wechat
from libs.channels.capabilities import Capabilities
from libs.channels.channel import Channel
from libs.channels.csv.capabilities import CAPABILITIES as CSV
from libs.channels.own.capabilities import CAPABILITIES as OWN

CHANNELS: dict[str, Channel] = {
    "taobao": taobao.CHANNEL,
    "douyin": douyin.CHANNEL,
    "pinduoduo": pinduoduo.CHANNEL,
    "jd": jd.CHANNEL,
    "meituan": meituan.CHANNEL,
    "wechat": wechat.CHANNEL,
}
PLATFORMS = tuple(CHANNELS)


def channel(name: str) -> Channel:
    """Return a platform's connector; KeyError when there is none of that name."""
    return CHANNELS[name]


def capabilities() -> list[Capabilities]:
    """Return what each channel can do: own and files first, then the platforms."""
    return [OWN, CSV, *(each.capabilities for each in CHANNELS.values())]
