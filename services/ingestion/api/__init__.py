"""HTTP in: webhooks by signature, batches, order files and shops; every answer is given after the commit."""

from collections.abc import Mapping

from fastapi import APIRouter

from libs.runtime.service import Parts
from services.ingestion.api import imports, shops, webhooks
from services.ingestion.api.edge import Edge
from services.ingestion.api.shop_book import ShopBook


def routers(own_keys: Mapping[str, bytes], parts: Parts) -> list[APIRouter]:
    """Build the routes on the service's parts; `own_keys` are the signing keys of shops that the settings name."""
    book = ShopBook(parts, own_keys)
    edge = Edge(parts)
    return [webhooks.router(parts, book, edge), imports.router(parts, book, edge), shops.router(parts, book)]
