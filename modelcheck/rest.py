"""What must hold when nothing is left to do: one outcome, nothing stranded, and every service of the same opinion."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from contracts.orders import OrderContent, RefundRequested
from modelcheck import laws
from modelcheck.deciding import Broken
from modelcheck.laws import Fact
from modelcheck.model import SAID, TOWER, Model, State
from modelcheck.orders import ADDRESS, ORDER, PICKUP
from modelcheck.town import FULFILLMENT, INVENTORY, RISK, ROUTING
from services.fulfillment.domain import OrderFile, PickTask
from services.inventory.domain import Pool, Reservation
from services.risk.domain import OrderRisk
from services.routing.domain import OrderRoute
from services.tower.domain import OrderView


@dataclass
class Rest:
    """The end of one run: every service's row of the order, and all that was said."""

    model: Model
    said: frozenset[Fact]
    booked: frozenset[tuple[Any, ...]]
    reservation: Reservation | None
    pools: dict[str, Pool]
    route: OrderRoute | None
    risk: OrderRisk | None
    file: OrderFile | None
    tasks: list[PickTask]
    view: OrderView | None

    def parcels(self, word: str) -> set[str]:
        """Return the parcels of which `word` was said."""
        return {fact[1] for fact in self.said if fact[0] == word}

    def has(self, word: str) -> bool:
        """Tell whether `word` was said."""
        return any(fact[0] == word for fact in self.said)

    @property
    def shipped(self) -> set[str]:
        """The parcels that left."""
        return self.parcels("shipped")

    @property
    def waits_for_review(self) -> bool:
        """Whether a parcel is ready and only a reviewer can let it go."""
        return self.risk is not None and self.risk.state == "held"


def rest_of(model: Model, state: State) -> Rest:
    """Read all services' rows in a state."""
    inventory, fulfillment = model.services[INVENTORY], model.services[FULFILLMENT]
    return Rest(
        model=model,
        said=model.said[state[SAID]],
        booked=inventory.locals[state[INVENTORY]].booked,
        reservation=inventory.row(state[INVENTORY], Reservation, ORDER),
        pools={pool.sku: pool for pool in inventory.rows(state[INVENTORY], Pool)},
        route=model.services[ROUTING].row(state[ROUTING], OrderRoute, ORDER),
        risk=model.services[RISK].row(state[RISK], OrderRisk, ORDER),
        file=fulfillment.row(state[FULFILLMENT], OrderFile, ORDER),
        tasks=fulfillment.rows(state[FULFILLMENT], PickTask),
        view=model.tower.row(state[TOWER], OrderView, ORDER),
    )


def check_rest(model: Model, state: State) -> str:
    """Check a state in which nothing is left to do; return how the order ended."""
    rest = rest_of(model, state)
    for law, check in LAWS:
        for wrong in check(rest):
            raise Broken(law, wrong)
    assert rest.view is not None, "an order that was placed is shown"
    return rest.view.stage


def _outcome(rest: Rest) -> Iterator[str]:
    """Each request that an order end gets one answer: stopped, released, rejected before, or too late."""
    asked = rest.parcels("asked")
    late = rest.parcels("too late")
    wins = [fact for fact in rest.said if fact[0] == "cancelled" or (fact[0] == "released" and fact[1] in laws.ENDS)]
    # A refusal may overtake the order: then nothing was ever promised, and the refusal itself says it all.
    overtaken = rest.has("rejected") and rest.reservation is not None and not rest.reservation.lines
    if len(wins) > 1:
        yield f"two outcomes: {sorted(wins)}"
    if wins and not asked:
        yield f"{sorted(wins)}, though nobody asked"
    if wins and late:
        yield f"{sorted(wins)}, and too late for {sorted(late)}"
    if asked and not wins and not overtaken and late != asked:
        yield f"{sorted(asked - late)} asked and got no outcome"
    if late and (rest.parcels("owed") - rest.shipped or not rest.shipped):
        yield f"too late for {sorted(late)}, though {sorted(rest.parcels('owed') - rest.shipped)} never left"


