"""ordo.catalog.v1: what a SKU is and costs, and which warehouses there are."""

from typing import ClassVar

from contracts.envelope import Event


class SkuDefined(Event, frozen=True, kw_only=True):
    """A SKU as it is now. `cost` in minor units, `weight_grams` of one unit, `barcode` as printed on it."""

    partition_by: ClassVar[str] = "sku"
    sku: str
    title: str = ""
    barcode: str = ""
    cost: int | None = None
    weight_grams: int | None = None


class WarehouseDefined(Event, frozen=True, kw_only=True):
    """A warehouse as it is now; `region` is one of the seven regions (华中, 西南 ...)."""

    partition_by: ClassVar[str] = "warehouse"
    warehouse: str
    name: str = ""
    region: str = ""
    province_code: str = ""
