"""A socket that notes every read and write: when, and how many bytes it brought.

Sits right above the event loop's transport, below TLS and HTTP, so that the time of a chunk is the
time its bytes reached this process. The loop reads into a buffer of exactly `read_buffer` bytes,
and only while somebody waits for data: nothing is read ahead of a throttled consumer.
"""

import asyncio
import socket
import ssl
from time import monotonic_ns
from typing import Any

import httpcore


# Bytes of an answer that say of what version of HTTP and of what status it is.
BEGINNING = len(b"HTTP/1.1 200")


class Meter:
    """What one agent's connection has done since the last reset."""

    __slots__ = (
        "connected_ns",
        "local_port",
        "last_write_ns",
        "sent_ns",
        "last_read_ns",
        "beginning",
        "bytes",
        "reads",
        "largest",
    )

    def __init__(self) -> None:
        self.local_port: int | None = None
        self.reset(kept=False)

    def reset(self, kept: bool) -> None:
        """Before a call, which has a connection already if one was kept."""
        self.connected_ns: int | None = None
        if not kept:
            self.local_port = None
        self.last_write_ns: int | None = None
        self.sent_ns: int | None = None
        self.last_read_ns: int | None = None
        # The first bytes of the first read; those of TLS, where it is spoken.
        self.beginning = b""
        self.bytes = self.reads = self.largest = 0

    def connected(self, local_port: int) -> None:
        """The connection is open, TLS included."""
        self.connected_ns = monotonic_ns()
        self.local_port = local_port

    def sent(self) -> None:
        """The write that was noted last was the request's last one."""
        self.sent_ns = self.last_write_ns

    def note(self, time_ns: int, size: int) -> None:
        """A read that brought data has returned."""
        self.last_read_ns = time_ns
        self.bytes += size
        self.reads += 1
        if size > self.largest:
            self.largest = size


class Reader(asyncio.BufferedProtocol):
    """One connection as the loop sees it; the loop fills the buffer and says how far."""

    def __init__(self, connection: socket.socket, meter: Meter, buffer: memoryview) -> None:
        self.socket = connection
        self.meter = meter
        self.buffer = buffer
        self.data = b""
        self.ended = False
        self.failure: Exception | None = None
        self.reader: asyncio.Future | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, size: int) -> None:
        time_ns = monotonic_ns()  # before anything else
        self.transport.pause_reading()
        self.meter.note(time_ns, size)
        if self.meter.reads == 1:
            self.meter.beginning = bytes(self.buffer[: min(size, BEGINNING)])
        self.data += self.buffer[:size]
        self.wake()

    def eof_received(self) -> None:
        self.ended = True
        self.wake()

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = True
        self.failure = error
        self.wake()

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
        """Hands all bytes to the system. Past the loop's transport: that of uvloop writes at the end
        of the loop's turn, and none tells when a large request's last byte went."""
        rest = memoryview(data)
        while rest:
            if self.failure is not None:
                raise self.failure
            # Before the write: the system may let the server run first, on this very core.
            time_ns = monotonic_ns()
            try:
                size = self.socket.send(rest)
            except (BlockingIOError, InterruptedError):
                await self.writable()
                continue
            self.meter.last_write_ns = time_ns
            rest = rest[size:]

    async def writable(self) -> None:
        """Waits until the system takes more. On a copy of the socket, since the loop refuses to watch
        one that it has a transport for."""
        loop = asyncio.get_running_loop()
        free = loop.create_future()
        with self.socket.dup() as copy:
            loop.add_writer(copy, lambda: free.done() or free.set_result(None))
            try:
                await free
            finally:
                loop.remove_writer(copy)

    def is_readable(self) -> bool:
        """Whether there is something to be read, be it the end."""
        if self.data or self.ended or self.transport.is_closing():
            return True
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            pass
        return True


class SocketStream(httpcore.AsyncNetworkStream):
    """A connection as httpcore wants it. Limits of time belong to the call, not to its reads."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.local_port: int = reader.socket.getsockname()[1]

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
        except (OSError, httpcore.ReadError, httpcore.WriteError) as error:
            await self.aclose()
            raise httpcore.ConnectError(f"no TLS with {server_hostname}: {error}") from error
        self.reader.meter.connected(self.local_port)
        return stream

    def get_extra_info(self, info: str) -> Any:
        # An idle connection that can be read has been closed.
        return self.reader.is_readable() if info == "is_readable" else None


class TlsStream(httpcore.AsyncNetworkStream):
    """TLS above the metered socket, so that reads and writes are noted where they happen."""

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
        if not buffer:  # the end of a request's body, of which TLS would make a record
            return
        try:
            await self.driven(self.tls.write, buffer)
        except ssl.SSLError as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        await self.below.aclose()

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self.tls
        if info == "is_readable" and self.incoming.pending:
            return True
        return self.below.get_extra_info(info)
