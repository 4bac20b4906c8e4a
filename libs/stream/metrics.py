"""What a stream says about itself to Prometheus; times are event time unless the name says otherwise."""

from collections.abc import Mapping

from prometheus_client import Counter, Gauge, Histogram

BATCH_RECORDS = Histogram(
    "ordo_batch_inputs",
    "Inputs decided in one transaction",
    ["service"],
    buckets=(1, 5, 20, 50, 100, 200, 500, 1000, 4000),
)
COMMIT_SECONDS = Histogram(
    "ordo_commit_seconds",
    "From begin to commit",
    ["service"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5),
)
LAG_SECONDS = Gauge("ordo_event_lag_seconds", "Age of the newest batch's oldest event when it was decided", ["service"])
LAG_RECORDS = Gauge("ordo_lag_records", "Records in the log after the position", ["service"])
UNSENT = Gauge("ordo_outbox_unsent_records", "Committed, not yet acknowledged by the log", ["service"])
PARKED = Gauge("ordo_parked_keys", "Keys that wait for an operator", ["service"])
EGRESS = Counter("ordo_egress_total", "Outward calls by what became of them", ["service", "destination", "outcome"])
RECORDS = Counter("ordo_records_total", "Records read, by what the sequence rule said", ["service", "verdict"])
COMMANDS = Counter("ordo_commands_total", "Commands by answer status", ["service", "status"])
FAILURES = Counter("ordo_stream_failures_total", "Passing failures, each retried", ["service", "kind"])


def note_verdicts(service: str, counts: Mapping[str, int]) -> None:
    """Count what the sequence rule said of the records of one fetch."""
    for verdict, number in counts.items():
        if number:
            RECORDS.labels(service, verdict).inc(number)
