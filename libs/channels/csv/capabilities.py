"""What an order file can do: orders only, and only when somebody brings it."""

from libs.channels.capabilities import Capabilities

CAPABILITIES = Capabilities(channel="csv", pushes_orders=False, pushes_cancellations=False, supplies_buyer_token=False)
