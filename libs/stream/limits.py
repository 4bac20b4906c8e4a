"""The bounds of a worker, and whether it keeps up: what settings may turn and what readiness tells."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from libs.stream.log import FetchFailed, Log, Place


@dataclass(frozen=True)
class Limits:
    """The bounds of one worker."""

    batch_inputs: int = 4_000
    queue_commands: int = 2_000
    timers_per_batch: int = 200
    unsent_records: int = 50_000
    calls_in_flight: int = 8  # to one destination
    fetch_timeout_ms: int = 500
    rests: float = 3.0
    rest_limit_ms: int = 100
    lease_ms: int = 3_000
    answer_timeout_ms: int = 10_000
    retry_first_ms: int = 100
    retry_last_ms: int = 2_000
    ready_lag_ms: int = 60_000


@dataclass
class Readiness:
    """Whether the worker serves, and if not, why."""

    ready: bool
    reasons: list[str] = field(default_factory=list)
    lag_records: int = 0
    lag_ms: int = 0


async def lag_of(log: Log, positions: Mapping[Place, int], last_lag_ms: int, ready_lag_ms: int) -> Readiness:
    """Compare a serving worker's positions with the ends of the log; it is ready while its lag is bounded."""
    try:
        ends = await log.ends(list(positions))
    except FetchFailed as error:
        return Readiness(False, [f"the log does not answer: {error}"])
    behind = sum(max(0, ends[place] - at) for place, at in positions.items())
    lag_ms = last_lag_ms if behind else 0
    reasons = [f"events wait for {lag_ms} ms"] if lag_ms > ready_lag_ms else []
    return Readiness(not reasons, reasons, behind, lag_ms)