def _nothing_stranded(rest: Rest) -> Iterator[str]:
    """Nothing is promised or owed but to an order that somebody will still move."""
    row = rest.reservation
    if row is None:
        yield "the order has no reservation"
        return
    if row.state == "assigned" and not rest.waits_for_review:
        yield f"assigned, with nobody left to pick: {[parcel.parcel_id for parcel in row.parcels]}"
    ended = rest.has("asked") or rest.has("rejected")
    if row.state in ("reserved", "short") and ended:
        yield f"an end was asked for, and the order is still {row.state}"
    for pool in rest.pools.values():
        if row.state not in ("reserved", "assigned") and pool.reserved:
            yield f"{pool.sku}: {pool.reserved} reserved for nobody"


def _conserved(rest: Rest) -> Iterator[str]:
    """What the ledger says left is what hands sent off, and what was stopped is free again."""
    left: dict[str, int] = {}
    for task in rest.tasks:
        if task.task_id in rest.shipped:
            for line in task.lines:
                left[line.sku] = left.get(line.sku, 0) + line.quantity
    if rest.parcels("consumed") != rest.shipped:
        yield f"left: {sorted(rest.shipped)}, booked as left: {sorted(rest.parcels('consumed'))}"
    if rest.parcels("stopped") != rest.parcels("freed"):
        yield f"stopped: {sorted(rest.parcels('stopped'))}, freed: {sorted(rest.parcels('freed'))}"
    gone: dict[str, int] = {}
    for cause, sku, _, kind, delta in rest.booked:
        if kind == "on_hand" and cause.endswith("/shipped"):
            gone[sku] = gone.get(sku, 0) - delta
    if gone != left:
        yield f"{left} left with carriers, the ledger lets {gone} go"


def _hands(rest: Rest) -> Iterator[str]:
    """No task is open, and inventory's parcels ended as fulfillment's tasks did."""
    for task in rest.tasks:
        if task.state not in ("shipped", "cancelled", "weighed" if rest.waits_for_review else ""):
            yield f"{task.task_id} is {task.state} and nobody works on it"
    if rest.file is not None and rest.reservation is not None:
        ours = {parcel.parcel_id: parcel.state for parcel in rest.reservation.parcels}
        theirs = {ref.task_id: ref.state for ref in rest.file.tasks}
        if ours != theirs:
            yield f"inventory says {ours}, fulfillment {theirs}"
    released = rest.reservation is not None and rest.reservation.state == "released"
    if released and any(task.state != "cancelled" for task in rest.tasks):
        yield f"released, but tasks are {[task.state for task in rest.tasks]}"


def _route(rest: Rest) -> Iterator[str]:
    """Routing waits for nobody: no plan without an answer, no blocked order that nobody looks after."""
    row, stock = rest.route, rest.reservation
    if row is None or stock is None:
        yield "routing does not know the order"
        return
    if row.state == "planned":
        yield f"plan {row.plan} has no answer"
    if stock.state in ("released", "closed") and row.state not in ("closed", "assigned"):
        yield f"inventory is {stock.state}, routing {row.state}"
    if row.state == "blocked" and (stock.state != "reserved" or stock.wait is None):
        yield f"blocked, and inventory is {stock.state} with nobody in line"
    if row.state == "waiting" and stock.state == "reserved":
        held = rest.risk is not None and rest.risk.state == "held"
        if not held:
            yield "reserved and cleared, and never planned"
    if row.state == "waiting" and stock.state == "short" and stock.wait is None:
        yield "short, and in no line"


