"""The order exports of the platforms' back offices, as data: which heading is which column of ours."""

from collections.abc import Iterable

from libs.channels.csv.exports.douyin import DOUYIN
from libs.channels.csv.exports.export import Export, normal
from libs.channels.csv.exports.jd import JD
from libs.channels.csv.exports.meituan import MEITUAN
from libs.channels.csv.exports.pinduoduo import PINDUODUO
from libs.channels.csv.exports.taobao import TAOBAO
from libs.channels.csv.exports.wechat import WECHAT
from libs.channels.refusals import OrderRefused

EXPORTS: tuple[Export, ...] = (TAOBAO, DOUYIN, PINDUODUO, JD, MEITUAN, WECHAT)
BY_PLATFORM = {export.platform: export for export in EXPORTS}


def named(platform: str) -> Export:
    """Return the export of a platform that somebody named."""
    export = BY_PLATFORM.get(platform)
    if export is None:
        raise OrderRefused("platform", f"must be one of {', '.join(BY_PLATFORM)}")
    return export


def recognised(headings: Iterable[str]) -> Export | None:
    """Return the export whose signs the heading row carries; None when it is nobody's."""
    found = {normal(heading) for heading in headings}
    fitting = [export for export in EXPORTS if any(sign <= found for sign in export.signs)]
    if len(fitting) > 1:
        names = ", ".join(export.platform for export in fitting)
        raise OrderRefused("platform", f"the heading fits several platforms ({names}): name the one it comes from")
    return fitting[0] if fitting else None
