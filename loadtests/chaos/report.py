"""The outcome of a run as a table to read and a file to compare."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from loadtests.chaos.driver import Damage
from loadtests.chaos.schedule import points
from loadtests.chaos.verdict import Verdict

SHOWN_LIMIT = 12


@dataclass(frozen=True)
class Run:
    """One run: what was asked for, what was done, what came of it."""

    minutes: float
    seed: int
    kinds: Sequence[str]
    damage: Damage
    verdict: Verdict
    missing: Sequence[str]
    load: Mapping[str, int]
    took: Mapping[str, float]

    @property
    def passed(self) -> bool:
        """Tell whether everything that had to be hit was hit and nothing came of it."""
        return self.verdict.clean and not self.missing and not self.damage.unwell

    def as_json(self) -> dict[str, Any]:
        """Return the figures."""
        verdict = self.verdict
        return {
            "minutes": self.minutes,
            "seed": self.seed,
            "faults": {point: self.damage.hits.get(point, 0) for point in points(self.kinds)},
            "acked": verdict.told.total(),
            "found": verdict.found.total(),
            "lost": len(verdict.lost),
            "duplicated": len(verdict.duplicated),
            "oversold": len(verdict.oversold),
            "stuck": verdict.stuck_count,
            "parked": verdict.parked,
            "invariants": {finding.id: "ok" if finding.ok else finding.detail for finding in verdict.findings},
            "recovery_seconds": {
                point: {"p50": round(statistics.median(samples), 2), "max": round(max(samples), 2)}
                for point, samples in sorted(self.damage.recovery_s.items())
            },
        }


def write_json(path: Path, run: Run) -> None:
    """Write the figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(run.as_json())) + b"\n")


def show(run: Run, console: Console) -> None:
    """Print the tables, and everything that speaks against the run."""
    console.print(_faults(run))
    console.print(_balance(run))
    findings = run.verdict.findings
    wrong = [finding for finding in findings if not finding.ok]
    console.print(
        f"invariants: {len(findings) - len(wrong)} of {len(findings)} hold, over {run.verdict.records} records"
    )
    for finding in wrong:
        console.print(f"  {finding.id} {finding.title}: {finding.detail}", markup=False)
    console.print("load: " + ", ".join(f"{count} {what}" for what, count in sorted(run.load.items())), markup=False)
    console.print("seconds: " + ", ".join(f"{what} {seconds:.0f}" for what, seconds in run.took.items()), markup=False)
    for title, found in (
        ("not hit", run.missing),
        ("did not come back", run.damage.unwell),
        ("lost", run.verdict.lost),
        ("duplicated", run.verdict.duplicated),
        ("oversold", run.verdict.oversold),
        ("stuck", run.verdict.stuck),
    ):
        for text in found[:SHOWN_LIMIT]:
            console.print(f"{title}: {text}", markup=False)
        if len(found) > SHOWN_LIMIT:
            console.print(f"{title}: and {len(found) - SHOWN_LIMIT} more", markup=False)
    verdict = run.verdict
    outcome = "[green]passed[/green]" if run.passed else "[red]FAILED[/red]"
    console.print(
        f"{outcome}: seed {run.seed}, {run.minutes:g} minutes, {run.damage.hits.total()} faults, "
        f"{len(verdict.lost)} lost, {len(verdict.duplicated)} duplicated, {len(verdict.oversold)} oversold, "
        f"{verdict.stuck_count} stuck, {verdict.parked} parked"
    )


def _faults(run: Run) -> Table:
    table = Table(title="what went wrong, and how long until all was well again")
    for name, justify in (("fault", "left"), ("hits", "right"), ("p50 s", "right"), ("max s", "right")):
        table.add_column(name, justify="left" if justify == "left" else "right")
    by_kind: dict[str, list[float]] = defaultdict(list)
    for kind in run.kinds:
        hits = 0
        for point in points([kind]):
            hits += run.damage.hits.get(point, 0)
            by_kind[kind] += run.damage.recovery_s.get(point, [])
            samples = run.damage.recovery_s.get(point, [])
            table.add_row(f"  {point}", str(run.damage.hits.get(point, 0)), *_times(samples))
        table.add_row(f"[bold]{kind}[/bold]", f"[bold]{hits}[/bold]", *_times(by_kind[kind]), end_section=True)
    return table


def _times(samples: list[float]) -> tuple[str, str]:
    return (f"{statistics.median(samples):.1f}", f"{max(samples):.1f}") if samples else ("", "")


def _balance(run: Run) -> Table:
    table = Table(title="what clients were told, and what is there")
    for name in ("acknowledged", "told", "found"):
        table.add_column(name, justify="left" if name == "acknowledged" else "right")
    for what, count in sorted(run.verdict.told.items()):
        table.add_row(what, str(count), str(run.verdict.found[what]))
    table.add_row("[bold]all[/bold]", str(run.verdict.told.total()), str(run.verdict.found.total()))
    return table
