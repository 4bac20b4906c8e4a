"""What the own channel can do."""

from libs.channels.capabilities import Capabilities

CAPABILITIES = Capabilities(channel="own", pushes_orders=True, pushes_cancellations=True, supplies_buyer_token=True)
