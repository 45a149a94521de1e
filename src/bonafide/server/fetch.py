"""Requests to addresses that a client chose, closed to everything but the public internet.

A name is resolved once, every address it has is judged, and the connection goes to a judged
address, so that a name cannot point elsewhere between the check and the use (DNS rebinding).
Redirects are followed here, one by one, each through the same gate. Proxies of the environment
are not used, since behind one the gate would see nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpcore
from httpcore import AsyncConnectionPool, AsyncNetworkBackend, AsyncNetworkStream

from bonafide import __version__

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_REDIRECTS = (301, 302, 303, 307, 308)


class FetchRefused(Exception):
    """The address may not be asked, or did not give a file; the text says why."""


@dataclass(frozen=True)
class Rules:
    """What a request may cost and where it may go.

    Attributes:
        seconds: for everything, redirects included.
        redirects: that are followed.
        private: whether addresses that are not public are allowed, on any port.
        ports: that are allowed at public addresses.
    """

    seconds: float = 20.0
    redirects: int = 3
    private: bool = False
    ports: tuple[int, ...] = (80, 443)


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet, also when wrapped into another."""
    ip: Address = ipaddress.ip_address(address.partition("%")[0])
    if not all(is_public(str(inner)) for inner in _wrapped(ip)):
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip in _NAT64:
        return True
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_loopback)


def _wrapped(ip: Address) -> Iterable[ipaddress.IPv4Address]:
    """IPv4 addresses that routers would take out of an IPv6 one."""
    if isinstance(ip, ipaddress.IPv4Address):
        return
    if ip.ipv4_mapped:
        yield ip.ipv4_mapped
    if ip.sixtofour:
        yield ip.sixtofour
    if ip.teredo:
        yield from ip.teredo
    if ip in _NAT64:
        yield ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)


async def resolve(host: str, port: int) -> list[str]:
    """Every address of a name."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _Gate(AsyncNetworkBackend):
    """Connects to judged addresses only."""

    def __init__(self, rules: Rules, resolve: Resolve) -> None:
        self.rules, self.resolve, self.judge = rules, resolve, is_public
        self.inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        try:
            addresses = await self.resolve(host, port)
        except (OSError, UnicodeError):
            raise FetchRefused(f"the host {host} cannot be found") from None
        if not self.rules.private:
            if port not in self.rules.ports:
                raise FetchRefused(f"port {port} is not allowed")
            # One private address among public ones is an attack or a mistake; neither is followed.
            if not addresses or not all(map(self.judge, addresses)):
                raise FetchRefused(f"{host} is not an address of the public internet")
        return await self.inner.connect_tcp(
            addresses[0], port, timeout, local_address, socket_options
        )


class Fetcher:
    """Asks addresses under rules.

    Args:
        rules: what is allowed.
        resolve: finds the addresses of a name.
    """

    def __init__(self, rules: Rules, resolve: Resolve = resolve) -> None:
        self.rules, self.gate = rules, _Gate(rules, resolve)

    @asynccontextmanager
    async def get(self, url: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a file for reading within the time allowed.

        Yields:
            Its bytes in pieces.

        Raises:
            FetchRefused: it may not or cannot be fetched.
        """
        with _plainly(url):
            async with asyncio.timeout(self.rules.seconds), self._pool() as pool:
                for _ in range(self.rules.redirects + 1):
                    address = check(url)
                    async with pool.stream("GET", address, headers=_headers()) as response:
                        where = _header(response, b"location")
                        if response.status in _REDIRECTS and where:
                            url = urljoin(url, where)
                            continue
                        if response.status != 200:
                            raise FetchRefused(f"it answered with status {response.status}")
                        yield response.aiter_stream()
                        return
                raise FetchRefused(f"it redirects more than {self.rules.redirects} times")

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Send `body`; redirects are not followed.

        Returns:
            The status.

        Raises:
            FetchRefused: the address may not or cannot be asked.
        """
        with _plainly(url):
            async with asyncio.timeout(self.rules.seconds), self._pool() as pool:
                given = [*_headers(), *((name, value) for name, value in headers.items())]
                async with pool.stream("POST", check(url), headers=given, content=body) as response:
                    return int(response.status)
        raise AssertionError("unreachable")

    def _pool(self) -> AsyncConnectionPool:
        return AsyncConnectionPool(
            ssl_context=ssl.create_default_context(), network_backend=self.gate
        )


class _plainly:  # noqa: N801 (used as a statement)
    """Turns what can go wrong on a network into one sentence."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TimeoutError | httpcore.TimeoutException):
            raise FetchRefused("it took too long") from None
        if isinstance(error, httpcore.NetworkError | httpcore.ProtocolError | ssl.SSLError):
            raise FetchRefused("it could not be reached, or the connection was lost") from None


def check(url: str) -> str:
    """Return `url` if it is one that may be asked at all.

    Raises:
        FetchRefused: it is not http or https, has no host, or carries a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise FetchRefused("this is not a valid address") from None
    if parts.scheme not in ("http", "https"):
        raise FetchRefused("only http and https addresses are fetched")
    if not parts.hostname or port == 0:
        raise FetchRefused("the address names no host")
    if parts.username is not None or parts.password is not None:
        raise FetchRefused("addresses with a user name or password are not fetched")
    if not url.isascii() or any(ord(letter) <= 32 or ord(letter) == 127 for letter in url):
        raise FetchRefused("the address contains characters that must be escaped")
    return url


def _headers() -> list[tuple[str, str]]:
    return [("user-agent", f"bonafide/{__version__}"), ("accept-encoding", "identity")]


def _header(response: httpcore.Response, name: bytes) -> str:
    return next(
        (
            value.decode("ascii", "replace")
            for key, value in response.headers
            if key.lower() == name
        ),
        "",
    )
