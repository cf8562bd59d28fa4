"""The pieces of an answer's body, each with the times of its way here.

This is where `rechunk` and `batch` act: httpx holds bytes back until a size is reached, the batch
until its tick. Both make a piece available later than it was read.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from time import monotonic_ns
from typing import NamedTuple

import httpx

from runner_agent.socket_stream import Meter

# A read that took no longer than this found its bytes waiting, nanoseconds.
AT_ONCE_NS = 1_000_000


class Piece(NamedTuple):
    data: bytes
    # Right after the socket read that completed the piece returned.
    read_ns: int
    # When the piece was handed over: the same, or the batch's tick.
    time_ns: int
    # The consumer had to wait for it.
    waited: bool


async def received(
    response: httpx.Response, meter: Meter, rechunk: int | None
) -> AsyncIterator[Piece]:
    """Pieces as httpx hands them over."""
    async with aclosing(response.aiter_raw(rechunk)) as body:
        while True:
            asked_ns = monotonic_ns()
            try:
                data = await anext(body)
            except StopAsyncIteration:
                return
            read_ns = meter.last_read_ns or asked_ns
            yield Piece(data, read_ns, read_ns, read_ns - asked_ns > AT_ONCE_NS)


async def batched(pieces: AsyncIterator[Piece], interval_ns: int) -> AsyncIterator[Piece]:
    """Pieces as they are found every `interval_ns`. While they are worked on nothing is read.

    A tick that the work on the last one took is made up for at once, with what lies ready.
    """
    held: deque[Piece] = deque()
    free, came = asyncio.Event(), asyncio.Event()
    free.set()

    async def hold() -> None:
        async for piece in pieces:
            held.append(piece)
            came.set()
            await free.wait()

    async def take_ready(until_ns: int) -> None:
        while monotonic_ns() < until_ns and not holding.done():
            came.clear()
            try:
                await asyncio.wait_for(came.wait(), AT_ONCE_NS / 1e9)
            except asyncio.TimeoutError:
                return

    holding = asyncio.create_task(hold())
    holding.add_done_callback(lambda _: came.set())
    async with AsyncExitStack() as stack:
        stack.callback(holding.cancel)
        tick_ns = monotonic_ns()
        while not (holding.done() and not held):
            passed = (monotonic_ns() - tick_ns) // interval_ns
            tick_ns += passed * interval_ns  # ticks stay on their grid
            if passed:
                await take_ready(tick_ns + interval_ns)
            waited = not held
            if waited:
                tick_ns += interval_ns
                await asyncio.sleep((tick_ns - monotonic_ns()) / 1e9)
            free.clear()
            while held:
                yield held.popleft()._replace(time_ns=monotonic_ns(), waited=waited)
                waited = False  # the others of a tick lie ready while the first is worked on
            free.set()
        holding.result()  # the error that ended the body, if there was one
