"""What a SKU is, what may be sold of it, and which warehouses there are."""

from datetime import datetime

from contracts.catalog import SkuDefined, WarehouseDefined
from libs.decide import Output, Reply, State
from services.inventory.domain import figures, waiting
from services.inventory.domain.commands import DefineSku, DefineWarehouse
from services.inventory.domain.rows import Pool, Sku, Warehouse


def define_sku(command: DefineSku, state: State, now: datetime) -> list[Output]:
    """Take a SKU's facts and policy; its facts are published when they changed."""
    facts = Sku(
        sku=command.sku,
        title=command.title,
        barcode=command.barcode,
        cost=command.cost,
        weight_grams=command.weight_grams,
    )
    outputs: list[Output] = []
    known = state.get(Sku, command.sku)
    if known != facts:
        state.put(facts)
        outputs.append(
            SkuDefined(
                sku=facts.sku,
                title=facts.title,
                barcode=facts.barcode,
                cost=facts.cost,
                weight_grams=facts.weight_grams,
            )
        )
    pool = state.get(Pool, command.sku) or Pool(sku=command.sku)
    pool.defined = True
    if command.sellable_inbound_percent is not None:
        pool.sellable_inbound_percent = command.sellable_inbound_percent
    if command.allowance is not None:
        pool.allowance = command.allowance
    if command.safety_percent is not None:
        pool.safety_percent = command.safety_percent
    figures.face_deficit(pool)
    state.put(pool)
    outputs.extend(waiting.wake(pool, "", "policy", now))
    body = {
        "sku": pool.sku,
        "sellable_inbound_percent": pool.sellable_inbound_percent,
        "allowance": pool.allowance,
        "safety_percent": pool.safety_percent,
        "deficit": pool.deficit,
    }
    outputs.append(Reply(status=201 if known is None else 200, body=body))
    return outputs


def define_warehouse(command: DefineWarehouse, state: State, now: datetime) -> list[Output]:
    """Take a warehouse's facts; they are published when they changed."""
    facts = Warehouse(
        warehouse=command.warehouse,
        name=command.name,
        region=command.region,
        province_code=command.province_code,
    )
    outputs: list[Output] = []
    known = state.get(Warehouse, command.warehouse)
    if known != facts:
        state.put(facts)
        outputs.append(
            WarehouseDefined(
                warehouse=facts.warehouse,
                name=facts.name,
                region=facts.region,
                province_code=facts.province_code,
            )
        )
    outputs.append(Reply(status=201 if known is None else 200, body={"warehouse": facts.warehouse}))
    return outputs
