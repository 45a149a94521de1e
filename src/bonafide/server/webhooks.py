"""Tells clients that a job has ended: signed, repeated until heard, never to a private address.

Signed as https://www.standardwebhooks.com describes: the headers webhook-id, webhook-timestamp and
webhook-signature, the last an HMAC-SHA256 over id, timestamp and body.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import random
import time
from collections import Counter
from collections.abc import Mapping

from fastapi.concurrency import run_in_threadpool

from bonafide.server.config import Config
from bonafide.server.fetch import Fetcher, FetchRefused
from bonafide.server.metrics import Metrics
from bonafide.store.rows import Job
from bonafide.store.store import Store

MOST_ATTEMPTS = 8
MOST_AT_ONCE, MOST_OF_ONE = 8, 2  # that are being sent, and of these for one owner
_LEASE_SECONDS = 120.0
_LONGEST_PAUSE = 3600.0

_log = logging.getLogger("bonafide.server")


def sign(secret: str, id: str, timestamp: int, body: bytes) -> str:  # noqa: A002
    """The value of webhook-signature.

    Args:
        secret: of the receiver, as `GET /v1/webhook-secret` gives it.
        id: value of webhook-id.
        timestamp: value of webhook-timestamp, seconds since 1970.
        body: as sent.
    """
    message = f"{id}.{timestamp}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, message, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode("ascii")


def body(job: Job) -> bytes:
    """What is sent: which job, how it ended, how many files came to what."""
    ended = job.finished_at.isoformat() if job.finished_at else None
    data = {"job": job.id, "state": job.state, "counts": dict(job.counts), "finished_at": ended}
    return json.dumps({"type": "job.ended", "timestamp": ended, "data": data}).encode()


def pause_before(attempt: int, first: float) -> float:
    """Seconds to wait after the attempt of this number, from 1; four times longer each time."""
    # Many jobs that ended together shall not come together.
    spread = random.SystemRandom().uniform(0.9, 1.1)
    return min(_LONGEST_PAUSE, first * 4.0 ** (attempt - 1)) * spread


class Sender:
    """Sends what is due, several at a time.

    A receiver that keeps silent takes up one of its owner's places, and no one else's.
    """

    def __init__(self, store: Store, config: Config, fetcher: Fetcher, metrics: Metrics) -> None:
        self._store, self._parts = store, (store, config, fetcher, metrics)
        self._under_way: dict[asyncio.Task[None], str] = {}

    async def send_due(self) -> bool:
        """Begin to send the webhook that is due first; return whether there was one."""
        while len(self._under_way) >= MOST_AT_ONCE:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        owners = Counter(self._under_way.values())
        busy = [owner for owner, count in owners.items() if count >= MOST_OF_ONE]
        job = await run_in_threadpool(self._store.claim_webhook, _LEASE_SECONDS, busy)
        if job is None:
            return False
        task = asyncio.create_task(deliver(job, *self._parts))
        self._under_way[task] = job.owner
        task.add_done_callback(self._ended)
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        if not task.cancelled() and (error := task.exception()):
            _log.error("a webhook failed", exc_info=error)  # its lease brings it back


async def deliver(
    job: Job, store: Store, config: Config, fetcher: Fetcher, metrics: Metrics
) -> None:
    """Send the webhook of a job that was claimed, and settle when it comes next."""
    assert job.webhook is not None
    content = body(job)
    secret = await run_in_threadpool(config.webhook_secret, job.owner)
    told, why = await _tell(fetcher, job.webhook, content, _headers(secret, job, content))
    given_up = not told and job.webhook_attempts >= MOST_ATTEMPTS
    again = None if told or given_up else pause_before(job.webhook_attempts, config.webhook_pause)
    await run_in_threadpool(store.settle_webhook, job.id, again)
    outcome = "delivered" if told else "given_up" if given_up else "repeated"
    metrics.webhooks.labels(outcome).inc()
    _log.info(
        "webhook %s",
        outcome,
        extra={"job": job.id, "attempt": job.webhook_attempts, "why": why, "again_in": again},
    )


def _headers(secret: str, job: Job, content: bytes) -> dict[str, str]:
    now = int(time.time())
    return {
        "content-type": "application/json",
        "content-length": str(len(content)),
        "webhook-id": f"job-{job.id}",
        "webhook-timestamp": str(now),
        "webhook-signature": sign(secret, f"job-{job.id}", now, content),
    }


async def _tell(
    fetcher: Fetcher, url: str, content: bytes, headers: Mapping[str, str]
) -> tuple[bool, str]:
    try:
        status = await fetcher.post(url, content, headers)
    except FetchRefused as refused:
        return False, str(refused)
    return 200 <= status < 300, f"it answered with status {status}"
