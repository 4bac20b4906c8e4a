"""Meituan 外卖/闪购: signed form pushes, gaps found by the day's running numbers, orders to be accepted in time."""

from libs.channels.channel import Channel
from libs.channels.meituan.capabilities import CAPABILITIES
from libs.channels.meituan.client import MeituanClient
from libs.channels.meituan.inbound import receive
from libs.channels.meituan.mapping import heard

CHANNEL = Channel(capabilities=CAPABILITIES, client=MeituanClient, receive=receive, heard=heard)
