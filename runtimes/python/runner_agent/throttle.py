"""A token bucket with a burst of one, kept on absolute times so that late timers do not add up."""

import asyncio
from time import monotonic_ns

# How far a late timer may be caught up with. Beyond it the delay was not the timer's.
CATCH_UP_NS = 5_000_000


class Throttle:
    """Limits how often chunks with text are taken from one call; `rate` per second."""

    def __init__(self, rate: float) -> None:
        self.interval_ns = round(1e9 / rate)
        self.last_due_ns: int | None = None

    def due(self, read_ns: int, waited: bool) -> int:
        """When the chunk that was read at `read_ns` may be taken.

        `waited`: the consumer had to wait for it; otherwise it lay ready before, and only the
        throttle's own sleep made its read late.
        """
        due = read_ns
        if self.last_due_ns is not None:
            earliest = read_ns if waited else read_ns - CATCH_UP_NS
            due = max(earliest, self.last_due_ns + self.interval_ns)
        self.last_due_ns = due
        return due

    async def wait(self, read_ns: int, waited: bool) -> int:
        """Waits until the chunk may be taken and says when it was taken."""
        due_ns = self.due(read_ns, waited)
        now_ns = monotonic_ns()
        if due_ns <= now_ns:
            return max(due_ns, read_ns)
        await asyncio.sleep((due_ns - now_ns) / 1e9)
        return monotonic_ns()
