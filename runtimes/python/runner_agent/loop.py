"""One event loop with its agents: from its start to the end of their last call."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Protocol

from runner_agent.call import Caller
from runner_agent.events import Events
from runner_agent.probes import LoopLag, chunk_cost_ns
from runner_agent.spec import Spec
from runner_agent.taker import CallLog
from runner_agent.warmup import warm_up


@dataclass
class Result:
    """What the agents of one loop, or of several, leave."""

    calls: list[CallLog] = field(default_factory=list)
    # The protocol's records of the stages of workflows.
    stages: list[dict] = field(default_factory=list)
    # Time and lag, nanoseconds.
    loop_lag: list[tuple[int, int]] = field(default_factory=list)
    # The same by agent, where each has a loop of its own.
    loops_lag: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    # Start and end of the idle control.
    idle: tuple[int, int] | None = None
    probe_cost_ns: dict[str, int] = field(default_factory=dict)
    cancelled: bool = False


class Gate(Protocol):
    """Where agents wait for all others, in this process or not."""

    async def ready(self, cancel: Callable[[], None]) -> None:
        """The loop runs; returns when the first calls may begin. `cancel` ends all calls."""

    async def warm(self) -> None:
        """An agent has ended its warm-up; returns when every agent has."""


class Alone:
    """The gate of a process that holds every agent."""

    def __init__(self, agents: int, say_ready: Callable[[], None]) -> None:
        self.waiting = agents
        self.say_ready = say_ready
        self.open = asyncio.Event()

    async def ready(self, cancel: Callable[[], None]) -> None:
        self.say_ready()

    async def warm(self) -> None:
        self.waiting -= 1
        if self.waiting == 0:
            self.open.set()
        await self.open.wait()


def run(spec: Spec, events: Events, gate: Callable[[], Gate]) -> Result:
    """Runs the agents of the spec on a loop of their own."""
    with warm_loop(spec) as loop:
        return loop.run_until_complete(Agents(spec, events).work(gate()))


@contextlib.contextmanager
def warm_loop(spec: Spec) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop of the kind that the spec's variant names, after calls like those of its agents."""
    loop = new_loop(spec.variant.event_loop)
    asyncio.set_event_loop(loop)
    # As many as the loop's own pool would have.
    most = min(32, (os.cpu_count() or 1) + 4)
    loop.set_default_executor(ThreadPoolExecutor(most, "asyncio"))
    threads = min(most, len(spec.agents)) if spec.variant.parse == "thread" else 0
    try:
        loop.run_until_complete(warm_up(spec, threads))
        yield loop
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    if name == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    # On Windows the default is another loop, which lacks what the metered sockets need. Untested.
    return asyncio.SelectorEventLoop()


class Agents:
    """Every agent of one loop."""

    def __init__(self, spec: Spec, events: Events) -> None:
        self.spec = spec
        self.callers = [Caller(spec, agent, events) for agent in spec.agents]
        self.result = Result()
        self.stopped = asyncio.Event()

    def cancel(self) -> None:
        self.result.cancelled = True
        self.stopped.set()
        for caller in self.callers:
            caller.cancel()

    async def work(self, gate: Gate) -> Result:
        with contextlib.suppress(NotImplementedError):  # Windows has no such signals
            for name in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(name, self.cancel)
        spec, result = self.spec, self.result
        lag = LoopLag(spec.loop_lag_ns) if spec.loop_lag_ns else None
        await gate.ready(self.cancel)
        if lag is not None:
            lag.start()
        if spec.idle_ns:
            start_ns = monotonic_ns()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.stopped.wait(), spec.idle_ns / 1e9)
            result.idle = (start_ns, monotonic_ns())
        dose: asyncio.Task | None = None

        async def warm() -> None:
            nonlocal dose
            await gate.warm()
            if spec.lag_dose is not None and dose is None:
                dose = asyncio.create_task(spec.lag_dose.hold())

        agents = [caller.make_calls(warm) for caller in self.callers]
        for calls in await asyncio.gather(*agents):
            result.calls += calls
        if dose is not None:
            dose.cancel()
        for caller in self.callers:
            if caller.workflow is not None:
                result.stages += caller.workflow.stages
        if lag is not None:
            result.loop_lag, result.probe_cost_ns["loop_lag"] = await lag.end()
        if spec.chunks:
            rows = sum(len(call.rows) for call in result.calls)
            result.probe_cost_ns["chunks"] = chunk_cost_ns(rows)
        return result
