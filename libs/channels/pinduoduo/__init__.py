"""Pinduoduo 拼多多: signed API and the PMC message socket, in the shape every channel has."""

from libs.channels.channel import Channel
from libs.channels.pinduoduo.capabilities import CAPABILITIES
from libs.channels.pinduoduo.client import PinduoduoClient
from libs.channels.pinduoduo.mapping import heard

CHANNEL = Channel(capabilities=CAPABILITIES, client=PinduoduoClient, receive=None, heard=heard)
