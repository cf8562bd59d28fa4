"""httpx above metered sockets: one client per agent, a connection of its own for each call."""

import asyncio
import ssl
from collections.abc import Iterable

import certifi
import httpcore
import httpx

from runner_agent.socket_stream import Meter, Reader, SocketStream


class Backend(httpcore.AsyncNetworkBackend):
    """Opens connections whose reads go through `meter`, `read_buffer` bytes at most each."""

    def __init__(self, meter: Meter, read_buffer: int) -> None:
        self.meter = meter
        self.read_buffer = read_buffer
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
        loop = asyncio.get_running_loop()
        try:
            # The loop itself turns Nagle's algorithm off.
            transport, reader = await loop.create_connection(
                lambda: Reader(self.meter, self.read_buffer), host, port
            )
        except OSError as error:
            raise httpcore.ConnectError(f"cannot connect to {host}:{port}: {error}") from error
        transport.pause_reading()
        self.transport = transport
        return SocketStream(reader)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Transport(httpx.AsyncHTTPTransport):
    """httpx's own transport with its pool above [`Backend`]; httpx has no parameter for that."""

    def __init__(self, backend: Backend, tls: bool) -> None:
        # Reading the certificates takes tens of milliseconds: only where they are needed.
        self.tls = ssl.create_default_context(cafile=certifi.where()) if tls else None
        self.backend = backend
        self.renew()

    def renew(self) -> None:
        """Makes the next call independent of how the last one ended.

        A task that is cancelled while httpcore closes its answer leaves the connection in the pool,
        neither open nor closed, and the next request would wait for it for ever.
        """
        self.backend.abandon()
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=self.tls,
            max_connections=1,
            # A kept connection may be closed by the server at the moment it is used.
            max_keepalive_connections=0,
            network_backend=self.backend,
        )


def client(transport: Transport) -> httpx.AsyncClient:
    """A client of one agent. Neither proxies nor redirects nor limits of time come between."""
    return httpx.AsyncClient(
        transport=transport,
        timeout=None,
        trust_env=False,
        follow_redirects=False,
        # A body that is packed comes in other pieces than it was sent.
        headers={"accept-encoding": "identity"},
    )
