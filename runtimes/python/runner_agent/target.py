"""Where an agent's connections go, worked out before any call is measured: address, name, trust."""

import functools
import os
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import certifi

from runner_agent.fields import Refused

# What `socket.getaddrinfo` tells of one address of a host.
Address = tuple[int, int, int, str, tuple]


@dataclass(frozen=True)
class Target:
    """A server and the way to it."""

    # Base address without a slash at its end.
    url: str
    # Of an HTTP proxy, or None.
    proxy: str | None
    # For `https`, otherwise None.
    tls: ssl.SSLContext | None

    @staticmethod
    def of(url: str, ca_file: str | None, proxy: str | None) -> "Target":
        url = url.strip()
        parts = split(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refused(f'"{url}" is no address of a server: http:// or https:// and a host')
        if parts.username is not None:
            raise Refused("name a key by api_key_env, not in the address")
        if parts.query:
            raise Refused(f'"{url}" is no base address: it has a query')
        tls = context(ca_file) if parts.scheme == "https" else None
        return Target(url.rstrip("/"), None if proxy is None else checked(proxy.strip()), tls)

    def destination(self) -> tuple[str, int]:
        """Host and port that connections are made to: the proxy's where there is one."""
        parts = urlsplit(self.proxy or self.url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    def addresses(self) -> list[Address]:
        """What the name of the destination stands for; none if nobody knows it now."""
        return addresses(*self.destination())


def split(url: str) -> SplitResult:
    parts = urlsplit(url)
    try:
        _ = parts.port
    except ValueError as error:
        raise Refused(f'"{url}" is no address: {error}') from error
    return parts


@functools.cache
def addresses(host: str, port: int) -> list[Address]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return []


def checked(proxy: str) -> str:
    """The address of a proxy that can be used."""

    def wrong(reason: str) -> Refused:
        return Refused(f'the proxy "{proxy}" cannot be used: {reason}')

    parts = split(proxy)
    if parts.scheme != "http":
        raise wrong("only http:// proxies are spoken with")
    if not parts.hostname:
        raise wrong("the host is missing")
    if parts.username is not None:
        raise wrong("it must not hold a password")
    if parts.port is None:
        raise wrong("the port is missing")
    return f"http://{parts.netloc}"


@functools.cache
def context(ca_file: str | None) -> ssl.SSLContext:
    """TLS with the authorities of this system and of a PEM file; one for all agents, since reading the
    certificates takes tens of milliseconds."""
    made = ssl.create_default_context()
    # Python 3.13 began to ask for more than servers inside a house have, and than other clients ask for.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not has_authorities(made):
        made.load_verify_locations(certifi.where())
    if ca_file is not None:
        try:
            made.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise Refused(f"cannot read the certificates in {ca_file}: {error}") from error
    return made


def has_authorities(made: ssl.SSLContext) -> bool:
    """Whether this system has authorities of its own. Those in a folder are read when they are
    needed, and not counted before."""
    folder = ssl.get_default_verify_paths().capath
    with_folder = folder is not None and any(os.scandir(folder))
    return with_folder or made.cert_store_stats()["x509_ca"] > 0
