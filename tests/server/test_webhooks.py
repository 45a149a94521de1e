"""Webhooks to a real receiver: signed, repeated, given up in the end."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from bonafide.server import webhooks
from bonafide.server.fetch import Fetcher, Rules
from bonafide.server.service import Service
from bonafide.store.rows import Job, JobFile


@pytest.fixture
def receiver() -> Iterator[Any]:
    """Answers with the statuses it is given, in turn, and keeps what it got."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.server.got.append((dict(self.headers), body))  # type: ignore[attr-defined]
            self.send_response(self.server.statuses.pop(0))  # type: ignore[attr-defined]
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.got, server.statuses = [], []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture
def service(config_in: Any) -> Iterator[Service]:
    service = Service(replace(config_in(), webhook_pause=0.0))
    yield service
    service.store.close()


def deliver(service: Service, private: bool = True) -> bool:
    job = service.store.claim_webhook(60.0)
    if job is not None:
        fetcher = Fetcher(Rules(redirects=0, private=private, seconds=5.0))
        parts = (service.store, service.config, fetcher, service.metrics)
        asyncio.run(webhooks.deliver(job, *parts))
    return job is not None


def ended_job(service: Service, url: str) -> str:
    store = service.store
    id_ = store.add_job([JobFile("a", "0" * 64)], {"owner": "desk"}, "desk", url)
    assert not deliver(service), "a job that has not ended is not told about"
    store.cancel(id_)
    return id_


def test_a_webhook_is_signed_and_repeated_until_heard(service: Service, receiver: Any) -> None:
    receiver.statuses[:] = [500, 302, 204]
    id_ = ended_job(service, f"http://127.0.0.1:{receiver.server_address[1]}/hook")
    assert [deliver(service) for _ in range(4)] == [True, True, True, False]
    secret = service.config.webhook_secret("desk")
    for headers, body in receiver.got:
        named = {key.lower(): value for key, value in headers.items()}
        told = Webhook(secret).verify(body, named)
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body + b" ", named)
        assert told["data"]["job"] == id_ and told["data"]["counts"] == {"cancelled": 1}
    ids = {headers["webhook-id"] for headers, _ in receiver.got}
    assert len(receiver.got) == 3 and len(ids) == 1


def test_silent_receivers_delay_their_owner_only(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []

    async def deliver(job: Job, *_: Any) -> None:
        if job.owner == "silent":
            await asyncio.sleep(600)
        told.append(job.owner)

    monkeypatch.setattr(webhooks, "deliver", deliver)
    for owner in (*["silent"] * 9, "desk"):
        id_ = service.store.add_job([JobFile("a", "0" * 64)], {}, owner, "https://example.org")
        service.store.cancel(id_)

    async def send() -> list[bool]:
        fetcher = Fetcher(Rules())
        sender = webhooks.Sender(service.store, service.config, fetcher, service.metrics)
        begun = [await sender.send_due() for _ in range(4)]
        await asyncio.sleep(0)
        return begun

    assert asyncio.run(send()) == [True, True, True, False]
    assert told == ["desk"]


def test_a_webhook_is_given_up_in_the_end(service: Service, receiver: Any) -> None:
    receiver.statuses[:] = [503] * 20
    ended_job(service, f"http://127.0.0.1:{receiver.server_address[1]}/hook")
    tries = 0
    while deliver(service):
        tries += 1
    assert tries == webhooks.MOST_ATTEMPTS


def test_private_addresses_are_not_told(service: Service, receiver: Any) -> None:
    ended_job(service, f"http://127.0.0.1:{receiver.server_address[1]}/hook")
    assert deliver(service, private=False)
    assert receiver.got == []


def test_pauses_grow() -> None:
    pauses = [webhooks.pause_before(attempt, 5.0) for attempt in range(1, 9)]
    assert pauses[0] < 6 and pauses[1] > 17 and max(pauses) <= 3600 * 1.1
    assert pauses[:5] == sorted(pauses[:5])


def test_secrets_differ_between_owners_and_stay(service: Service) -> None:
    config = service.config
    assert config.webhook_secret("a") == config.webhook_secret("a") != config.webhook_secret("b")
