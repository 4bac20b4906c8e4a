"""Taobao and Tmall: TOP calls, messages fetched from TMC over HTTP, pages walked backwards."""

from libs.channels.channel import Channel
from libs.channels.taobao.capabilities import CAPABILITIES
from libs.channels.taobao.client import TaobaoClient
from libs.channels.taobao.mapping import heard

CHANNEL = Channel(capabilities=CAPABILITIES, client=TaobaoClient, receive=None, heard=heard)
