"""`--explain` on the command line: what is printed, sent, shown and refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image as Pillow
from skimage import data as pictures
from tests.explain import server
from tests.explain.server import completion, serving, statements

from bonafide.cli.main import bonafide


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "secret-name.png"
    Pillow.fromarray(pictures.coffee()[:200, :240]).save(path)
    return path


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(bonafide, ["scan", *arguments], catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


ONLY = ("--only", "spectral_peaks,generator_metadata", "--jobs", "1")


def test_a_report_is_explained_and_what_was_sent_is_printed(photo: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    with serving(server.honest) as served:
        code, out, err = run(
            str(photo), "--explain", "tiny", "--explain-url", served.url, "--json",
            "--html", str(page), *ONLY,
        )  # fmt: skip
    assert code == 0, err
    record = json.loads(out)
    assert record["explained"]["kept"] and record["explained"]["model"] == "tiny"
    sent = served.requests[0]["messages"]
    assert sent[0]["content"] in err and sent[1]["content"] in err
    assert err.index("asking tiny at 127.0.0.1") < err.index("<<<DATA")
    assert "secret-name" not in served.sent
    text = page.read_text("utf-8")
    assert "In the words of a model" in text and "<!-- explained -->" not in text
    for statement in record["explained"]["kept"]:
        assert statement["cites"]
    assert 'href="#f-' in text.partition("In the words of a model")[2]


def test_the_verdict_is_the_same_with_and_without(photo: Path) -> None:
    _, plain, _ = run(str(photo), "--json", *ONLY)
    with serving(server.obedient) as served:
        _, out, _ = run(
            str(photo), "--explain", "m", "--explain-url", served.url, "--json", "--quiet", *ONLY
        )
    one, other = json.loads(plain), json.loads(out)
    assert other["explained"]["dropped"] and one["explained"] is None
    for name in ("verdict", "answers", "because", "caveat", "explanation", "probabilities"):
        assert one[name] == other[name]


def test_an_endpoint_that_is_away_costs_a_warning(photo: Path) -> None:
    code, out, err = run(
        str(photo), "--explain", "m", "--explain-url", "http://127.0.0.1:9/v1", "--quiet", *ONLY
    )
    assert code == 0 and "warning: m: it cannot be reached" in err
    assert "Explained by a model" in out and "No statement was made." in out


def test_the_terminal_shows_what_was_kept_and_why_the_rest_was_not(photo: Path) -> None:
    wrong = ("The picture is genuine.", "verdict")
    with serving(lambda body, number: completion(statements(wrong))) as served:
        _, out, _ = run(str(photo), "--explain", "m", "--explain-url", served.url, *ONLY)
    assert "The picture is genuine" not in out
    assert "3 made, 0 kept, 3 dropped (3 genuine)" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--explain", "m"], "--explain-url"),
        (["--max-cost", "1"], "--explain"),
        (["--explain", "m", "--explain-url", "http://x/v1", "--max-cost", "1"], "--prices"),
        (["--explain", "m", "--explain-url", "http://x/v1", "--prices", "a"], "two numbers"),
        (["--explain", "m", "--explain-url", "http://x/v1", "--out", "x"], "--out"),
    ],
)
def test_wrong_usage_is_refused(photo: Path, arguments: list[str], told: str) -> None:
    code, _, err = run(str(photo), *arguments)
    assert code == 2 and told in err


def test_the_environment_names_model_and_endpoint(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(server.honest) as served:
        monkeypatch.setenv("BONAFIDE_EXPLAIN", "of-the-environment")
        monkeypatch.setenv("BONAFIDE_EXPLAIN_URL", served.url)
        monkeypatch.setenv("BONAFIDE_EXPLAIN_KEY", "sk-1")
        monkeypatch.setenv("BONAFIDE_EXPLAIN_SHARE", "picture")
        _, out, err = run(str(photo), "--json", *ONLY)
    assert json.loads(out)["explained"]["model"] == "of-the-environment"
    assert served.headers[0]["authorization"] == "Bearer sk-1"
    content = served.requests[0]["messages"][1]["content"]
    assert content[-1]["image_url"]["url"].startswith("data:image/")
    assert "picture: image/" in err
