"""One spelling for many: width, blanks, invisible characters and traditional forms are evened out before reading."""

import re
import unicodedata
from typing import Final

# Division names stand at the front of an address; what follows is street and building and is never read.
FIELD_LIMIT_CHARS: Final = 64
ADDRESS_LIMIT_CHARS: Final = 200

# Only the characters that division names and pick-up words use.
TRADITIONAL: Final = str.maketrans(
    "廣東縣區臺灣門雲貴陝遼寧龍黃內濟漢瀋鄭無錫揚連營濱齊爾樂蘇滬錦鐵嶺陽長慶鹽鎮紹興麗溫蕪馬銅廬贛饒撫萬煙臨濰棗萊澤"
    "許駐開衛鶴婁張懷嶽荊閔隨潛關頭雞崗綏雙鴨賀貢來賓欽歷達資陸順畢節義麥葉爐諸豐滄邊鄉灘漣洩潤濘圍總統團場塊遞櫃點驛"
    "處業務領購網綠藍飛訊郵鳥員備裝兩澗橋勝圖們華環島廈蓮寶靜閘楊匯賢欒滎鞏晉絳呂陰鳳壽渦澠項鄲鄒榮魚單費棲嶗膠樅績涇"
    "巖將漵瀏瀘綿簡劍閬瀾騰遠蒼羅從觀鹹蘄應監穀鄖響儀賈啟餘蕭縉莊鄆獻靈極灤遷樹協烏倫貝滿額納雜瑪崑彌師會祿勸尋國貓媽"
    "幣",
    "广东县区台湾门云贵陕辽宁龙黄内济汉沈郑无锡扬连营滨齐尔乐苏沪锦铁岭阳长庆盐镇绍兴丽温芜马铜庐赣饶抚万烟临潍枣莱泽"
    "许驻开卫鹤娄张怀岳荆闵随潜关头鸡岗绥双鸭贺贡来宾钦历达资陆顺毕节义麦叶炉诸丰沧边乡滩涟泄润泞围总统团场块递柜点驿"
    "处业务领购网绿蓝飞讯邮鸟员备装两涧桥胜图们华环岛厦莲宝静闸杨汇贤栾荥巩晋绛吕阴凤寿涡渑项郸邹荣鱼单费栖崂胶枞绩泾"
    "岩将溆浏泸绵简剑阆澜腾远苍罗从观咸蕲应监谷郧响仪贾启余萧缙庄郓献灵极滦迁树协乌伦贝满额纳杂玛昆弥师会禄劝寻国猫妈"
    "币",
)
_SEPARATORS: Final = re.compile(r"[\W_]+")
# Format and control characters (zero-width space, NUL, byte order mark) split names that look whole on a screen.
_INVISIBLE: Final = re.compile(
    "[\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]"
)


def spaced(text: str, limit_chars: int = ADDRESS_LIMIT_CHARS) -> str:
    """The text with one blank for every run of blanks, punctuation and symbols."""
    plain = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text[:limit_chars]))
    return _SEPARATORS.sub(" ", plain.translate(TRADITIONAL)).strip()


def compact(text: str, limit_chars: int = FIELD_LIMIT_CHARS) -> str:
    """The text's letters and digits only."""
    return spaced(text, limit_chars).replace(" ", "")
