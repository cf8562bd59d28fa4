"""A loop that is held up on purpose, by a known amount.

Runs as a task of the loop that makes the calls and spins there, as work of the client's own would.
Nothing is recorded of it: what it does to the loop and to the calls is what the probes are for.
"""

import asyncio
from dataclasses import dataclass
from time import monotonic_ns

# Steps of the golden section leave no gap in a period for long and never come back to where they
# were, so the busy waits lock in with no rhythm of the streams.
STEP = 0.618033988749895


@dataclass(frozen=True)
class LagDose:
    """One busy wait of `busy_ns` in each period of `every_ns`."""

    busy_ns: int
    every_ns: int

    def offset_ns(self, first: float, period: int) -> int:
        """How long after the start of a period its busy wait begins."""
        return int((first + period * STEP) % 1 * (self.every_ns - self.busy_ns))

    async def hold(self) -> None:
        """Until it is cancelled; the first period begins now."""
        start_ns = monotonic_ns()
        # Another one in each run: what comes at a fixed time after the start is not met each time.
        first = start_ns % 1_000_000 / 1e6
        period = 0
        while True:
            due_ns = start_ns + period * self.every_ns + self.offset_ns(first, period)
            await asyncio.sleep(max(due_ns - monotonic_ns(), 0) / 1e9)
            until_ns = monotonic_ns() + self.busy_ns
            while monotonic_ns() < until_ns:
                pass
            # Periods that passed meanwhile are lost and never made up for.
            period = max(period + 1, (monotonic_ns() - start_ns) // self.every_ns)
