"""httpx above metered sockets: one client per agent, and what becomes of its connections."""

import asyncio
import datetime
import re
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping

import h11
import httpcore
import httpx

from runner_agent.socket_stream import Meter, Reader, SocketStream
from runner_agent.target import Address, Target

# httpcore looks for this package several times in each call, for lack of which it takes the loop to be
# asyncio's. Known to be missing it is not looked for on disk, which took most of a millisecond a call.
sys.modules.setdefault("sniffio", None)
# h11 takes sizes of chunks of up to twenty digits and has no setting for that. Sixteen are all that a
# length can have; what has more is no framing that makes sense.
h11._readers.chunk_header_re = re.compile(
    rb"(?P<chunk_size>[0-9A-Fa-f]{1,16})(?P<chunk_ext>;.*)?[ \t]*\r\n"
)


# More than anybody waits for before another attempt, seconds.
GREATEST_S = 10**9
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
EPOCH = datetime.date(1970, 1, 1).toordinal()


class Backend(httpcore.AsyncNetworkBackend):
    """Opens connections whose reads go through `meter`, `read_buffer` bytes at most each."""

    def __init__(self, target: Target, meter: Meter, read_buffer: int) -> None:
        self.addresses = target.addresses()
        self.secure = target.tls is not None
        self.meter = meter
        # One for all connections, which follow each other.
        self.buffer = memoryview(bytearray(read_buffer))
        self.transport: asyncio.Transport | None = None

    def abandon(self) -> None:
        """Closes the connection that was opened last, if it is still open."""
        if self.transport is not None:
            self.transport.abort()
            self.transport = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            connection = await self.connected(host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"cannot connect to {host}:{port}: {error}") from error
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport, reader = await asyncio.get_running_loop().create_connection(
                lambda: Reader(connection, self.meter, self.buffer), sock=connection
            )
        except BaseException:
            connection.close()
            raise
        transport.pause_reading()
        self.transport = transport
        stream = SocketStream(reader)
        if not self.secure:
            self.meter.connected(stream.local_port)
        return stream

    async def connected(self, host: str, port: int) -> socket.socket:
        """A socket that is connected to the first address that takes it."""
        loop = asyncio.get_running_loop()
        # A name that nobody knew before is looked up again, and fails with the system's own words.
        addresses = self.addresses or await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        failure = OSError("the name has no address")
        for address in addresses:
            try:
                return await self.connected_to(address)
            except OSError as error:
                failure = error
        raise failure

    async def connected_to(self, address: Address) -> socket.socket:
        family, kind, protocol, _, where = address
        connection = socket.socket(family, kind, protocol)
        try:
            connection.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connection, where)
        except BaseException:
            connection.close()
            raise
        return connection

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Transport(httpx.AsyncHTTPTransport):
    """httpx's own transport with its pool above [`Backend`]; httpx has no parameter for that."""

    def __init__(self, target: Target, backend: Backend, keep: bool) -> None:
        self.target = target
        self.backend = backend
        self.keep = keep
        self.renew()

    def renew(self) -> None:
        """Makes the next call independent of how the last one ended.

        A task that is cancelled while httpcore closes its answer leaves the connection in the pool,
        neither open nor closed, and the next request would wait for it for ever.
        """
        self.backend.abandon()
        proxy = self.target.proxy
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=self.target.tls,
            proxy=None if proxy is None else httpcore.Proxy(proxy),
            max_connections=1,
            max_keepalive_connections=1 if self.keep else 0,
            network_backend=self.backend,
        )

    def begin_call(self) -> bool:
        """Readies the pool for a call; whether there is a connection that it can use."""
        kept = self.is_usable()
        if self._pool.connections and not kept:
            self.renew()
        return kept

    def is_usable(self) -> bool:
        """Whether a connection was kept that its server has not closed, and that holds no more than
        the answer that was taken."""
        if not self._pool.connections:
            return False
        connection = self._pool.connections[0]
        if not connection.is_idle() or connection.has_expired():
            return False
        # httpcore has no word for what was read and belongs to no answer; all of its kinds of
        # connections have this one inside.
        while not isinstance(connection, httpcore.AsyncHTTP11Connection):
            connection = connection._connection
        return not connection._h11_state.trailing_data[0]

    def end_call(self, counts: bool) -> None:
        """Closes the connection, unless it is to be kept after a call that counts."""
        if not (self.keep and counts):
            self.renew()


class Body(httpx.AsyncByteStream):
    """The content of a request, which tells the meter that it was sent."""

    def __init__(self, content: bytes, meter: Meter) -> None:
        self.content = content
        self.meter = meter

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.content
        self.meter.sent()  # httpcore asks for more when all of it is written


def client(transport: Transport) -> httpx.AsyncClient:
    """A client of one agent. Neither proxies of the environment nor redirects nor limits of time come
    between."""
    return httpx.AsyncClient(
        transport=transport,
        timeout=None,
        trust_env=False,
        follow_redirects=False,
        # A body that is packed comes in other pieces than it was sent.
        headers={"accept-encoding": "identity"},
    )


def retry_after_s(headers: Mapping[str, str]) -> int | None:
    """When a server that refuses a call asks to be called again (RFC 9110, section 10.2.3): in whole
    seconds; a date counts from the answer's own `Date`."""
    asked = headers.get("retry-after", "").strip()
    if re.fullmatch("[0-9]+", asked):
        # Python refuses to read very long numbers.
        return min(int(asked) if len(asked) <= 20 else GREATEST_S, GREATEST_S)
    until = date(asked)
    if until is None:
        return None
    start = date(headers.get("date", ""))
    return min(max(0, until - (int(time.time()) if start is None else start)), GREATEST_S)


def date(text: str) -> int | None:
    """Seconds since 1970 of a date in any of the three forms of RFC 9110, section 5.6.7; `None` if it is
    none. The day of the week follows from the others, so nothing is made of it."""
    parts = [part for part in re.split("[ ,-]", text.lower()) if part]
    if len(parts) == 6 and parts[5] in ("gmt", "utc"):
        _, day, month, year, clock, _ = parts
    elif len(parts) == 5:
        _, month, day, clock, year = parts
    else:
        return None
    numbers = re.fullmatch(
        "([0-9]{1,2}) ([0-9]{2}|[0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2})", f"{day} {year} {clock}"
    )
    if numbers is None or month not in MONTHS:
        return None
    day, full, hour, minute, second = map(int, numbers.groups())
    if len(year) == 2:
        this = time.gmtime().tm_year
        full += this - this % 100
        # So far ahead it is one of the last century.
        full -= 100 if full > this + 50 else 0
    if hour > 23 or minute > 59 or second > 60:
        return None
    try:
        days = datetime.date(full, MONTHS.index(month) + 1, day).toordinal() - EPOCH
    except ValueError:
        return None
    return days * 86400 + hour * 3600 + minute * 60 + second
