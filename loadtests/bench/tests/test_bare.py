"""What is compared with two runs is compared with their mean, and how far apart they were is told."""

from typing import Any

import pytest

from loadtests.bench.bare import both


def leg(orders_per_s: float, risk: float, kafka: float) -> dict[str, Any]:
    cpu = {"risk": risk, "kafka": kafka, "stack": risk + kafka}
    return {"orders": 100, "orders_per_s": orders_per_s, "cpu_ms_per_order": cpu, "shapes": {"of": orders_per_s}}


def test_two_runs_count_as_one_of_all_their_orders() -> None:
    found = both(leg(100, 0.1, 0.2), leg(300, 0.3, 0.2))
    assert found["orders"] == 200
    assert found["orders_per_s"] == pytest.approx(200 / (100 / 100 + 100 / 300))
    assert found["cpu_ms_per_order"] == pytest.approx({"risk": 0.2, "kafka": 0.2, "stack": 0.4})
    assert found["legs_cpu_ms"] == pytest.approx([0.3, 0.5])
    assert found["shapes"] == {"of": 300}, "those of the run it is compared with"
