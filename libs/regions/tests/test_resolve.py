"""What resolves, to which codes, and what is refused instead of guessed."""

import pytest

from libs.regions import resolve

WUHAN_HONGSHAN = ("420000", "420100", "420111")
CHAOYANG = ("110000", "110000", "110105")

RESOLVED = [
    # province, city, district, address -> codes
    (("湖北省", "武汉市", "洪山区", "珞喻路1037号"), WUHAN_HONGSHAN),
    (("湖北省", "武汉市", "洪山区", ""), WUHAN_HONGSHAN),
    (("湖北", "武汉", "洪山", "珞喻路1037号"), WUHAN_HONGSHAN),
    ((" 湖北 省", "武汉市　", "洪\u200b山区", "珞喻路"), WUHAN_HONGSHAN),
    (("湖北省武汉市洪山区", "", "", "珞喻路"), WUHAN_HONGSHAN),
    (("湖北省武汉市", "", "洪山区", "珞喻路"), WUHAN_HONGSHAN),
    (("湖北省", "武汉市洪山区", "", "珞喻路"), WUHAN_HONGSHAN),
    (("", "", "湖北省武汉市洪山区", "珞喻路"), WUHAN_HONGSHAN),
    (("", "", "武汉市洪山区珞南街道", "珞喻路"), WUHAN_HONGSHAN),
    (("", "武汉市", "洪山区", ""), WUHAN_HONGSHAN),
    (("湖北/武汉/洪山区", "", "", ""), WUHAN_HONGSHAN),
    (("", "", "", "湖北省武汉市洪山区珞喻路1037号"), WUHAN_HONGSHAN),
    (("", "", "", "武汉洪山区珞喻路1037号"), WUHAN_HONGSHAN),
    (("", "", "", "武汉市 洪山区 珞喻路1037号"), WUHAN_HONGSHAN),
    (("", "", "", "湖 北 省 武 汉 市 洪 山 区 珞 喻 路"), WUHAN_HONGSHAN),
    (("", "", "", "收货地址：湖北省武汉市洪山区珞喻路"), WUHAN_HONGSHAN),
    (("", "", "", "【湖北】武汉市，洪山区珞喻路"), WUHAN_HONGSHAN),
    (("", "", "", "中国湖北省武汉市洪山区"), WUHAN_HONGSHAN),
    (("湖北省", "", "", "武汉市洪山区珞喻路"), WUHAN_HONGSHAN),
    (("湖北省", "武汉市", "", "洪山区珞喻路"), WUHAN_HONGSHAN),
    (("湖北省", "", "洪山区", "武汉市珞喻路"), WUHAN_HONGSHAN),
    (("湖北省", "武汉市", "洪山区", "湖北省武汉市洪山区珞喻路"), WUHAN_HONGSHAN),
    (("湖北省", "武汉市", "其它区", "洪山区珞喻路"), WUHAN_HONGSHAN),
    (("北京市", "北京市", "朝阳区", "建国路"), CHAOYANG),
    (("北京市", "市辖区", "朝阳区", "建国路"), CHAOYANG),
    (("北京", "", "朝阳区", ""), CHAOYANG),
    (("北京", "朝阳区", "三环到四环之间", "建国路"), CHAOYANG),
    (("", "北京", "朝阳", ""), CHAOYANG),
    (("", "", "", "北京市北京市朝阳区建国路"), CHAOYANG),
    (("", "", "", "北京市市辖区朝阳区建国路"), CHAOYANG),
    (("", "", "朝阳区", "北京市朝阳区建国路"), CHAOYANG),
    (("重庆市", "县", "忠县", ""), ("500000", "500000", "500233")),
    (("重庆", "郊县", "彭水县", ""), ("500000", "500000", "500243")),
    (("广西", "南宁", "青秀", ""), ("450000", "450100", "450103")),
    (("广西省", "南宁市", "青秀区", ""), ("450000", "450100", "450103")),
    (("广西壮族自治区", "南宁市", "青秀区", ""), ("450000", "450100", "450103")),
    (("內蒙古", "兴安盟", "乌兰浩特", ""), ("150000", "152200", "152201")),
    (("新疆", "喀什", "喀什市", ""), ("650000", "653100", "653101")),
    (("新疆", "巴州", "库尔勒市", ""), ("650000", "652800", "652801")),
    (("湖北省", "恩施州", "恩施市", ""), ("420000", "422800", "422801")),
    (("青海", "海南", "共和", ""), ("630000", "632500", "632521")),
    (("海南", "海口", "美兰", ""), ("460000", "460100", "460108")),
    (("吉林", "吉林", "昌邑", ""), ("220000", "220200", "220202")),
    (("", "", "", "吉林吉林市昌邑区解放路"), ("220000", "220200", "220202")),
    (("辽宁", "朝阳", "双塔区", ""), ("210000", "211300", "211302")),
    (("江西省", "南昌市", "南昌县", ""), ("360000", "360100", "360121")),
    (("", "", "", "青岛市南区香港中路10号"), ("370000", "370200", "370202")),
    (("廣東省", "廣州市", "天河區", "天河路"), ("440000", "440100", "440106")),
    (("广东省", "广州市", "越秀区", "北京路300号"), ("440000", "440100", "440104")),
    (("广东省", "广州市", "越秀区", "中山五路1号"), ("440000", "440100", "440104")),
    # A county or county-level city is enough: its name is one place's only, and tells the city.
    (("浙江", "义乌", "", "稠州路"), ("330000", "330700", "330782")),
    (("浙江省", "", "义乌市", "稠州路"), ("330000", "330700", "330782")),
    (("", "", "", "昆山市玉山镇"), ("320000", "320500", "320583")),
    (("河北省", "", "赵县", ""), ("130000", "130100", "130133")),
    # Counties that answer to the province: their own code is city and district.
    (("湖北省", "仙桃市", "仙桃市", ""), ("420000", "429004", "429004")),
    (("湖北", "仙桃", "", "沔阳大道"), ("420000", "429004", "429004")),
    (("湖北省", "仙桃市", "干河街道", ""), ("420000", "429004", "429004")),
    (("河南省", "省直辖县级行政区划", "济源市", ""), ("410000", "419001", "419001")),
    (("新疆维吾尔自治区", "自治区直辖县级行政区划", "石河子市", ""), ("650000", "659001", "659001")),
    (("湖北省", "神农架林区", "", ""), ("420000", "429021", "429021")),
    # Cities without districts: the city is all there is.
    (("广东省", "东莞市", "", "东莞大道"), ("440000", "441900", None)),
    (("广东", "东莞", "南城区", ""), ("440000", "441900", None)),
    (("广东省", "东莞市", "长安镇", "锦厦路"), ("440000", "441900", None)),
    (("广东省", "东莞市", "松山湖", ""), ("440000", "441900", None)),
    (("广东", "中山", "东区", "起湾道"), ("440000", "442000", None)),
    (("", "", "", "广东省中山市石岐区民营路"), ("440000", "442000", None)),
    (("", "", "", "东莞长安镇锦厦路"), ("440000", "441900", None)),
    (("广东省", "东莞市", "", "东城区东宝路"), ("440000", "441900", None)),
    (("甘肃", "嘉峪关", "", ""), ("620000", "620200", None)),
    (("海南省", "儋州市", "那大镇", ""), ("460000", "460400", None)),
]

