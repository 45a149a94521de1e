"""Addresses that clients choose: where they may lead, and what they may cost."""

from __future__ import annotations

import asyncio
import http.server
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("httpcore", reason="the extra server is not installed")

from bonafide.server.fetch import Fetcher, FetchRefused, Rules, check, is_public

PRIVATE = [
    "127.0.0.1", "127.8.9.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "239.1.2.3", "240.0.0.1",
    "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1",
    "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "2002:7f00:1::",
    "2001:0:7f00:1::1", "64:ff9b::10.0.0.1", "2001:db8::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::1.1.1.1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_private(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/", "//a/b", "http:///x", "http://a:0/", "http://a:99999/", "http://u@a/",
        "http://a b/", "http://a/\r\nx", "http://[::1", "javascript:alert(1)", "http://ä.example/",
    ],
)  # fmt: skip
def test_addresses_that_are_not_even_tried(url: str) -> None:
    with pytest.raises(FetchRefused):
        check(url)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["host"]))  # type: ignore[attr-defined]
        kind, _, rest = self.path.lstrip("/").partition("/")
        if kind == "to":
            self.send_response(302)
            self.send_header("location", rest)
            self.end_headers()
            return
        self.send_response(200 if kind != "missing" else 404)
        self.end_headers()
        if kind == "slow":
            time.sleep(2)
        self.wfile.write(b"x" * 5000)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[Any]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def names(**known: list[list[str]]) -> Callable[[str, int], Awaitable[list[str]]]:
    """A resolver that gives each name its answers in turn, the last one for ever."""

    async def resolve(host: str, port: int) -> list[str]:
        answers = known[host.replace(".", "_")]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    return resolve


def fetch(url: str, rules: Rules, **known: list[list[str]]) -> bytes:
    async def run() -> bytes:
        fetcher = Fetcher(rules, names(**known)) if known else Fetcher(rules)
        async with fetcher.get(url) as pieces:
            return b"".join([piece async for piece in pieces])

    return asyncio.run(run())


INSIDE = Rules(private=True, seconds=5.0)


def test_a_file_is_fetched_under_its_own_name(site: Any) -> None:
    url = f"http://pictures.test:{site.server_address[1]}/file"
    assert fetch(url, INSIDE, pictures_test=[["127.0.0.1"]]) == b"x" * 5000
    assert site.asked[-1][1].startswith("pictures.test")


def test_redirects_are_followed_a_few_times(site: Any) -> None:
    base = f"http://127.0.0.1:{site.server_address[1]}"
    assert fetch(f"{base}/to//to//file", INSIDE)
    with pytest.raises(FetchRefused, match="redirects more than 3"):
        fetch(f"{base}/to//to//to//to//file", INSIDE)


def test_a_redirect_into_the_network_is_not_followed(site: Any) -> None:
    """The first address passes as public here; the one it leads to is judged by itself."""
    port = site.server_address[1]
    resolve = names(outside_test=[["127.0.0.1"]], **{"169_254_169_254": [["169.254.169.254"]]})

    async def run() -> None:
        fetcher = Fetcher(Rules(ports=(port,)), resolve)
        fetcher.gate.judge = lambda address: address == "127.0.0.1"
        async with fetcher.get(f"http://outside.test:{port}/to/http://169.254.169.254:{port}/"):
            pass

    before = len(site.asked)
    with pytest.raises(FetchRefused, match=r"169\.254\.169\.254 is not"):
        asyncio.run(run())
    assert len(site.asked) == before + 1


def test_a_name_is_resolved_once(site: Any) -> None:
    port = site.server_address[1]
    rebinding = [["93.184.216.34"], ["127.0.0.1"]]
    before = len(site.asked)
    with pytest.raises(FetchRefused):
        fetch(f"http://rebind.test:{port}/file", Rules(ports=(port,), seconds=1.0),
              rebind_test=rebinding)  # fmt: skip
    assert len(site.asked) == before
    assert rebinding == [["127.0.0.1"]], "one answer was used, the other was never asked for"


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(FetchRefused, match="public internet"):
        fetch("http://mixed.test/", Rules(), mixed_test=[["93.184.216.34", "10.0.0.1"]])


def test_other_ports_are_not_asked() -> None:
    with pytest.raises(FetchRefused, match="port 22"):
        fetch("http://public.test:22/", Rules(), public_test=[["93.184.216.34"]])


def test_slow_and_missing_files(site: Any) -> None:
    base = f"http://127.0.0.1:{site.server_address[1]}"
    with pytest.raises(FetchRefused, match="too long"):
        fetch(f"{base}/slow", Rules(private=True, seconds=0.5))
    with pytest.raises(FetchRefused, match="404"):
        fetch(f"{base}/missing", INSIDE)
    with pytest.raises(FetchRefused, match="cannot be found"):
        fetch("http://no-such-name.invalid/", Rules(seconds=10.0))
