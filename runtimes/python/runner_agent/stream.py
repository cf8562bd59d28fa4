"""The answer of one call: chunks are taken as they come, until the stream says or shows its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from time import monotonic_ns
from typing import NamedTuple

import httpx

from runner_agent import pieces
from runner_agent.socket_stream import Meter
from runner_agent.spec import Spec
from runner_agent.taker import Taker
from runner_agent.throttle import Throttle
from runner_agent.wire.decoding import Chunk, Malformed, Wire, loader

# How long the end of a body is waited for once the answer is whole, seconds, so that a server sees
# its answer taken and its last bytes are counted.
BODY_END = 0.2
# Longest answer that is kept, characters, and most chunks that one may have: a bound for what a
# server that never ends costs in memory and on disk.
TEXT_LIMIT = 64 * 1024 * 1024
CHUNK_LIMIT = 1_000_000


class End(NamedTuple):
    """How a call ended."""

    outcome: str
    error: str | None = None


class Stream:
    """Reads one answer to its end."""

    def __init__(self, spec: Spec, wire: Wire, taker: Taker) -> None:
        self.decoder = wire.decoder(loader(spec.variant.json))
        self.taker = taker
        self.throttle = Throttle(spec.throttle) if spec.throttle else None
        self.variant = spec.variant
        self.probe = spec.chunks

    async def read(self, response: httpx.Response, meter: Meter) -> End:
        body = pieces.received(response, meter, self.variant.rechunk)
        if self.variant.batch is not None:
            body = pieces.batched(body, round(self.variant.batch * 1e9))
        async with aclosing(body):
            try:
                return await self.read_pieces(body, meter)
            except Malformed as error:
                return End("malformed", str(error))
            except httpx.RemoteProtocolError as error:
                # A body that is cut is no fault of its framing.
                cut = "peer closed connection" in str(error)
                return End("truncated" if cut else "malformed", broken(error))
            except httpx.TransportError as error:
                return End("truncated", broken(error))

    async def read_pieces(self, body: AsyncIterator[pieces.Piece], meter: Meter) -> End:
        decoder, ending = self.decoder, self.decoder.ending
        async for piece in body:
            await self.work_on(piece)
            if ending.error is not None:
                return End("in_band_error", ending.error)
            if ending.complete:
                await body_end(body)
                return self.whole()
        chunk = decoder.last_chunk()
        if chunk is not None:
            now_ns = monotonic_ns()
            read_ns = meter.last_read_ns or now_ns
            time_ns = read_ns if self.variant.batch is None else now_ns
            await self.take(chunk, pieces.Piece(b"", read_ns, time_ns, waited=True), 0)
        if ending.error is not None:
            return End("in_band_error", ending.error)
        if decoder.complete_at_close():
            return self.whole()
        return End("truncated", "the stream ended without the server's last record")

    def whole(self) -> End:
        ending = self.decoder.ending
        if not self.taker.offsets and not ending.counts.get("tokens"):
            reason = ending.finish_reason or "none"
            return End("malformed", f"the answer has neither text nor tokens (reason: {reason})")
        return End("length" if ending.limited else "ok")

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
        self.decoder.push(data)
        chunks: list[tuple[Chunk, int]] = []
        before_ns = monotonic_ns() if self.probe else 0
        try:
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


async def body_end(body: AsyncIterator[pieces.Piece]) -> None:
    """Waits for the end of a body whose answer is whole, but not for long."""

    async def rest() -> None:
        async for _ in body:
            pass

    with suppress(asyncio.TimeoutError, httpx.TransportError):
        await asyncio.wait_for(rest(), BODY_END)


def broken(error: Exception) -> str:
    return f"the HTTP connection broke: {str(error) or repr(error)}"
