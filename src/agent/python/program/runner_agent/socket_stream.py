"""A socket that notes every read: when it returned and how many bytes it brought.

Sits right above the event loop's transport, below TLS and HTTP, so that the time of a chunk is the
time its bytes reached this process. The loop reads into a buffer of exactly `read_buffer` bytes,
and only while somebody waits for data: nothing is read ahead of a throttled consumer.
"""

import asyncio
import select
import ssl
from time import monotonic_ns
from typing import Any

import httpcore


class Meter:
    """What the reads of one agent's connections have brought since the last reset."""

    __slots__ = ("last_read_ns", "bytes", "reads", "largest")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.last_read_ns: int | None = None
        self.bytes = self.reads = self.largest = 0

    def note(self, time_ns: int, size: int) -> None:
        self.last_read_ns = time_ns
        self.bytes += size
        self.reads += 1
        if size > self.largest:
            self.largest = size


class Reader(asyncio.BufferedProtocol):
    """One connection as the loop sees it; the loop fills the buffer and says how far."""

    def __init__(self, meter: Meter, read_buffer: int) -> None:
        self.meter = meter
        self.buffer = memoryview(bytearray(read_buffer))
        self.data = b""
        self.ended = False
        self.failure: Exception | None = None
        self.reader: asyncio.Future | None = None
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, size: int) -> None:
        time_ns = monotonic_ns()  # before anything else
        self.transport.pause_reading()
        self.meter.note(time_ns, size)
        self.data += self.buffer[:size]
        self.wake()

    def eof_received(self) -> None:
        self.ended = True
        self.wake()

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = True
        self.failure = error
        self.writable.set()
        self.wake()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def wake(self) -> None:
        if self.reader is not None and not self.reader.done():
            self.reader.set_result(None)

    async def read(self) -> bytes:
        """The bytes of one read; none at the end."""
        if not self.data and not self.ended:
            self.reader = asyncio.get_running_loop().create_future()
            self.transport.resume_reading()
            await self.reader
        if self.failure is not None and not self.data:
            raise self.failure
        data, self.data = self.data, b""
        return data

    async def write(self, data: bytes) -> None:
        if self.failure is not None:
            raise self.failure
        self.transport.write(data)
        await self.writable.wait()


class SocketStream(httpcore.AsyncNetworkStream):
    """A connection as httpcore wants it. Limits of time belong to the call, not to its reads."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        # What one read brought stays together, so that a larger `read_buffer` works too.
        try:
            return await self.reader.read()
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            await self.reader.write(buffer)
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        self.reader.transport.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = TlsStream(self, ssl_context, server_hostname)
        try:
            await stream.driven(stream.tls.do_handshake)
        except (OSError, ssl.SSLError, httpcore.ReadError) as error:
            await self.aclose()
            raise httpcore.ConnectError(f"no TLS with {server_hostname}: {error}") from error
        return stream

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # an idle connection that can be read has been closed
            if self.reader.ended or self.reader.transport.is_closing():
                return True
            socket = self.reader.transport.get_extra_info("socket")
            return bool(select.select([socket.fileno()], [], [], 0)[0])
        return None


class TlsStream(httpcore.AsyncNetworkStream):
    """TLS above the metered socket, so that reads are counted where they happen."""

    def __init__(self, below: SocketStream, context: ssl.SSLContext, hostname: str | None) -> None:
        self.below = below
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=hostname)

    async def driven(self, step: Any, *arguments: object) -> Any:
        """Does one step of TLS, with as many reads and writes below as it wants."""
        while True:
            try:
                result = step(*arguments)
            except ssl.SSLWantReadError:
                await self.flush()
                data = await self.below.read(0)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()
            else:
                await self.flush()
                return result

    async def flush(self) -> None:
        if self.outgoing.pending:
            await self.below.write(self.outgoing.read())

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return await self.driven(self.tls.read, max_bytes)
        except ssl.SSLEOFError:  # closed without saying goodbye; HTTP knows whether that is early
            return b""
        except ssl.SSLError as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            await self.driven(self.tls.write, buffer)
        except ssl.SSLError as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        await self.below.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self.tls if info == "ssl_object" else self.below.get_extra_info(info)
