"""Reports that the operator's model explains, where a request asks for it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("openai", reason="the extra explain is not installed")

from tests.explain.server import honest, serving
from tests.server.conftest import make_config, run

from bonafide.explain.model import Asking
from bonafide.server.service import Service
from bonafide.server.worker import Worker, examine_upload, outcome_of
from bonafide.store.rows import JobFile

Make = Callable[..., bytes]
WISH = {"profile": "triage", "stability": False, "owner": "desk"}


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONAFIDE_EXPLAIN_CACHE", "off")


@pytest.fixture
def served() -> Iterator[Any]:
    with serving(honest) as server:
        yield server


def settled(service: Service, data: bytes, wish: dict[str, Any]) -> dict[str, Any]:
    """The record of a file that was handed in, examined and settled by a worker."""
    kept = service.spool.keep(io.BytesIO(data))
    id_ = service.store.add_job([JobFile("a.png", kept.sha256, kept.sha256)], wish, "desk")
    working = Worker(service.store, service.spool, service.config)
    task = working.claim()
    if task is not None:
        working.settle(task, outcome_of(task, examine_upload(task)))
    job = service.store.job(id_)
    assert job is not None
    (file,) = job.files
    assert file.state == "done", file.failure
    assert service.shown(job).explain == bool(wish.get("explain"))
    return service.record_for(file)


def test_only_what_is_asked_for_is_explained(
    config_in: Any, make_picture: Make, served: Any
) -> None:
    service = Service(config_in(explain=Asking("tiny", served.url)))
    try:
        data = make_picture(3)
        plain = settled(service, data, WISH)  # as jobs of before, which do not say
        assert plain["explained"] is None
        assert not served.requests
        told = settled(service, data, WISH | {"explain": True})
        assert told["explained"]["kept"]
        assert told["explained"]["share"] == "findings"
        assert told["verdict"] == plain["verdict"]
        assert "image_url" not in served.sent
        count = len(served.requests)
        again = settled(service, data, WISH | {"explain": True})
        assert again["explained"] == told["explained"]
        assert len(served.requests) == count  # the same file in the same way is known
        assert service.config.lease_seconds > 180
    finally:
        service.store.close()


def test_the_form_says_what_is_sent_and_a_service_without_a_model_refuses(
    tmp_path: Any, make_picture: Make, served: Any
) -> None:
    asking = Asking("tiny", served.url)
    sent = {"file": ("a.png", make_picture(4), "image/png")}
    with (
        run(make_config(tmp_path / "a", workers=0, auth=False, explain=asking)) as running,
        running.client(None) as client,
    ):
        page = client.get("/").text
        assert 'name="explain"' in page
        assert "is sent the findings, not the picture" in page
        assert "tiny" in page and "127.0.0.1" in page
        job = client.post("/v1/jobs?explain=true", files=sent)
        assert (job.status_code, job.json()["explain"]) == (202, True)
    with (
        run(make_config(tmp_path / "b", workers=0, auth=False)) as running,
        running.client(None) as client,
    ):
        assert 'name="explain"' not in client.get("/").text
        refused = client.post("/v1/jobs?explain=true", files=sent)
        assert refused.status_code == 422
        assert "no model" in refused.text
