"""Requests made up from the interface's own description: none may find a bug."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("schemathesis", reason="schemathesis is not installed")

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from bonafide.server.app import create_app

pytestmark = pytest.mark.fuzz
EXAMPLES = 12  # per operation


@pytest.fixture(scope="module")
def described(
    tmp_path_factory: pytest.TempPathFactory, serve: Any, configure: Any
) -> Iterator[Any]:
    """The description, from a server whose queue nobody works on and which calls nobody."""
    config = configure(tmp_path_factory.mktemp("fuzz"), workers=0, longest_queue=40)
    app = create_app(config)
    store = app.state.service.store
    secret = store.add_key("fuzz", ("admin",), 0)
    server, thread, url = serve(app, lifespan="off")
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    yield schema, {"Authorization": f"Bearer {secret}"}
    server.should_exit = True
    thread.join(10)


def test_no_request_finds_a_bug(described: Any) -> None:
    schema, headers = described
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def examine(case: Any) -> None:
            if isinstance(case.query, dict) and "wait" in case.query:
                case.query["wait"] = 0.05  # nobody works on the queue; waiting only takes time
            # An address or a picture can be well-formed and still be refused.
            unfit = [schemathesis.checks.CHECKS.get_one("positive_data_acceptance")]
            case.call_and_validate(headers=headers, timeout=20, excluded_checks=unfit)

        examine()
        tried += 1
    assert tried >= 14
