"""From the body of a request to files in the queue."""

from __future__ import annotations

import errno
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from bonafide.server import fetch
from bonafide.server.auth import Caller
from bonafide.server.config import Config, choices
from bonafide.server.metrics import Metrics
from bonafide.server.models import Address
from bonafide.server.problems import Problem
from bonafide.server.spool import Kept, Spool, TooLarge
from bonafide.store.rows import JobFile
from bonafide.store.store import Store
from bonafide.telemetry import traces
from bonafide.types import Profile

FORM, JSON = "multipart/form-data", "application/json"
_LONGEST_NAME = 255  # characters
_MOST_FIELDS, _FIELD_BYTES = 20, 8192
_ADDRESS_BYTES = 65536
_SPARE_BYTES = 256 * 1024**2  # of the disk, that uploads leave alone
_RETRY_SECONDS = "10"


@dataclass(frozen=True)
class Wish:
    """What a request asks for beside its files."""

    profile: Profile
    stability: bool = False
    webhook: str | None = None
    explain: bool = False


@dataclass(frozen=True)
class Received:
    """A file that came: its name for people, and where its bytes are."""

    name: str
    kept: Kept


class Intake:
    """Reads requests, keeps their files and queues them."""

    def __init__(self, store: Store, spool: Spool, config: Config, metrics: Metrics) -> None:
        self.store, self.spool, self.config, self.metrics = store, spool, config, metrics
        self.fetcher = fetch.Fetcher(fetch.Rules())

    def body_limit(self, path: str) -> int:
        """Bytes that the body of a request to `path` may have."""
        if path == "/v1/examine":
            return self.config.settings.limits.file_bytes + 65536  # the form around the file
        return self.config.batch_bytes if path in ("/v1/jobs", "/upload") else 65536

    async def receive(
        self, request: Request, most: int, fields: Collection[str] = ()
    ) -> list[Received]:
        """Keep the files of a request.

        Args:
            request: of which nothing was read.
            most: files that it may have.
            fields: names of parts that it may have besides files.

        Returns:
            The files, at least one.

        Raises:
            Problem: 4xx where the request is at fault, 503 where there is no room.
        """
        length = request.headers.get("content-length", "")
        await self.check_room(1, int(length) if length.isdecimal() else 0)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            if kind == FORM:
                return await self._form(request, most, fields)
            if kind == JSON:
                return [await self._address(request)]
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise _disk_full() from None
        raise Problem(415, "media_type", f"send {FORM} with a part named file, or {JSON}")

    async def queue(self, files: Sequence[Received], wish: Wish, caller: Caller) -> str:
        """Queue files as one job.

        Returns:
            The job's id.

        Raises:
            Problem: 422 for a webhook that cannot be told, or an explanation where there is no
                model; 503 where the queue is full.
        """
        if wish.explain and self.config.explain is None:
            raise Problem(422, "explain", "this service has no model that explains reports")
        if wish.webhook is not None:
            try:
                fetch.check(wish.webhook)
            except fetch.FetchRefused as refused:
                raise Problem(422, "webhook", f"webhook: {refused}") from None
        await self.check_room(len(files))
        settings: dict[str, Any] = choices(wish.profile, wish.stability, wish.explain)
        settings["owner"] = caller.name
        if trace := traces.headers():
            settings["trace"] = trace
        rows = [JobFile(file.name, file.kept.sha256, file.kept.sha256) for file in files]
        job = await run_in_threadpool(self.store.add_job, rows, settings, caller.name, wish.webhook)
        self.metrics.accepted.inc(len(files))
        self.metrics.bytes.inc(sum(file.kept.bytes for file in files))
        return job

    async def check_room(self, files: int, coming: int = 0) -> None:
        """Turn a request away while there is still nothing to lose.

        Args:
            files: that it would add to the queue.
            coming: bytes of its body, which lie on the disk twice for a moment.

        Raises:
            Problem: 503 with Retry-After.
        """
        waiting = await run_in_threadpool(self.store.waiting)
        if waiting + files > self.config.longest_queue:
            why = f"{waiting} files are waiting; try again later"
            raise Problem(503, "queue_full", why, {"retry-after": _RETRY_SECONDS})
        if await run_in_threadpool(self.spool.free) < _SPARE_BYTES + 2 * coming:
            raise _disk_full()

    async def _form(self, request: Request, most: int, fields: Collection[str]) -> list[Received]:
        async with request.form(
            max_files=most, max_fields=_MOST_FIELDS, max_part_size=_FIELD_BYTES
        ) as form:
            if unknown := set(form).difference(fields, {"file"}):
                part = repr(min(unknown)[:40])
                why = f"unknown part {part}: files go into parts named file, options into the query"
                raise Problem(422, "unknown_part", why)
            parts = [part for part in form.getlist("file") if isinstance(part, UploadFile)]
            parts = [part for part in parts if part.filename]  # a form without a choice sends one
            if not parts:
                raise Problem(422, "no_file", "the form has no part named file with a file in it")
            return [await self._part(part) for part in parts]

    async def _part(self, part: UploadFile) -> Received:
        name = plain_name(part.filename or "")
        limit = self.config.settings.limits.file_bytes
        if (part.size or 0) > limit:
            raise Problem(413, "LimitExceeded", f"{name}: a file may have {limit:,} bytes")
        return Received(name, await run_in_threadpool(self.spool.keep, part.file))

    async def _address(self, request: Request) -> Received:
        if not self.config.url_fetch:
            why = "this service does not fetch addresses; send the file itself"
            raise Problem(403, "no_fetching", why)
        try:
            address = Address.model_validate_json(await _short_body(request))
        except ValidationError as error:
            why = "; ".join(
                f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()
            )
            raise Problem(422, "invalid", why) from None
        limit = self.config.settings.limits.file_bytes
        try:
            async with self.fetcher.get(address.url) as pieces:
                kept = await self.spool.keep_stream(pieces, limit)
        except fetch.FetchRefused as refused:
            raise Problem(422, "fetch", f"url: {refused}") from None
        except TooLarge:
            raise Problem(413, "LimitExceeded", f"url: a file may have {limit:,} bytes") from None
        return Received(plain_name(address.name or unquote(urlsplit(address.url).path)), kept)


async def _short_body(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _ADDRESS_BYTES:
            raise Problem(413, "too_large", f"an address may have {_ADDRESS_BYTES:,} bytes")
    return body


def _disk_full() -> Problem:
    why = "there is no room for uploads; try again later"
    return Problem(503, "disk_full", why, {"retry-after": _RETRY_SECONDS})


def plain_name(name: str) -> str:
    """The last part of a name or path from any system, never empty, of bounded length."""
    last = re.split(r"[/\\]", name)[-1].strip()
    return last[-_LONGEST_NAME:] if last not in ("", ".", "..") else "upload"
