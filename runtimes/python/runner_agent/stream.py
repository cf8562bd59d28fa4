"""The answer of one call: chunks are taken as they come, until the stream says or shows its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from time import monotonic_ns

import httpx

from runner_agent import pieces
from runner_agent.outcome import End, judge
from runner_agent.socket_stream import Meter
from runner_agent.spec import Agent, Spec
from runner_agent.taker import Taker
from runner_agent.throttle import Throttle
from runner_agent.wire.decoding import Chunk, Malformed, Wire
from runner_agent.wire.payload import loader

# How long the end of a body is waited for once the answer is whole, seconds, so that a server sees
# its answer taken and its last bytes are counted.
BODY_END = 0.2
# How long something more is waited for after a finish reason, where an answer may end with that, and how
# long while the server has not told its counts, which come last, seconds.
QUIET_END = 1.0
BEFORE_COUNTS = 2.0
# Longest answer that is kept, characters, and most chunks that one may have: a bound for what a
# server that never ends costs in memory and on disk.
TEXT_LIMIT = 64 * 1024 * 1024
CHUNK_LIMIT = 1_000_000


class Stream:
    """Reads one answer to its end."""

    def __init__(self, spec: Spec, agent: Agent, wire: Wire, taker: Taker) -> None:
        self.agent = agent
        self.decoder = wire.decoder(loader(spec.variant.json))
        self.taker = taker
        self.throttle = Throttle(spec.throttle) if spec.throttle else None
        self.variant = spec.variant
        self.probe = spec.chunks

    async def read(self, response: httpx.Response, meter: Meter) -> End:
        self.decoder.content_type = response.headers.get("content-type", "")
        body = pieces.received(response, meter, self.variant.rechunk)
        if self.variant.batch is not None:
            body = pieces.batched(body, round(self.variant.batch * 1e9))
        failure = None
        async with aclosing(body):
            try:
                await self.read_pieces(body, meter)
            except Malformed as error:
                return End("malformed", str(error))
            except httpx.RemoteProtocolError as error:
                failure = broken(error)
                # A body that is cut is no fault of its framing.
                if "peer closed connection" not in str(error):
                    return End("malformed", failure)
            except httpx.TransportError as error:
                failure = broken(error)
        return judge(self.agent, self.decoder, self.taker.log.texts, failure)

    async def read_pieces(self, body: AsyncIterator[pieces.Piece], meter: Meter) -> None:
        """Takes the pieces of a body up to the answer's end, an error, or the body's own end."""
        decoder, ending = self.decoder, self.decoder.ending
        # A batch hands over later what has come in time.
        batch, may_end = self.variant.batch or 0, False
        while True:
            quiet = batch + (QUIET_END if "tokens" in ending.counts else BEFORE_COUNTS)
            try:
                piece = await (within(quiet, body) if may_end else anext(body))
            except StopAsyncIteration:
                break
            except asyncio.TimeoutError:
                return
            await self.work_on(piece)
            if ending.over:
                if ending.complete:
                    await body_end(body)
                return
            may_end = decoder.ends_by_reason and ending.finish_reason is not None
        chunk = decoder.last_chunk()
        if chunk is not None:
            now_ns = monotonic_ns()
            read_ns = meter.last_read_ns or now_ns
            time_ns = read_ns if self.variant.batch is None else now_ns
            await self.take(chunk, pieces.Piece(b"", read_ns, time_ns, waited=True), 0)

    async def work_on(self, piece: pieces.Piece) -> None:
        """Decodes a piece where the variant says, then takes what was in it."""
        if self.variant.parse == "thread":
            decode = asyncio.get_running_loop().run_in_executor(None, self.decode, piece.data)
            chunks, failure = await decode
        else:
            chunks, failure = self.decode(piece.data)
        for chunk, parse_ns in chunks:
            await self.take(chunk, piece, parse_ns)
        if failure is not None:
            raise failure
        log = self.taker.log
        if log.text_length > TEXT_LIMIT or log.record["chunks"] > CHUNK_LIMIT:
            raise Malformed(
                f"the answer is longer than {TEXT_LIMIT} characters or {CHUNK_LIMIT} chunks"
            )

    async def take(self, chunk: Chunk, piece: pieces.Piece, parse_ns: int) -> None:
        """Takes a chunk, after the throttle's wait if it carries text."""
        time_ns = piece.time_ns
        if self.throttle is not None and chunk.text:
            time_ns = await self.throttle.wait(time_ns, piece.waited)
        self.taker.take(chunk, time_ns, piece.read_ns, parse_ns)

    def decode(self, data: bytes) -> tuple[list[tuple[Chunk, int]], Malformed | None]:
        """The whole chunks with the time that each took, and what stopped the decoding."""
        chunks: list[tuple[Chunk, int]] = []
        before_ns = monotonic_ns() if self.probe else 0
        try:
            self.decoder.push(data)
            for chunk in self.decoder.chunks():
                if self.probe:
                    after_ns = monotonic_ns()
                    chunks.append((chunk, after_ns - before_ns))
                    before_ns = after_ns
                else:
                    chunks.append((chunk, 0))
        except Malformed as error:
            return chunks, error
        return chunks, None


async def within(seconds: float, body: AsyncIterator[pieces.Piece]) -> pieces.Piece:
    """The next piece, if one comes in that time."""
    return await asyncio.wait_for(anext(body), seconds)


async def body_end(body: AsyncIterator[pieces.Piece]) -> None:
    """Waits for the end of a body whose answer is whole, but not for long."""

    async def rest() -> None:
        async for _ in body:
            pass

    with suppress(asyncio.TimeoutError, httpx.TransportError):
        await asyncio.wait_for(rest(), BODY_END)


def broken(error: Exception) -> str:
    return f"the HTTP connection broke: {str(error) or repr(error)}"
