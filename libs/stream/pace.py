"""How long a worker waits for company: not at all when it is idle, and long enough under load that batches are full."""

from dataclasses import dataclass


@dataclass
class Pace:
    """A batch costs about the same whether it holds five messages or two hundred, so a busy worker takes its time.

    It starts a batch no sooner than `rests` times the last one's duration after that one began. A lone message after a
    pause waits `linger_ms` only. The more the machine is contended, the longer a batch takes, the fuller is the next:
    nothing has to be tuned to a machine. `limit_ms` bounds what this may add to a message's way.
    """

    rests: float
    linger_ms: int
    limit_ms: int
    _began_s: float = 0.0
    _took_s: float = 0.0

    def pause_s(self, now_s: float) -> float:
        """Return how long to wait before a batch that is not full is begun."""
        rest_s = min(self._took_s * self.rests, self.limit_ms / 1000)
        return max(self.linger_ms / 1000, self._began_s + rest_s - now_s)

    def note(self, began_s: float, ended_s: float) -> None:
        """Take in how long a batch took."""
        self._began_s = began_s
        self._took_s = ended_s - began_s
