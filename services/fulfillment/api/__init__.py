"""HTTP in: PDAs take tasks step by step, operators look on and manage devices; the same decisions answer both."""

from collections.abc import Sequence

from fastapi import APIRouter

from libs.runtime.service import Parts
from services.fulfillment.api import devices, steps, views, wms


def routers(parts: Parts) -> Sequence[APIRouter]:
    """Return every route of the service."""
    return [views.router(parts), views.orders(parts), steps.router(parts), wms.router(parts), devices.router(parts)]
