"""The dials: how badly a platform behaves at the moment, each documented quirk switchable by itself."""

from dataclasses import dataclass
from typing import Literal

Receivers = Literal["", "clear", "masked", "encrypted"]
Outage = Literal["", "cut", "503"]


@dataclass
class Dials:
    """One platform's dials. Percentages go from 0 to 100; 0 and empty mean well behaved."""

    # What the platform sends by itself: pushes, queues and sockets
    pushes_lost_percent: float = 0  # never sent, not even by a retry
    pushes_doubled_percent: float = 0  # sent twice
    pushes_reordered_percent: float = 0  # held back up to `push_reorder_s`, so that later ones overtake
    push_reorder_s: float = 3
    pushes_late_percent: float = 0  # held back for `push_late_s`
    push_late_s: float = 60
    pushes_thin: bool = False  # only ids and status, even where the platform usually says more
    push_retries: bool = True  # unanswered pushes come again by the platform's schedule
    queue_redelivery_s: float = 0  # unconfirmed messages come again after this; 0: the platform's own time
    # What it answers
    page_shift_rows: int = 0  # so many rows change (and leave the window) after each page that was read
    page_shift_limit_per_order: int = 2  # so that pulling comes to an end
    list_lag_s: float = 0  # lists show a change only after this; the detail shows it at once
    windows_enforced: bool = True  # refuse windows that the documents forbid
    timestamps_checked: bool = True  # refuse calls outside the documented tolerance
    token_expires_after_calls: int = 0  # each access token dies after so many calls
    calls_per_s: float = 0  # refuse what comes faster, per application, with the platform's own code; 0: no limit
    busy_percent: float = 0  # refuse at random with the platform's own code for "try again"
    answers_lost_percent: float = 0  # the call is carried out, but its answer is an error 502
    answer_delay_ms: int = 0
    outage: Outage = ""  # nothing answers: connections are cut, or 503
    outage_until_s: float = 0  # simulated seconds since 1970; 0: until the dial is turned back
    # What it forgets
    stock_forgotten_percent: float = 0  # answers success to a stock update and changes nothing
    uploads_forgotten_percent: float = 0  # answers success to a shipment and changes nothing
    returns_stock_of_cancelled: bool = False  # a paid order that closes gives its goods back to the listing
    # Persons
    receivers: Receivers = ""  # empty: as this platform does today

    def is_down(self, now_s: float) -> bool:
        """Tell whether nothing answers at this simulated moment."""
        return bool(self.outage) and (self.outage_until_s <= 0 or now_s < self.outage_until_s)
