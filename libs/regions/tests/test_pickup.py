"""Which words make an address a pick-up point, and which only look like it."""

from pathlib import Path

import pytest

from libs.regions import is_pickup_point

OFFICES = Path(__file__).parent / "data"

PICKUP = """珞喻路1037号菜鸟驿站|妈妈驿站(阳光花园店)|阳光小区3栋丰巢柜|丰巢智能快递柜12号|阳光花园南门丰 巢|
阳光花园驿站|XX小区驿站代收|中通快递代收点|顺丰速运营业点|顺丰营业部|申通快递点|德邦快递营业部|韵达快递超市|京东自提点|京东便民站|
京东快递营业部|中国邮政营业厅|邮政代办所|邮政快递超市|3单元快递柜|自提柜|自提点:永辉超市|2号门代收点|兔喜生活|近邻宝柜|
速递易|菜鸟裹裹站点|菜鳥驛站|豐巢櫃|Cainiao 菜鸟驿站|蜂巢快递柜|小区智能快递柜|极兔速递网点|DPD Pickup Station|
dpd pickup station 3|多多买菜自提点|学校快递站|快递代收处|百世快递服务点|菜鸟驿站南京东路店|快递自提点|顺丰站|
村委会邮政便民点|韵达快递门店|丰\u200b巢柜|菜鸟·驿站|ＥＭＳ营业厅|圆通妈妈店|代取点"""

STREET = """德邦物流园3栋|顺丰大厦|顺丰总部大厦A座|南京东路100号|北京东站旁|望京东园四区|京东大厦|京东总部1号楼|
京东物流园|京东亚洲一号|圆通速递总部|中通路99号|申通信息广场2楼|顺丰分拨中心3号|德邦快递转运中心办公楼|菜鸟网络科技园|菜鸟中心仓|
丰巢科技大厦|邮政大厦8楼|河南省邮政公司北楼213室|古驿站文化街12号|驿站路15号|驿站大道|青年驿站3楼|汽车驿站|驿站酒店302|
韵达南路3号|圆通站前路3号|橱柜厂|物业代收|前台代收|钱柜KTV|德邦证券大厦|申通地铁1号线|顺丰路站|邮政编码213149|龙泉驿站|
百世汇金大厦|江苏中通服大厦|北京市|东站西路|货柜码头3号|苏宁广场|中国邮政储蓄银行营业部|邮政储蓄所|南京东站|京东方科技园|
北京东方广场|圆通寺|珞喻路1037号|放门口"""


def listed(text: str) -> list[str]:
    return [each.strip("\n") for each in text.split("|")]


@pytest.mark.parametrize("address", listed(PICKUP))
def test_is_a_pickup_point(address: str) -> None:
    assert is_pickup_point(address)
    assert is_pickup_point("湖北省武汉市洪山区" + address)


@pytest.mark.parametrize("address", ["", "\x00", "🏠" * 100, "柜" * 10_000, *listed(STREET)])
def test_is_a_street_address(address: str) -> None:
    assert not is_pickup_point(address)
    assert not is_pickup_point("湖北省武汉市洪山区" + address)


@pytest.mark.parametrize("file", ["office_addresses.txt", "near_pickup.txt"])
def test_offices_are_not_pickup_points(file: str) -> None:
    addresses = (OFFICES / file).read_text("utf-8").splitlines()
    assert len(addresses) >= 55
    assert [address for address in addresses if is_pickup_point(address)] == []
