"""The variant `processes = "agent"`: one process with its own loop per agent, one record of all.

The first process makes no calls: it starts the others, passes their events on, holds the gates that
all of them wait at, and gathers what they leave.
"""

import asyncio
import multiprocessing
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait

from runner_agent import descriptors, loop, parent
from runner_agent.events import Events
from runner_agent.fields import Refused
from runner_agent.loop import Result
from runner_agent.spec import Spec

# How often a signal is looked for, seconds.
TICK = 0.1


class WorkerDied(Exception):
    """A process ended without its records."""


class Workers:
    """The processes of the agents, each at the other end of a pipe."""

    def __init__(self, spec: Spec) -> None:
        if "fork" not in multiprocessing.get_all_start_methods():
            raise Refused('processes = "agent" needs a system that can fork')
        # What Python loads late is loaded once, and not by each process.
        with loop.warm_loop(spec):
            pass
        fork = multiprocessing.get_context("fork")
        self.agents: dict[Connection, str] = {}
        self.processes = []
        for agent in spec.agents:
            ours, theirs = fork.Pipe()
            alone = replace(spec, agents=(agent,))
            process = fork.Process(target=work, args=(theirs, alone), name=agent.name)
            process.start()
            theirs.close()
            self.agents[ours] = agent.name
            self.processes.append(process)
        self.cancelled = False

    def follow(self, events: Events, say_ready: Callable[[], None]) -> Result:
        """Until every process has handed over its records."""
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "cancelled", True))
        signal.signal(signal.SIGINT, lambda *_: setattr(self, "cancelled", True))
        missing, told, results = set(self.agents), False, {}
        counts = {"up": 0, "warm": 0}
        while missing:
            for pipe in wait(list(missing), TICK):
                kind, content = self.hear(pipe)
                if kind == "events":
                    events.forward(content)
                elif kind == "result":
                    results[self.agents[pipe]] = content
                    missing.remove(pipe)
                else:
                    counts[kind] += 1
                    if counts[kind] == len(self.agents):
                        if kind == "up":
                            say_ready()
                        self.tell("go")
            if self.cancelled and not told:
                told = True
                self.tell("cancel")
        for process in self.processes:
            process.join()
        return merged(results)

    def hear(self, pipe: Connection) -> tuple:
        try:
            return pipe.recv()
        except (EOFError, OSError) as error:
            name = self.agents[pipe]
            raise WorkerDied(f'the process of agent "{name}" ended without its records') from error

    def tell(self, word: str) -> None:
        for pipe in self.agents:
            with suppress(OSError):  # if it has ended, reading from it will tell
                pipe.send(word)

    def end(self) -> None:
        """Ends what still runs."""
        for process in self.processes:
            process.kill()
            process.join()


def merged(results: dict[str, Result]) -> Result:
    whole = Result()
    for agent, result in results.items():
        whole.calls += result.calls
        whole.stages += result.stages
        whole.loops_lag[agent] = result.loop_lag
        whole.cancelled |= result.cancelled
        for probe, cost in result.probe_cost_ns.items():
            whole.probe_cost_ns[probe] = whole.probe_cost_ns.get(probe, 0) + cost
    idle = [result.idle for result in results.values() if result.idle is not None]
    if idle:  # while all of them were idle
        whole.idle = (max(start for start, _ in idle), min(end for _, end in idle))
    return whole


def work(pipe: Connection, spec: Spec) -> None:
    """One process: its agent, told what to do through the pipe."""
    parent.end_with_parent()
    descriptors.make_room(len(spec.agents))
    lock = threading.Lock()

    def tell(kind: str, content: object = None) -> None:
        with lock:  # events come from a thread of their own
            pipe.send((kind, content))

    events = Events(lambda lines: tell("events", lines))
    try:
        result = loop.run(spec, events, lambda: Together(pipe, tell))
    finally:
        events.close()
    tell("result", result)


class Together:
    """The gate of one process among others."""

    def __init__(self, pipe: Connection, tell: Callable[[str], None]) -> None:
        self.pipe = pipe
        self.tell = tell
        self.go = asyncio.Event()

    async def ready(self, cancel: Callable[[], None]) -> None:
        def hear() -> None:
            if self.pipe.recv() == "cancel":
                cancel()
            else:
                self.go.set()

        asyncio.get_running_loop().add_reader(self.pipe.fileno(), hear)
        await self.pass_gate("up")

    async def warm(self) -> None:
        await self.pass_gate("warm")

    async def pass_gate(self, kind: str) -> None:
        self.go.clear()
        self.tell(kind)
        await self.go.wait()
