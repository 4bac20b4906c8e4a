"""One table of a whole stack: every process, what it costs, whether it is ready, and how far behind it is."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.local.health import Readiness, ask_ready
from deploy.local.layout import Layout
from deploy.local.measure import Cost, measure
from deploy.local.plan import Child, plan_from_json
from deploy.local.record import ProcessRecord, StackRecord, read_record
from deploy.local.stack import supervisor_is_alive
from libs.testkit.embedded.processes import is_same_process

SAMPLE_S = 2.0
NO_COST = Cost(0.0, 0.0)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    record: ProcessRecord
    alive: bool
    cost: Cost
    answers: Mapping[str, Readiness]

    @property
    def ready(self) -> bool:
        finished = self.record.state == "done"
        return finished or (self.alive and all(answer.ready for answer in self.answers.values()))


@dataclass(frozen=True)
class StackStatus:
    """Everything that `status` shows."""

    supervisor_alive: bool
    record: StackRecord | None
    supervisor_cost: Cost
    rows: tuple[Row, ...]

    @property
    def all_ready(self) -> bool:
        return self.supervisor_alive and bool(self.rows) and all(row.ready for row in self.rows)

    @property
    def total(self) -> Cost:
        costs = [self.supervisor_cost, *(row.cost for row in self.rows)]
        return Cost(sum(cost.memory_mib for cost in costs), sum(cost.cpu_percent for cost in costs))


def take_status(layout: Layout, sample_s: float = SAMPLE_S) -> StackStatus:
    """Looks at every process at once; takes about as long as the CPU sample."""
    record = read_record(layout.record_file)
    if record is None or not layout.plan_file.exists():
        return StackStatus(False, None, NO_COST, ())
    plan = plan_from_json(layout.plan_file.read_text("utf-8"))
    alive = {child.name: bool(child.pid) and is_same_process(child.pid, child.mark) for child in record.children}
    supervisor_alive = supervisor_is_alive(layout) and is_same_process(record.pid, record.mark)
    pids = [child.pid for child in record.children if alive[child.name]]
    # The supervisor's descendants are the whole stack: it is measured alone.
    costs = measure(pids, [record.pid] if supervisor_alive else [], sample_s)
    supervisor_cost = costs.get(record.pid, NO_COST) if supervisor_alive else NO_COST
    answers = _ask_all({child.name: child for child in plan.children})
    rows = tuple(
        Row(child, alive[child.name], costs.get(child.pid, NO_COST), answers.get(child.name, {}))
        for child in record.children
    )
    return StackStatus(supervisor_alive, record, supervisor_cost, rows)


def _ask_all(children: Mapping[str, Child]) -> dict[str, dict[str, Readiness]]:
    asked = [(name, service, url) for name, child in children.items() for service, url in child.health.items()]
    if not asked:
        return {}
    with ThreadPoolExecutor(len(asked)) as pool:
        given = list(pool.map(lambda each: ask_ready(each[2]), asked))
    answers: dict[str, dict[str, Readiness]] = {}
    for (name, service, _url), answer in zip(asked, given, strict=True):
        answers.setdefault(name, {})[service] = answer
    return answers


def show_status(status: StackStatus, console: Console) -> None:
    """Prints the table and the totals."""
    if status.record is None:
        console.print("no stack here: `make up` starts one")
        return
    table = Table(box=None, header_style="bold")
    for title in ("process", "pid", "uptime", "restarts", "MiB", "CPU %", "lag", "lag s", "health"):
        table.add_column(title, justify="left" if title in {"process", "health"} else "right")
    state = "running" if status.supervisor_alive else "dead"
    cost = status.supervisor_cost
    table.add_row(
        "supervisor", str(status.record.pid), _uptime(status.record.started_at_s, status.supervisor_alive), "",
        f"{cost.memory_mib:.0f}", f"{cost.cpu_percent:.1f}", "", "", _coloured(state, status.supervisor_alive),
    )  # fmt: skip
    for row in status.rows:
        table.add_row(*_cells(row))
    console.print(table)
    total = status.total
    console.print(
        f"total: {total.memory_mib:.0f} MiB of memory, {total.cpu_percent:.1f} % of one core, "
        f"{'all ready' if status.all_ready else 'NOT all ready'}"
    )


def _cells(row: Row) -> tuple[str, ...]:
    lags = [answer.lag_records for answer in row.answers.values() if answer.lag_records is not None]
    ages_ms = [answer.lag_ms for answer in row.answers.values() if answer.lag_ms is not None]
    return (
        row.record.name,
        str(row.record.pid) if row.alive else "-",
        _uptime(row.record.started_at_s, row.alive),
        str(row.record.restarts),
        f"{row.cost.memory_mib:.0f}" if row.alive else "",
        f"{row.cost.cpu_percent:.1f}" if row.alive else "",
        str(sum(lags)) if lags else "",
        f"{max(ages_ms) / 1000:.1f}" if ages_ms else "",
        _health(row),
    )


def _health(row: Row) -> str:
    if row.record.state == "done":
        return _coloured("done", True)
    if not row.alive:
        last = "" if row.record.last_exit is None else f", last exit code {row.record.last_exit}"
        return _coloured(f"{row.record.state}{last}", False)
    if row.ready:
        return _coloured("ready" if row.answers else "running", True)
    reasons = [f"{service}: {answer.reason}" for service, answer in row.answers.items() if not answer.ready]
    return _coloured("not ready: " + "; ".join(reasons), False)


def _coloured(text: str, good: bool) -> str:
    colour = "green" if good else "red"
    return f"[{colour}]{escape(text)}[/{colour}]"


def _uptime(started_at_s: float, alive: bool) -> str:
    if not alive:
        return ""
    seconds = max(0, int(time.time() - started_at_s))
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
