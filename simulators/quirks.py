"""The dials: how badly a platform behaves at the moment, each documented quirk switchable by itself, within limits."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Receivers = Literal["", "clear", "masked", "encrypted"]
Outage = Literal["", "cut", "503"]
# Whoever turns a dial is held to these: a number that no platform could play would break it until it is turned back.
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=366 * 86_400, allow_inf_nan=False)]
Moment = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]


@dataclass
class Dials:
    """One platform's dials. 0 and empty mean well behaved."""

    # What the platform sends by itself: pushes, queues and sockets
    pushes_lost_percent: Percent = 0  # never sent, not even by a retry
    pushes_doubled_percent: Percent = 0  # sent twice
    pushes_reordered_percent: Percent = 0  # held back up to `push_reorder_s`, so that later ones overtake
    push_reorder_s: Seconds = 3
    pushes_late_percent: Percent = 0  # held back for `push_late_s`
    push_late_s: Seconds = 60
    pushes_thin: bool = False  # only ids and status, even where the platform usually says more
    push_retries: bool = True  # unanswered pushes come again by the platform's schedule
    queue_redelivery_s: Seconds = 0  # unconfirmed messages come again after this; 0: the platform's own time
    # What it answers
    page_shift_rows: Count = 0  # so many rows change (and leave the window) after each page that was read
    page_shift_limit_per_order: Count = 2  # so that pulling comes to an end
    list_lag_s: Seconds = 0  # lists show a change only after this; the detail shows it at once
    windows_enforced: bool = True  # refuse windows that the documents forbid
    timestamps_checked: bool = True  # refuse calls outside the documented tolerance
    token_expires_after_calls: Count = 0  # each access token dies after so many calls
    calls_per_s: Rate = 0  # refuse what comes faster, per application, with the platform's own code; 0: no limit
    busy_percent: Percent = 0  # refuse at random with the platform's own code for "try again"
    answers_lost_percent: Percent = 0  # the call is carried out, but its answer is an error 502
    answer_delay_ms: Count = 0
    outage: Outage = ""  # nothing answers: connections are cut, or 503
    outage_until_s: Moment = 0  # simulated seconds since 1970; 0: until the dial is turned back
    # What it forgets
    stock_forgotten_percent: Percent = 0  # answers success to a stock update and changes nothing
    uploads_forgotten_percent: Percent = 0  # answers success to a shipment and changes nothing
    returns_stock_of_cancelled: bool = False  # a paid order that closes gives its goods back to the listing
    # Persons
    receivers: Receivers = ""  # empty: as this platform does today

    def is_down(self, now_s: float) -> bool:
        """Tell whether nothing answers at this simulated moment."""
        return bool(self.outage) and (self.outage_until_s <= 0 or now_s < self.outage_until_s)
