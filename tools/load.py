"""Many clients at once against a running service: latencies, statuses, and whether a job was lost.

    bonafide serve --no-auth --port 8000 &
    python tools/load.py http://127.0.0.1:8000 --clients 50 --seconds 60

    python tools/load.py … --key ANNA --key BEN --flood 1000 --flood-key PLATFORM

With several keys, clients take turns with them, and figures are printed for each. With `--flood`,
one more owner hands in so many files first, in jobs of a hundred; how many of them were examined
meanwhile is printed at the end (start the service with `--queue` large enough).

Every client sends a small picture of its own making, waits for the report, and sends the next. One
that is turned away with 429 or 503 waits as long as Retry-After says. At the end every job that was
accepted is asked for: it must have ended, or still be waiting its turn.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx
import numpy as np
from PIL import Image

PATIENCE = 600.0  # seconds after the last request in which the queue must drain


@dataclass
class Tally:
    """What happened."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    accepted: dict[str, dict[str, str]] = field(default_factory=dict)  # job → headers that see it
    flood: list[str] = field(default_factory=list)  # jobs
    dishonest: int = 0

    def add(self, kind: str, status: str, seconds: float) -> None:
        """Count one answer."""
        self.statuses[f"{kind} {status}"] += 1
        self.seconds.setdefault(f"{kind} {status}", []).append(seconds)


def picture(seed: int) -> bytes:
    """A JPEG of smooth noise, another one for each seed."""
    small = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize((320, 240)).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def of_client(given: argparse.Namespace, number: int) -> tuple[dict[str, str], str]:
    """The headers of a client, and what its figures are called by where there are several keys."""
    if not given.key:
        return {}, ""
    place = number % len(given.key)
    name = f" {place + 1}" if len(given.key) > 1 else ""
    return {"authorization": f"Bearer {given.key[place]}"}, name


async def flood(given: argparse.Namespace, tally: Tally) -> None:
    """One owner hands in a lot, in jobs of a hundred files."""
    headers = {"authorization": f"Bearer {given.flood_key}"}
    async with httpx.AsyncClient(base_url=given.url, headers=headers, timeout=120.0) as http:
        for start in range(0, given.flood, 100):
            numbers = range(start, min(start + 100, given.flood))
            files = [("file", (f"flood-{n}.jpg", picture(10**8 + given.seed + n))) for n in numbers]
            answer = await http.post("/v1/jobs", files=files, params={"profile": given.profile})
            answer.raise_for_status()
            tally.flood.append(answer.headers["location"])


async def of_flood(given: argparse.Namespace, tally: Tally) -> int:
    """How many files of the flood were examined."""
    headers = {"authorization": f"Bearer {given.flood_key}"}
    async with httpx.AsyncClient(base_url=given.url, headers=headers, timeout=60.0) as http:
        jobs = [(await http.get(where)).json() for where in tally.flood]
    return sum(job["counts"].get("done", 0) for job in jobs)


async def client(number: int, given: argparse.Namespace, until: float, tally: Tally) -> None:
    """One client: one request after another until the time is over."""
    headers, owner = of_client(given, number)
    kind = f"examine{owner}"
    query = {"profile": given.profile, "wait": given.wait}
    async with httpx.AsyncClient(base_url=given.url, headers=headers, timeout=120.0) as http:
        turn = 0
        while time.monotonic() < until:
            turn += 1
            files = {"file": (f"{number}-{turn}.jpg", picture(given.seed + 10_000 * number + turn))}
            began = time.monotonic()
            try:
                answer = await http.post("/v1/examine", files=files, params=query)
            except httpx.HTTPError as error:
                tally.add(kind, type(error).__name__, time.monotonic() - began)
                continue
            tally.add(kind, str(answer.status_code), time.monotonic() - began)
            if answer.status_code == 202:
                tally.accepted[answer.headers["location"]] = headers
            elif answer.status_code in (429, 503):
                pause = answer.headers.get("retry-after")
                tally.dishonest += pause is None
                await asyncio.sleep(min(float(pause or 1), max(0.0, until - time.monotonic())))


async def reader(given: argparse.Namespace, until: float, tally: Tally) -> None:
    """Somebody who looks at the history meanwhile."""
    headers, _ = of_client(given, 0)
    async with httpx.AsyncClient(base_url=given.url, headers=headers, timeout=60.0) as http:
        while time.monotonic() < until:
            began = time.monotonic()
            answer = await http.get("/v1/reports", params={"limit": 20})
            tally.add("history", str(answer.status_code), time.monotonic() - began)
            await asyncio.sleep(0.5)


async def lost(given: argparse.Namespace, accepted: dict[str, dict[str, str]]) -> int:
    """How many accepted jobs have not ended within the patience."""
    left, deadline = set(accepted), time.monotonic() + PATIENCE
    async with httpx.AsyncClient(base_url=given.url, timeout=60.0) as http:
        while left and time.monotonic() < deadline:
            for where in sorted(left):
                job = (await http.get(where, headers=accepted[where])).json()
                if job["finished_at"]:
                    left.discard(where)
            await asyncio.sleep(1.0)
    return len(left)


async def run(given: argparse.Namespace) -> Tally:
    """The whole test."""
    tally = Tally()
    if given.flood:
        await flood(given, tally)
    until = time.monotonic() + given.seconds
    clients = [client(number, given, until, tally) for number in range(given.clients)]
    await asyncio.gather(*clients, reader(given, until, tally))
    return tally


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("url")
    parser.add_argument(
        "--key", action="append", help="API key; may be repeated; none for a service without keys"
    )
    parser.add_argument("--flood", type=int, default=0, metavar="FILES", help="handed in first")
    parser.add_argument("--flood-key", default="", metavar="KEY", help="by the owner of this key")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--wait", type=float, default=60.0, help="seconds to wait for a report")
    parser.add_argument("--profile", default="standard")
    parser.add_argument("--seed", type=int, default=0, help="other pictures than the last time")
    given = parser.parse_args()
    began = time.monotonic()
    tally = asyncio.run(run(given))
    print(f"{given.clients} clients, {time.monotonic() - began:.0f} s, profile {given.profile}")
    for kind, seconds in sorted(tally.seconds.items()):
        marks = np.percentile(seconds, (50, 90, 99, 100))
        shown = " ".join(f"{mark:.2f}" for mark in marks)
        print(f"{kind}: {len(seconds)}  seconds at 50 90 99 100 %: {shown}")
    if given.flood:
        print(f"examined of the flood meanwhile: {asyncio.run(of_flood(given, tally))}")
    missing = asyncio.run(lost(given, tally.accepted))
    print(f"accepted and not waited for: {len(tally.accepted)}, lost: {missing}")
    print(f"turned away without Retry-After: {tally.dishonest}")


if __name__ == "__main__":
    main()