UNRESOLVED = [
    # The fields or the address contradict one another: no code at all.
    (("湖北省", "广州市", "", ""), None, "city not in province"),
    (("湖北", "广州", "天河", ""), None, "city not in province"),
    (("湖北省广州市", "", "", ""), None, "province contradicts itself"),
    (("湖北省", "武汉市", "天河区", ""), None, "district not in city"),
    (("广东", "中山", "天河区", ""), None, "district not in city"),
    (("湖北省", "武汉市", "洪山区", "广东省广州市天河区"), None, "address contradicts the fields"),
    (("湖北省", "武汉市", "洪山区", "江夏区文化路"), None, "address contradicts the fields"),
    (("湖北省", "武汉市", "洪山区", "廣州市天河路"), None, "address contradicts the fields"),
    (("湖北省", "武汉市", "洪山区", "(广州市)天河路"), None, "address contradicts the fields"),
    (("湖北省", "武汉市", "", "天河区体育西路"), None, "address contradicts the fields"),
    (("", "", "", "成都市武侯区航空路6号 北京市朝阳区东三环"), None, "address contradicts itself"),
    (("", "", "", "常州市武进区新科西路9号/上海杨浦区办公室"), None, "address contradicts itself"),
    (("台湾省", "广州市", "", ""), None, "city not in province"),
    # One name, many places.
    (("", "", "鼓楼区", "中山路"), None, "district name alone does not tell the city"),
    (("", "", "", "朝阳区建国路"), None, "district name alone does not tell the city"),
    (("", "", "", "浦东新区张杨路"), None, "district name alone does not tell the city"),
    (("江苏省", "", "鼓楼区", ""), "320000", "district name alone does not tell the city"),
    (("湖北省", "", "洪山区", "珞喻路"), "420000", "district name alone does not tell the city"),
    (("新疆", "伊犁", "伊宁", ""), "654000", "district not recognised"),
    (("辽宁", "朝阳", "朝阳", ""), "211300", "district missing"),
    (("", "吉林", "", ""), None, "city not recognised"),
    # Names that are no more, and zones that never were divisions.
    (("湖北省", "襄樊市", "", ""), "420000", "city not recognised"),
    (("浙江省", "杭州市", "萧山市", ""), "330100", "district not recognised"),
    (("重庆市", "重庆市", "渝北区", ""), "500000", "district not recognised"),
    (("上海市", "上海市", "闸北区", ""), "310000", "district not recognised"),
    (("四川省", "成都市", "高新区", "天府大道"), "510100", "development zone is not a division"),
    (("", "", "", "武汉市东湖新技术开发区光谷大道"), "420100", "development zone is not a division"),
    # Streets and companies that bear a place's name.
    (("", "", "", "南京西路268号"), None, "nothing recognised"),
    (("", "", "", "中山路100号"), None, "nothing recognised"),
    (("", "", "", "中山 路100号"), None, "nothing recognised"),
    (("广东省", "", "", "中山路100号"), "440000", "city missing"),
    (("广东省", "", "", "中山 大道100号"), "440000", "city missing"),
    (("广东省", "", "", "中山 汇达大厦3楼"), "440000", "city missing"),
    (("湖北省", "武汉市", "", "洪山 路12号"), "420100", "district missing"),
    (("", "", "", "北京市场街5号"), None, "nothing recognised"),
    (("", "", "", "武汉大学洪山区校区"), None, "nothing recognised"),
    (("", "", "", "北京朝阳门内大街1号"), None, "nothing recognised"),
    # Too little.
    (("", "", "", ""), None, "nothing recognised"),
    (("湖北省", "", "", ""), "420000", "city missing"),
    (("湖北省", "武汉市", "", "珞喻路"), "420100", "district missing"),
    (("北京市", "", "", "建国路"), "110000", "district missing"),
    (("火星", "", "", "湖北省武汉市洪山区"), None, "province not recognised"),
    # Beyond the customs border.
    (("台湾省", "台北市", "大安区", ""), "710000", "outside the mainland"),
    (("香港特别行政区", "九龙", "", ""), "810000", "outside the mainland"),
    (("", "", "", "澳门特别行政区大堂区"), "820000", "outside the mainland"),
    (("香港", "香港岛", "东区", ""), "810000", "outside the mainland"),
]

