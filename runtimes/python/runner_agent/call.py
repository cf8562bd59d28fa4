"""One agent's calls: when each begins, what is sent, what is kept, how it ended."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic_ns

import httpx

from runner_agent import VERSION
from runner_agent.client import Backend, Body, Transport, client, retry_after_s
from runner_agent.events import Events
from runner_agent.outcome import End
from runner_agent.socket_stream import Meter
from runner_agent.spec import Agent, Call, Spec
from runner_agent.stream import Stream, broken
from runner_agent.taker import CallLog, Taker
from runner_agent.wire import WIRES
from runner_agent.wire.decoding import Prompt
from runner_agent.wire.errors import error_body
from runner_agent.wire.refusal import REDIRECTS, moved
from runner_agent.workflow import Workflow

# Outcomes of answers that were read to their end.
WHOLE = frozenset(
    ("ok", "length", "context_full", "empty", "not_streamed", "other_model", "refused", "http_error")
)
# Most headers of an answer.
HEADERS_LIMIT = 512
# Longest body of an error that is read, bytes.
ERROR_BODY_LIMIT = 64 * 1024


class Caller:
    """Makes the calls of one agent, one after the other."""

    def __init__(self, spec: Spec, agent: Agent, events: Events) -> None:
        self.spec = spec
        self.agent = agent
        self.events = events
        self.meter = Meter()
        self.wire = WIRES[agent.api]
        backend = Backend(agent.target, self.meter, spec.read_buffer)
        self.transport = Transport(agent.target, backend, spec.keep)
        self.client = client(self.transport)
        self.workflow = Workflow(agent.name, agent.workflow) if agent.workflow else None
        self.exchange_task: asyncio.Task | None = None
        self.cancelled = False

    def cancel(self) -> None:
        """Ends the running call; no other begins."""
        self.cancelled = True
        if self.exchange_task is not None:
            self.exchange_task.cancel()

    async def make_calls(self, warm: Callable[[], Awaitable[None]]) -> list[CallLog]:
        """Makes all calls; waits for `warm` between warm-up and measured ones."""
        logs: list[CallLog] = []
        calls = self.agent.calls
        warmups = sum(call.warmup for call in calls)
        async with self.client:
            for number, call in enumerate(calls):
                if number == warmups:
                    await warm()
                if not self.cancelled:
                    former = "".join(logs[-1].texts) if logs else ""
                    logs.append(await self.work(number, call, former))
            if warmups == len(calls):
                await warm()  # others may wait for this agent, though it has nothing left to do
        return logs

    async def work(self, number: int, call: Call, answer: str) -> CallLog:
        """Makes a call with what its workflow, if it belongs to one, does before it."""
        if self.workflow is None:
            return await self.make(number, call.prompt, call.warmup)
        prompt, start_ns = self.workflow.begin(call.prompt, call.stage, call.warmup, answer)
        log = await self.make(number, prompt, call.warmup)
        log.prompt = prompt
        self.workflow.end(call.stage, log.record, start_ns, prompt)
        return log

    async def make(self, number: int, prompt: str, warmup: bool) -> CallLog:
        agent, log = self.agent, CallLog(self.agent.name, number, warmup)
        message = self.message(number, prompt)
        self.meter.reset(kept=self.transport.begin_call())
        self.events.send("call_started", agent=agent.name, call=number, warmup=warmup)
        log.record["start_ns"] = monotonic_ns()  # in case it is cancelled before its turn
        self.exchange_task = asyncio.create_task(self.exchange(message, log))
        end = await self.within(self.exchange_task)
        self.finish(log, end)
        self.events.send(
            "call_finished",
            log.record["end_ns"],
            agent=agent.name,
            call=number,
            outcome=end.outcome,
            tokens=log.record["server"].get("tokens"),
        )
        return log

    def message(self, number: int, prompt: str) -> httpx.Request:
        agent = self.agent
        headers = {
            "user-agent": f"runner/{VERSION}",
            "content-type": "application/json",
            "x-request-id": f"{self.spec.run}/{agent.name}/{number}",
            **self.wire.headers(agent.key),
            **agent.headers,
        }
        asked = Prompt(
            agent.model,
            prompt,
            agent.options,
            agent.extra,
            agent.max_tokens_as,
            agent.stream_options,
            agent.max_tokens,
        )
        body = json.dumps(self.wire.body(asked), ensure_ascii=False)
        # Half of a surrogate pair is no text that can be sent.
        content = body.encode(errors="replace")
        url = agent.target.url + self.wire.path
        message = self.client.build_request("POST", url, headers=headers, content=content)
        message.stream = Body(content, self.meter)
        return message

    async def within(self, exchange: asyncio.Task) -> End:
        """Waits for a call's end, its limit or the cancelling of all calls."""
        await asyncio.wait({exchange}, timeout=self.spec.timeout_ns / 1e9)
        if not exchange.done():
            exchange.cancel()
            await asyncio.wait({exchange})
            if exchange.cancelled() and not self.cancelled:
                return End("timeout", f"no end within {self.spec.timeout_ns / 1e9:g} s")
        if exchange.cancelled():
            return End("cancelled", "the run was stopped from outside")
        return exchange.result()

    async def exchange(self, message: httpx.Request, log: CallLog) -> End:
        log.record["start_ns"] = monotonic_ns()
        try:
            response = await self.client.send(message, stream=True)
        except httpx.ProxyError as error:
            proxy = self.agent.target.proxy
            return End("connect_error", f"no connection through the proxy {proxy}: {error}")
        except httpx.RemoteProtocolError as error:
            return self.no_header(error, log)
        except httpx.HTTPError as error:
            return End("connect_error", str(error) or repr(error))
        try:
            if len(response.headers.raw) > HEADERS_LIMIT:
                words = f"the answer's head is too large: it has more than {HEADERS_LIMIT} headers"
                return End("malformed", words)
            record = log.record
            record["headers_ns"] = self.meter.last_read_ns
            record["http_status"] = response.status_code
            asked_s = retry_after_s(response.headers)
            if asked_s is not None:
                record["retry_after_s"] = asked_s
            if response.status_code in REDIRECTS:
                return End("http_error", moved(response.headers.get("location"), self.wire.path))
            encoding = response.headers.get("content-encoding", "").strip()
            if encoding.lower() not in ("", "identity"):
                return compressed(encoding, response.status_code, response.is_success)
            if not response.is_success:
                text = error_body(await error_bytes(response))
                return End("http_error", text or f"HTTP {response.status_code}")
            taker = Taker(log, self.events, self.spec.chunks)
            stream = Stream(self.spec, self.agent, self.wire, taker)
            try:
                return await stream.read(response, self.meter)
            finally:  # also of a call that is given up
                ending = stream.decoder.ending
                record["finish_reason"] = ending.finish_reason
                if ending.model is not None:
                    record["model"] = ending.model
                record["server"] = ending.counts
        finally:
            await response.aclose()

    def no_header(self, error: httpx.RemoteProtocolError, log: CallLog) -> End:
        """How a call ends whose answer did not begin as it should."""
        meter = self.meter
        # What was said before the connection was open is no answer of the server.
        if meter.local_port is None:
            return End("connect_error", broken(error))
        if self.agent.target.tls is None:
            if meter.beginning[:5] == b"HTTP/" and meter.beginning.endswith(b" 101"):
                log.record["headers_ns"], log.record["http_status"] = meter.last_read_ns, 101
                return End("http_error", "HTTP 101")
            if not b"HTTP/".startswith(meter.beginning[:5]):
                return End("malformed", f"the answer is no HTTP: {broken(error)}")
        silent = "without sending a response" in str(error)
        return End("connect_error" if silent else "malformed", broken(error))

    def finish(self, log: CallLog, end: End) -> None:
        """Completes the record and closes the connection, unless another call may use it."""
        record, meter = log.record, self.meter
        for name in ("connected_ns", "local_port", "sent_ns"):
            known = getattr(meter, name)
            if known is not None:
                record[name] = known
        record["outcome"], record["error"] = end
        record["bytes"] = meter.bytes
        record["reads"] = meter.reads
        record["largest_read"] = meter.largest or None
        record["end_ns"] = monotonic_ns()
        if end.outcome in WHOLE:
            offsets = record["text_offsets_ns"]
            last_taken_ns = record["start_ns"] + offsets[-1] if offsets else 0
            record["end_ns"] = max(meter.last_read_ns or 0, last_taken_ns) or record["end_ns"]
        self.transport.end_call(end.outcome in ("ok", "length"))


def compressed(encoding: str, status: int, is_success: bool) -> End:
    """A packed body is read no further: its pieces are not those that the server made."""
    words = (
        f"the answer is compressed (content-encoding {encoding}), though none was asked for: switch "
        "compression off in the server or the proxy before it"
    )
    return End("malformed", words) if is_success else End("http_error", f"HTTP {status}: {words}")


async def error_bytes(response: httpx.Response) -> bytes:
    """The body of an error, as far as it can be read."""
    body = bytearray()
    with suppress(httpx.TransportError):
        async for piece in response.aiter_raw():
            body += piece
            if len(body) >= ERROR_BODY_LIMIT:
                break
    return bytes(body)
