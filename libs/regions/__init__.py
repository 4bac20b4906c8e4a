"""Division codes for messy Chinese delivery addresses, and which are pick-up points: pure, and never a guess."""

from libs.regions.pickup import is_pickup_point
from libs.regions.resolution import Resolved, Why, resolve

__all__ = ["Resolved", "Why", "is_pickup_point", "resolve"]