def _line(rest: Rest) -> Iterator[str]:
    """Nobody waits for what is there."""
    row = rest.reservation
    if row is None or row.wait is None:
        return
    if row.state == "short":
        wanted: dict[str, int] = {}
        for line in row.lines:
            wanted[line.sku] = wanted.get(line.sku, 0) + line.quantity
        free = {sku: pool.on_hand - pool.reserved for sku, pool in rest.pools.items()}
        if all(free.get(sku, 0) >= units for sku, units in wanted.items()):
            yield f"short of {wanted}, with {free} free"
    for portion in row.wait.portions:
        pool = rest.pools[portion.sku]
        places = (
            pool.warehouses if portion.warehouse == "*" else {portion.warehouse: pool.warehouses.get(portion.warehouse)}
        )
        free_units = sum(level.on_hand - level.assigned for level in places.values() if level is not None)
        if free_units >= portion.quantity and len(row.wait.portions) == 1:
            yield f"waits for {portion.quantity} {portion.sku} at {portion.warehouse}, with {free_units} free"


def _tower(rest: Rest) -> Iterator[str]:
    """The tower shows what inventory and fulfillment know."""
    if rest.view is None:
        yield "the tower does not show the order"
        return
    stage = rest.view.stage
    expected = _stages(rest)
    if stage not in expected:
        yield f"the tower shows {stage}, the services say {' or '.join(sorted(expected))}"


def _stages(rest: Rest) -> set[str]:
    row = rest.reservation
    if row is None:
        return set()
    if any(task.state == "weighed" for task in rest.tasks):
        return {"packed"}
    if rest.shipped:
        return {"shipped"}
    if row.state in ("released", "closed"):
        return {"rejected"} if rest.has("rejected") else {"cancelled"}
    if rest.risk is not None and rest.risk.state == "held":
        return {"held"}
    if row.state == "short":
        return {"short"}
    return {"blocked"} if rest.route is not None and rest.route.state == "blocked" else {"received"}


def _newest(rest: Rest) -> OrderContent:
    """Return the content the buyer wants; what he changes after a request that part of the order won is moot."""
    newest: OrderContent | None = None
    for message in (rest.model.alphabet.messages[letter] for letter in rest.model.log):
        if isinstance(message, OrderContent):
            newest = message
        elif rest.has("cancelled") and isinstance(message, RefundRequested):
            break
    assert newest is not None, "an order begins with its content"
    return newest


def _amended(rest: Rest) -> Iterator[str]:
    """What left is what the buyer wanted last, or he is told what could not be honoured."""
    if not rest.shipped or rest.file is None:
        return
    if rest.has("cancelled") and rest.has("rejected"):
        # A refusal comes by another topic: what was changed before it may be heard after the order has ended.
        return
    newest = _newest(rest)
    left = laws.goods_of([line for task in rest.tasks for line in task.lines])
    wanted = {(line.line_id, line.sku): line.quantity for line in newest.lines}
    told = {word for fact in rest.said if fact[0] == "amend too late" for word in fact[2:]}
    if left != wanted and "lines" not in told:
        yield f"{left} left, the buyer wants {wanted} and was told nothing"
    readdressed = any(ask in (ADDRESS, PICKUP) for ask in rest.model.scenario.asks)
    if readdressed and rest.file.sealed != newest.sealed and "recipient" not in told:
        yield f"sent to {rest.file.sealed}, the buyer wants {newest.sealed} and was told nothing"


def _live(rest: Rest) -> Iterator[str]:
    """An order that nothing stands against is shipped whole."""
    if rest.has("asked") or rest.has("rejected"):
        return
    row = rest.reservation
    if row is None or row.state == "closed":
        return
    if rest.waits_for_review:
        return
    if row.state == "reserved" and rest.route is not None and rest.route.state == "blocked":
        return
    if row.state != "short":
        yield f"nothing stands against it, and it is {row.state}"


LAWS = (
    ("every request ends in exactly one outcome", _outcome),
    ("no reservation is stranded", _nothing_stranded),
    ("goods are conserved", _conserved),
    ("no task is left, and both sides agree how each parcel ended", _hands),
    ("no route waits for nobody", _route),
    ("nobody waits for what is there", _line),
    ("the tower agrees", _tower),
    ("an amendment is honoured or answered", _amended),
    ("an order that nothing stands against is shipped", _live),
)
