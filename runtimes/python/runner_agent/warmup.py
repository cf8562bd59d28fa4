"""Requests against a server of this process's own, before it says that it is ready.

What Python loads and sets up late would otherwise lie inside the first call of every agent: modules that
httpx imports when it first sends something, code that the interpreter adapts while it runs, threads of a
pool. So a few whole calls go the way of the real ones, on the same event loop, over the loopback and
with nobody else's help; what is recorded of them is thrown away.
"""

import asyncio
import gc
import threading
from dataclasses import replace

from runner_agent.call import Caller
from runner_agent.spec import Agent, Call, Spec
from runner_agent.target import Target
from runner_agent.wire import WIRES

# Calls of each kind. The interpreter adapts code that has run several times.
CALLS = 4
# Limit of each, nanoseconds.
TIMEOUT_NS = 10_000_000_000
# What would only make them slow: chunks per second, seconds.
THROTTLE = 10_000.0
BATCH = 0.001
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"
# As the samples name it.
MODEL = "m"
PROMPT = "A prompt that nobody reads. " * 20


class NotWarm(Exception):
    """A request to a server of this process's own failed, so that others would fail, too."""


class Silence:
    """Events of calls that nobody is told of."""

    def send(self, event: str, t_ns: int | None = None, **fields: object) -> None:
        pass


async def warm_up(spec: Spec, threads: int) -> None:
    """Makes calls like those of the spec's agents, one kind after the other."""
    await start_threads(threads)
    kinds = {(agent.api, agent.target.proxy is None): agent for agent in spec.agents}
    for agent in kinds.values():
        await make_calls(spec, agent)
    # What is there now stays: no search for garbage in the measured window has to look at it.
    gc.freeze()


async def make_calls(spec: Spec, agent: Agent) -> None:
    sample = WIRES[agent.api].sample
    server = await asyncio.start_server(lambda *ends: answer(*ends, sample), "127.0.0.1", 0)
    async with server:
        url = "http://127.0.0.1:{}".format(server.sockets[0].getsockname()[1])
        proxy = None if agent.target.proxy is None else url
        calls = (Call(PROMPT, warmup=False, stage=None),) * CALLS
        target = Target(url, proxy, tls=None)
        made_up = replace(agent, target=target, key=None, model=MODEL, calls=calls, workflow=None)
        batch = None if spec.variant.batch is None else BATCH
        quick = replace(
            spec,
            timeout_ns=TIMEOUT_NS,
            throttle=None if spec.throttle is None else THROTTLE,
            variant=replace(spec.variant, batch=batch),
        )
        for log in await Caller(quick, made_up, Silence()).make_calls(lambda: asyncio.sleep(0)):
            if log.record["outcome"] != "ok":
                outcome, error = log.record["outcome"], log.record["error"]
                raise NotWarm(f"a request within this process ended as {outcome}: {error}")


async def answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sample: tuple[bytes, ...]
) -> None:
    """Gives every request of a connection the same answer, piece by piece."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            writer.write(HEAD)
            for piece in sample:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await asyncio.sleep(0)
            writer.write(b"0\r\n\r\n")
    except (asyncio.IncompleteReadError, OSError):  # the client has closed the connection
        pass
    finally:
        writer.close()


async def start_threads(number: int) -> None:
    """Has the loop's pool start so many threads, which it does only for work that finds none free."""
    if number == 0:
        return
    together = threading.Barrier(number)
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.run_in_executor(None, together.wait) for _ in range(number)))
