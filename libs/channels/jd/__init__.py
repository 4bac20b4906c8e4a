"""JD: POP shops by polling JOS; supplier orders (自营) are documents of their own, never consumers' orders."""

from libs.channels.channel import Channel
from libs.channels.jd.capabilities import CAPABILITIES
from libs.channels.jd.client import JdClient
from libs.channels.jd.mapping import heard

CHANNEL = Channel(capabilities=CAPABILITIES, client=JdClient, receive=None, heard=heard)
