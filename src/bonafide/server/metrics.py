"""What Prometheus may read; counts that all hosts share come from the store."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from bonafide.store.store import Store

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH")
_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


def known_method(method: str) -> str:
    """The method of a request; "other" for what a client made up, which would have no end."""
    return method if method in _METHODS else "other"


class Metrics:
    """The measurements of one web process."""

    def __init__(self, store: Store) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "bonafide_requests_total",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "bonafide_request_seconds",
            "Time to answer a request, waiting for its report included.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.accepted = Counter(
            "bonafide_files_accepted_total", "Files put in the queue.", registry=self.registry
        )
        self.bytes = Counter(
            "bonafide_bytes_accepted_total", "Bytes of those files.", registry=self.registry
        )
        self.webhooks = Counter(
            "bonafide_webhooks_total", "Webhooks sent.", ("outcome",), registry=self.registry
        )
        waiting = Gauge(
            "bonafide_files_waiting", "Files that no worker has taken yet.", registry=self.registry
        )
        waiting.set_function(store.waiting)
        self.workers = Gauge(
            "bonafide_worker_restarts", "Times the worker was restarted.", registry=self.registry
        )

    def measure(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one finished request."""
        method = known_method(method)
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(method, route).observe(seconds)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)
