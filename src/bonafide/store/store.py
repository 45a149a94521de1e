"""The whole store: reports, jobs, keys and the audit trail, over one database."""

from __future__ import annotations

from bonafide.store.checks import Checks
from bonafide.store.feedback import Feedbacks
from bonafide.store.keys import Keys
from bonafide.store.reports import Reports
from bonafide.store.retention import Retention


class Store(Reports, Retention, Feedbacks, Keys, Checks):
    """Safe to share between threads; after a fork the child calls `close` first."""
