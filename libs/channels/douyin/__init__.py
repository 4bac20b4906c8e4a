"""Douyin shops 抖店: signed API, array pushes and SPI calls, in the shape every channel has."""

from libs.channels.channel import Channel
from libs.channels.douyin.capabilities import CAPABILITIES
from libs.channels.douyin.client import DouyinClient
from libs.channels.douyin.inbound import receive
from libs.channels.douyin.mapping import heard

CHANNEL = Channel(capabilities=CAPABILITIES, client=DouyinClient, receive=receive, heard=heard)
