"""WeChat 微信小店, and shipping of mini-programs: plain or AES pushes, lists by cursor, one token and one refresher."""

from libs.channels.channel import Channel
from libs.channels.wechat.capabilities import CAPABILITIES
from libs.channels.wechat.client import WechatClient
from libs.channels.wechat.inbound import receive
from libs.channels.wechat.mapping import heard

CHANNEL = Channel(capabilities=CAPABILITIES, client=WechatClient, receive=receive, heard=heard)
