"""Instruments inside the process, and what they cost it.

Samples go into arrays that are made before the window and are written after it.
"""

import asyncio
from array import array
from time import monotonic_ns, thread_time_ns

# Room for samples, made before the window; a minute at 1 ms.
ROOM = 60_000
# How long the loop-lag probe runs alone, after the window, to learn what a sample costs, seconds.
ALONE = 0.05
# Rows that are made up, after the window, to learn what a row of the chunk probe costs.
MADE_UP_ROWS = 2_000


class LoopLag:
    """A task that sleeps in the agents' own loop and notes how late it wakes."""

    def __init__(self, interval_ns: int) -> None:
        self.interval_ns = interval_ns
        self.times = array("Q", bytes(8 * ROOM))
        self.lags = array("Q", bytes(8 * ROOM))
        self.count = 0

    def start(self) -> None:
        self.task = asyncio.create_task(self.sample())

    async def sample(self) -> None:
        interval_ns, seconds = self.interval_ns, self.interval_ns / 1e9
        while True:
            wanted_ns = monotonic_ns() + interval_ns
            await asyncio.sleep(seconds)
            woke_ns = monotonic_ns()
            if self.count == len(self.times):
                self.times.extend(array("Q", bytes(8 * ROOM)))
                self.lags.extend(array("Q", bytes(8 * ROOM)))
            self.times[self.count] = woke_ns
            self.lags[self.count] = max(woke_ns - wanted_ns, 0)
            self.count += 1

    async def end(self) -> tuple[list[tuple[int, int]], int]:
        """The samples (time, lag) and the CPU time that the probe has cost, nanoseconds.

        The cost of a sample is what the loop's thread uses while nothing but the probe runs on it:
        its wake-up, the loop's turn, the timer. Beside other work a turn is shared, so it is an
        upper limit.
        """
        end_ns, before, used_ns = monotonic_ns(), self.count, thread_time_ns()
        await asyncio.sleep(max(ALONE, 5 * self.interval_ns / 1e9))
        used_ns = thread_time_ns() - used_ns
        self.task.cancel()
        woken = zip(self.times[: self.count], self.lags[: self.count], strict=True)
        # A wake-up that was due by the end still counts, however late it came.
        samples = [(time_ns, lag_ns) for time_ns, lag_ns in woken if time_ns - lag_ns <= end_ns]
        alone = max(self.count - before, 1)
        return samples, used_ns * len(samples) // alone


def chunk_cost_ns(rows: int) -> int:
    """CPU time of as many rows of the chunk probe: two looks at the clock and the row itself."""
    kept = []
    used_ns = thread_time_ns()
    for _ in range(MADE_UP_ROWS):
        before_ns = monotonic_ns()
        after_ns = monotonic_ns()
        kept.append((after_ns, before_ns, rows, after_ns - before_ns, True))
    return (thread_time_ns() - used_ns) * rows // MADE_UP_ROWS