HOSTILE = ["", " ", "\x00", "\x00" * 500, "🏠" * 300, "武" * 10_000, "市" * 10_000, "湖北" * 5_000, "南京 " * 5_000]
HOSTILE += [
    "中国" * 5_000,
    "\ud800",
    "ﷺ" * 500,
    "\u202e市汉武",
    "%s%n{0}",
    "'; drop table",
    "\n\r\t",
    "１２３",
    "e\u0301" * 100,
]


@pytest.mark.parametrize(("fields", "codes"), RESOLVED)
def test_resolves(fields: tuple[str, str, str, str], codes: tuple[str, str, str | None]) -> None:
    done = resolve(*fields)
    assert (done.province_code, done.city_code, done.district_code) == codes
    assert done.resolved
    assert done.why == "ok"


@pytest.mark.parametrize(("fields", "deepest", "why"), UNRESOLVED)
def test_refuses(fields: tuple[str, str, str, str], deepest: str | None, why: str) -> None:
    done = resolve(*fields)
    assert not done.resolved
    assert done.why == why
    assert (done.city_code or done.province_code) == deepest
    assert done.district_code is None


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_never_resolved_and_never_raises(text: str) -> None:
    for fields in [(text,) * 4, (text, "", "", ""), ("", text, "", ""), ("", "", text, ""), ("", "", "", text)]:
        assert not resolve(*fields).resolved


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_street_leaves_good_fields_alone(text: str) -> None:
    done = resolve("四川省", "成都市", "武侯区", text)
    assert done.resolved or done.why == "address contradicts the fields"
    assert resolve("四川省", "成都市", "武侯区", "🏠\x00").district_code == "510107"


@pytest.mark.parametrize(
    ("province", "region"),
    [
        ("山西", "华北"), ("吉林省", "东北"), ("山东", "华东"), ("湖北", "华中"), ("海南省", "华南"),
        ("西藏", "西南"), ("新疆", "西北"), ("重庆", "西南"),
        ("台湾", "港澳台"), ("香港", "港澳台"), ("澳门", "港澳台"),
    ],
)  # fmt: skip
def test_region_follows_the_province(province: str, region: str) -> None:
    assert resolve(province, "", "", "").region == region
