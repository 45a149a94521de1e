"""The whole store: reports, jobs, keys and the audit trail, over one database."""

from __future__ import annotations

from bonafide.store.checks import Checks
from bonafide.store.jobs import Jobs
from bonafide.store.keys import Keys
from bonafide.store.reports import Reports


class Store(Reports, Jobs, Keys, Checks):
    """Safe to share between threads; after a fork the child calls `close` first."""
