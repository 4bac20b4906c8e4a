"""The scenario of all seven services: orders from the shop's door to the carrier, then all twenty invariants."""

import asyncio

from libs.stream.limits import Limits
from libs.testkit.invariants.stories import TERMINAL
from libs.testkit.simulation.process import Unit
from libs.testkit.simulation.world import World
from services.tower import domain as tower
from simulation.facts import check_invariants
from simulation.orders import WAREHOUSES
from simulation.people import People
from simulation.services import DESTINATIONS, all_handlers, constraint

SUPPLY_PAUSE_S = 40.0


class Whole:
    """A handful of orders and everybody who has to do with them. In the end each order is shipped, or over."""

    fault_seconds = (3.0, 9.0)
    heal_limit_s = 300.0

    def __init__(self, world: World) -> None:
        self.world = world
        self.people = People(world)

    def begin(self) -> None:
        """Start the seven services and the people who never stop."""
        world, dice = self.world, self.world.dice
        limits = Limits(
            batch_inputs=dice.choice((1, 4, 500)),
            timers_per_batch=dice.choice((1, 200)),
            unsent_records=dice.choice((20, 50_000)),
            fetch_timeout_ms=3_000,
            lease_ms=3_000,
            retry_first_ms=30,
            retry_last_ms=500,
        )
        for handlers in all_handlers():
            shard = world.add(Unit(handlers, limits, DESTINATIONS.get(handlers.service, ())))
            shard.database.stored.check = constraint
        people = self.people
        world.spawn(people.review())
        world.spawn(people.operate())
        for warehouse in WAREHOUSES:
            for n in range(dice.randint(1, 2)):
                world.spawn(people.pick(warehouse, f"pda-{warehouse}-{n}"))

    async def work(self) -> None:
        """Run the shop and the warehouse's books."""
        orders = range(1, 1 + self.world.dice.randint(2, 7))
        await asyncio.gather(self.people.shop(orders), self.people.stock())

    async def heal(self) -> None:
        """Bring goods: then no order has a reason to wait any longer."""
        while True:
            await self.people.supply()
            await asyncio.sleep(SUPPLY_PAUSE_S)

    def rests(self) -> bool:
        """Tell whether every order has come to its end and no timer is left."""
        if any(shard.database.stored.timers for shard in self.world.shards.values()):
            return False
        stages = {row.order_id: row.stage for row in self.world.database("tower").stored.all_rows(tower.OrderView)}
        return all(stages.get(order_id) in TERMINAL for order_id in self.people.acked)

    def check(self) -> None:
        """Judge the system by the invariants."""
        check_invariants(self.world, self.people.acked, self.people.sent)
