"""What WeChat answers: `errcode` and `errmsg` beside the data; the HTTP status is always 200."""

from typing import Any

import msgspec
from starlette.responses import Response

MESSAGES = {
    -1: "system error",
    40001: "invalid credential, access_token is invalid or not latest",
    40002: "invalid grant_type",
    40013: "invalid appid",
    40097: "invalid args",
    40125: "invalid appsecret",
    41001: "access_token missing",
    42001: "access_token expired",
    43002: "require POST method",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit, must slower, retry next minute",
    47001: "data format error",
    48001: "api unauthorized",
    100002: "订单不存在",
    100013: "订单状态不正确",
    10020052: "商品不存在",
    10020054: "当前商品状态不允许直接更新库存，或product_id和sku_id不匹配，或库存不足以减扣，或增加减少数量为0",
    10020112: "更新库存过于频繁，请稍后再试",
    10060001: "支付单不存在",
    10060003: "支付单已使用重新发货机会",
    10060004: "支付单处于不可发货的状态",
    10060005: "物流类型有误",
    10060006: "非快递发货时不允许分拆发货",
    10060007: "分拆发货模式下必须填写is_all_delivered字段",
    10060008: "商品描述item_desc字段不能为空",
    10060009: "商品描述item_desc字段太长",
    10060014: "参数错误",
    10060023: "发货信息未更新",
    10060024: "物流信息列表太长",
    10060025: "物流公司编码太长",
    10060026: "物流单号太长",
    10060031: "该笔支付单不属于openid所指定的用户",
    268485194: "订单单号类型非法",
    268485195: "微信支付单号形式下transaction_id不能为空",
    268485216: "上传时间非法，请按照RFC 3339格式填写",
    268485224: "发货模式非法",
}


class Failed(Exception):
    """A call that is refused with a code."""

    def __init__(self, errcode: int, errmsg: str = "") -> None:
        super().__init__(str(errcode))
        self.errcode = errcode
        self.errmsg = errmsg or MESSAGES[errcode]


def succeeded(found: dict[str, Any]) -> Response:
    """Answer what a call found."""
    return _answer({"errcode": 0, "errmsg": "ok", **found})


def failed(failure: Failed, request_id: str) -> Response:
    """Answer a refusal; WeChat adds the id of the request to its words."""
    return _answer({"errcode": failure.errcode, "errmsg": f"{failure.errmsg} rid: {request_id}"})


def _answer(said: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(said), media_type="application/json; charset=utf-8")
