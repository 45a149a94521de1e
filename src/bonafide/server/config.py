"""How a service is run: what the operator chose, and what follows from it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import os
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path

from bonafide.batch import workers
from bonafide.batch.sandbox import Level
from bonafide.examination import Settings
from bonafide.explain.model import Asking
from bonafide.types import Fact, Profile

MIB = 1024**2
FORGET_SECONDS = 900.0  # in which whoever submitted a file has to fetch its report


@dataclass(frozen=True)
class Config:
    """What the operator chose.

    Attributes:
        store: address of the store, see `bonafide.store.open_store`; None for the default.
        spool: folder for uploads and rendered pages; hosts of one service share it.
        host, port: where to listen.
        workers: processes that examine files; 0 leaves that to `bonafide worker` elsewhere.
        auth: whether a key is asked for; without, only this machine may be served.
        url_fetch: whether clients may name addresses instead of sending files.
        private_webhooks: whether webhooks may go to private addresses.
        settings: how files are examined unless a request says otherwise; its limits hold for all.
        longest_queue: files that may wait; beyond that, requests are turned away.
        most_files: in one batch.
        batch_bytes: of one batch, bytes.
        upload_seconds: that the body of one request may take.
        retention_hours: for which an upload is kept.
        page_days: for which a rendered page, with its picture, is kept.
        report_days: for which a report is kept, None for ever.
        retain: whether anything is kept; if not, all is deleted `FORGET_SECONDS` after the end.
        webhook_pause: before the first repetition of a webhook, seconds.
        sandbox: what is kept from the processes that decode files; None for as much as this
            system can.
        memory_bytes: address space that one of them may have.
        explain: the model that explains reports where a request asks for it; None for none. It is
            asked by the worker, never by the processes that decode files.
    """

    spool: Path
    store: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    auth: bool = True
    url_fetch: bool = False
    private_webhooks: bool = False
    settings: Settings = field(default_factory=lambda: Settings(threads=1))
    longest_queue: int = 500
    most_files: int = 100
    batch_bytes: int = 1024 * MIB
    upload_seconds: float = 120.0
    retention_hours: float = 24.0
    page_days: float = 30.0
    report_days: float | None = None
    retain: bool = True
    webhook_pause: float = 5.0
    sandbox: Level | None = None
    memory_bytes: int = 8 * 1024 * MIB
    explain: Asking | None = None

    @property
    def kept_seconds(self) -> tuple[float, float, float | None]:
        """How long uploads, pages and reports are kept, None for ever."""
        if not self.retain:
            return FORGET_SECONDS, FORGET_SECONDS, FORGET_SECONDS
        days = self.report_days
        reports = None if days is None else 86400 * days
        return 3600 * self.retention_hours, 86400 * self.page_days, reports

    @property
    def lease_seconds(self) -> float:
        """Longer than a worker can take, so that no file is given to two."""
        asked = 0.0 if self.explain is None else self.explain.seconds + self.explain.timeout
        return workers.TRIES * self.settings.limits.seconds + 60.0 + asked

    def webhook_secret(self, owner: str) -> str:
        """What signs the webhooks of one key; nobody can derive another's from it.

        Written as Standard Webhooks want it: "whsec_" and 32 bytes in base64.
        """
        master = _master_secret(self.spool)
        digest = hmac.digest(master, b"webhook\0" + owner.encode("utf-8", "replace"), "sha256")
        return "whsec_" + base64.b64encode(digest).decode("ascii")


def choices(profile: Profile, stability: bool, explain: bool = False) -> dict[str, Fact]:
    """What a request may choose, as a job carries it to a worker."""
    return {"profile": profile.value, "stability": stability, "explain": explain}


def chosen(base: Settings, choice: dict[str, Fact]) -> Settings:
    """The operator's settings with the choices of a request."""
    return replace(
        base, profile=Profile(str(choice["profile"])), stability=bool(choice["stability"])
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def default_spool() -> Path:
    """Beside the default store, in the platform's place for a user's data."""
    from bonafide.files import user_data

    return user_data("spool")


def _master_secret(spool: Path) -> bytes:
    """BONAFIDE_SECRET, or random bytes that the hosts of one service find in their spool."""
    named = os.environ.get("BONAFIDE_SECRET")
    if named:
        return hashlib.sha256(named.encode()).digest()
    path = spool / "secret"
    if not path.exists():
        spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = spool / f"secret.{secrets.token_hex(8)}"
        draft.touch(0o600)
        draft.write_bytes(secrets.token_bytes(32))
        try:
            os.link(draft, path)  # the first of several hosts wins
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes()
