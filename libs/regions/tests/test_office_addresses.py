"""Real addresses: how many resolve from free text alone, and that none of those read one by one is wrong."""

import statistics
import time
from collections import Counter
from pathlib import Path

import pytest

from libs.regions import resolve
from libs.regions.divisions import DIVISIONS, spellings

ADDRESSES = (Path(__file__).parent / "data" / "office_addresses.txt").read_text("utf-8").splitlines()

# The first characters of an address and where it is, each line read against the text of its address.
CHECKED = """\
上海市嘉定区嘉行公路 上海市/嘉定区
上海奉贤区青工路 上海市/奉贤区
上海徐汇区桂林路 上海市/徐汇区
上海市普陀区绥德路 上海市/普陀区
上海浦东新区金桥出口 上海市/浦东新区
上海市黄浦区太仓路 上海市/黄浦区
北京市东城区祈年大街 北京市/东城区
北京市丰台区南四环西路 北京市/丰台区
北京市大兴区 北京市/大兴区
北京市朝阳区朝阳门外大街 北京市/朝阳区
北京西城区阜外大街 北京市/西城区
长春市绿园区春城大街 吉林省/长春市/绿园区
成都市青羊区锦里西路 四川省/成都市/青羊区
天津市滨海新区中新生态城 天津市/滨海新区
银川市金凤区悦海新天地 宁夏回族自治区/银川市/金凤区
安徽省合肥市蜀山区梅山路 安徽省/合肥市/蜀山区
德州市临邑县恒源路 山东省/德州市/临邑县
山东禹城市高新技术开发区 山东省/德州市/禹城市
广东省东莞市松山湖高新 广东省/东莞市
中山市石岐区民营科技园 广东省/中山市
广东佛山市南海区罗村 广东省/佛山市/南海区
广州白云区人和高增 广东省/广州市/白云区
深圳市南山区中山园路 广东省/深圳市/南山区
深圳分公司地址：深圳市罗湖区 广东省/深圳市/罗湖区
英德市英城和平北路 广东省/清远市/英德市
南京栖霞区仙林大学城 江苏省/南京市/栖霞区
南京市鼓楼区山西路 江苏省/南京市/鼓楼区
江苏省淮安市盱眙县盱城镇 江苏省/淮安市/盱眙县
江苏省常熟市沿江经济开发区 江苏省/苏州市/常熟市
连云港市海州区朝阳中路 江苏省/连云港市/海州区
江西省南昌市南昌县小蓝 江西省/南昌市/南昌县
献县南河头乡 河北省/沧州市/献县
尉氏县新尉工业园区 河南省/开封市/尉氏县
嵊州市甘霖工业园区 浙江省/绍兴市/嵊州市
湖北总部 湖北省/武汉市/武昌区
武汉市硚口区解放大道 湖北省/武汉市/硚口区
甘肃省兰州市城关区天庆大道 甘肃省/兰州市/城关区
厦门思明区软件园二期 福建省/厦门市/思明区
重庆市璧山区丁家镇 重庆市/璧山区
西宁市城西区西川南路 青海省/西宁市/城西区
黑龙江省绥化市青冈县人民街 黑龙江省/绥化市/青冈县
""".splitlines()


def place(address: str) -> str:
    done = resolve("", "", "", address)
    codes = dict.fromkeys(code for code in (done.province_code, done.city_code, done.district_code) if code)
    return "/".join(DIVISIONS[code].name for code in codes) if done.resolved else done.why


@pytest.mark.parametrize("line", CHECKED)
def test_an_address_that_was_read_is_where_it_says(line: str) -> None:
    start, _, where = line.rpartition(" ")
    matching = [address for address in ADDRESSES if address.startswith(start)]
    assert matching
    assert {place(address) for address in matching} == {where}


def test_about_half_of_the_offices_resolve_from_free_text_alone() -> None:
    """The rest name no district, no city, a district that is no more, a zone, two places, or nothing at all."""
    reasons = Counter(resolve("", "", "", address).why for address in ADDRESSES)
    assert reasons.total() == 300
    assert 150 <= reasons["ok"] <= 165
    assert reasons["nothing recognised"] <= 65


def test_what_resolves_is_written_in_the_address() -> None:
    for address in ADDRESSES:
        done = resolve("", "", "", address)
        if not done.resolved:
            continue
        city = DIVISIONS[done.city_code or ""]
        deepest = DIVISIONS[done.district_code] if done.district_code else city
        assert deepest.name in address
        if deepest.needs_city:
            assert any(text in address for text, _ in spellings(city.name, city.level))


def test_reading_stays_quick() -> None:
    """Bounds ten times above what was measured, so that only a change of kind fails."""
    exact, messy = [], []
    for address in ADDRESSES * 3:
        begun = time.perf_counter_ns()
        resolve("湖北省", "武汉市", "洪山区", "珞喻路1037号")
        between = time.perf_counter_ns()
        resolve("", "", "", address)
        exact.append(between - begun)
        messy.append(time.perf_counter_ns() - between)
    assert statistics.median(exact) < 10_000
    assert statistics.median(messy) < 200_000
