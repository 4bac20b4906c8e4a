"""Tells a pick-up point (station, locker, collection counter) from a street address by its words."""

import json
import re
from typing import Final

from libs.regions.divisions import DATA
from libs.regions.normal import compact

TEXT_LIMIT_CHARS: Final = 2_000

# What makes a courier's name a counter where parcels wait. A hub, a warehouse or an office is not one.
_OUTLET: Final = (
    r"(?:驿站|服务站|服务点|服务部|网点|站点|快递点|快递站|收件点|收寄点|寄件点|取件点|代办点|代办所|代理点|代收|代投|"
    r"营业厅|营业点|营业部|营业所|便民点|便民站|合作点|合作店|门店|妈妈店|快递柜|智能柜|快递箱|自提|自取|柜|"
    r"[站店点所](?!前|[东南西北]?[路街巷道]))"
)
# 南京东路, 北京东站, 望京东园: the brand's two characters belong to a place name.
_NOT_WITHIN: Final = {"京东": r"(?<![南北望荣盛燕东西])"}
_MORE_COURIERS: Final = ("极兔", "百世", "天天快递", "邮政", "EMS", "苏宁", "宅急送", "优速", "丹鸟")
_SERVICE: Final = r"(?:速运|速递|快递|快运|物流|快件|便利|代理|直营|邮政|裹裹)*"
_NOT_A_STATION: Final = (
    r"(?!路|街|巷|大道|村|镇|乡|公园|小区|花园|广场|大厦|酒店|宾馆|客栈|民宿|餐厅|饭店|咖啡|书店|古镇|景区|遗址)"
)
# 龙泉驿站 is a metro station, 古驿站 a sight, 青年驿站 a hostel.
_OTHER_POSTS: Final = "古 龙泉 白市 汽车 青年 人才 创业 创客 文化 旅游 爱心 党群 红色 骑行"
_NOT_A_POST: Final = "".join(f"(?<!{kind})" for kind in _OTHER_POSTS.split())
_WORDS: Final = (
    _NOT_A_POST + "驿站" + _NOT_A_STATION,
    r"代(?:收|取|领)(?:点|站|处|店|柜|超市|网点|服务)",
    r"自[提取](?:点|柜|站|处|店|网点|中心|门店|服务)",
    r"(?:取件|提货|收货|寄存|存取)(?:点|柜)",
    r"快递(?:自助|智能)?(?:柜|箱|点|站|驿站|超市|代收|代取|代存|自提|服务[站点]|便利店|之家)",
    r"(?:智能|自助)?(?:快件箱|快递箱|包裹柜|信包箱|收件箱|收货宝)",
    r"智能(?:快递|存取|取件)?柜",
    "包裹(?:站|驿|代收)",
    "邮政驿|驿收发|驿小店",
    "(?:妈妈|圆通妈妈|快递)[驿店](?:站)?" + _NOT_A_STATION,
    r"蜂巢(?:快递|智能|自提)*[柜箱]",
    r"速递易|近邻宝|兔喜|熊猫快收|收件宝|云柜|e栈|格格货栈|喵柜|喵站|溪鸟|小兵驿|多多买菜.{0,4}点|美团优选.{0,4}点",
)
_NOT_A_LOCKER: Final = r"(?!大厦|总部|科技|公司|园|网络)"


def _brand_patterns() -> list[str]:
    lockers: list[str] = []
    couriers = ["菜鸟", *_MORE_COURIERS]
    for brand in json.loads((DATA / "courier_brands.json").read_text("utf-8")):
        if "parcel_locker" in brand["kinds"]:
            lockers.append(re.escape(compact(brand["name"])))
        else:
            couriers += [_NOT_WITHIN.get(each, "") + each for each in (brand["name"], brand["short"]) if each]
    return [f"(?:{'|'.join(lockers)}){_NOT_A_LOCKER}", f"(?:{'|'.join(couriers)}){_SERVICE}{_OUTLET}"]


_PICKUP: Final = re.compile("|".join([*_WORDS, *_brand_patterns()]), re.IGNORECASE)


def is_pickup_point(address: str) -> bool:
    """Whether the address is a place where parcels are collected instead of delivered to a door."""
    return _PICKUP.search(compact(address, TEXT_LIMIT_CHARS)) is not None
