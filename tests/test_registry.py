"""Built-ins and plugins are listed alike, and a broken plugin costs only its own finding."""

from __future__ import annotations

import importlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image as Pillow

from bonafide import registry
from bonafide.detectors.lift import Lifted
from bonafide.errors import InvalidDetector, UnknownDetector
from bonafide.testing import photograph
from bonafide.types import Card, Kind, Question, Status

Plug = Callable[..., None]


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plug]:
    """A function that installs plugins: name of the module → its source."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(**sources: str) -> None:
        points = []
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(source)
            monkeypatch.delitem(sys.modules, name, raising=False)
            importlib.invalidate_caches()
            points.append(metadata.EntryPoint(name, name, registry.GROUP))
        monkeypatch.setattr(registry.metadata, "entry_points", lambda group: points)
        registry._modules.cache_clear()

    yield install
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)
    monkeypatch.undo()
    registry._modules.cache_clear()


GOOD = """
from bonafide.types import Card, Measurement, Question
CARD = Card(id="plugged", version="1", question=Question.EDITED, title="Plugged", pool="mean")
class Detector:
    def measure(self, ctx):
        return [Measurement(1.0, "It is 1.")]
"""


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(photograph()).save(buffer, "JPEG")
    return buffer.getvalue()


def test_a_plugin_comes_in_by_the_same_door(plug: Plug) -> None:
    plug(plugged=GOOD)
    assert {"plugged", "plugged.frames", "ela"} <= set(registry.ids())
    assert registry.broken("plugged") is None
    assert registry.card("plugged").title == "Plugged"
    assert registry.load("plugged").measure(None)[0].score == 1.0  # type: ignore[index, union-attr]


BROKEN = {
    "raises": ("raise RuntimeError('planted')", "RuntimeError: planted"),
    "misspelt": ("import no_such_module", "no_such_module"),
    "unreadable": ("def (", "SyntaxError"),
    "cardless": ("class Detector: ...", "must define CARD"),
    "other": (GOOD, "must define CARD with id 'other'"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_listed_with_the_reason(plug: Plug, name: str) -> None:
    source, why = BROKEN[name]
    plug(**{name: source})
    assert name in registry.ids() and name not in registry.usable()
    assert "ela" in registry.usable()
    said = registry.broken(name)
    assert said is not None and said.startswith(f"{name}: ") and why in said
    with pytest.raises(InvalidDetector):
        registry.card(name)
    with pytest.raises(InvalidDetector):
        registry.load(name)
    assert registry.stub(name).id == name


def test_a_detector_without_measure_is_refused(plug: Plug) -> None:
    plug(plugged=GOOD.replace("def measure", "def __call__"))
    with pytest.raises(InvalidDetector, match="measure"):
        registry.load("plugged")


def test_a_broken_plugin_is_one_failed_finding(plug: Plug, jpeg: bytes) -> None:
    from bonafide.examination import Settings, examine

    plug(raises=BROKEN["raises"][0])
    settings = Settings(only=("raises", "ela"))
    first, second = examine(jpeg, settings).findings
    assert first.detector == "raises" and first.status is Status.FAILED
    assert "RuntimeError: planted" in first.why and not first.parts
    assert second.detector == "ela" and second.status is Status.OK


def test_a_broken_plugin_is_one_line_of_the_list(plug: Plug) -> None:
    from bonafide.cli.main import bonafide

    plug(raises=BROKEN["raises"][0])
    done = CliRunner().invoke(bonafide, ["detectors"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "raises" in done.output and "cannot be used" in done.output
    assert "copy_move" in done.output
    listed = CliRunner().invoke(bonafide, ["detectors", "--json"], catch_exceptions=False)
    cards = {card["id"]: card for card in json.loads(listed.output)}
    assert "RuntimeError: planted" in cards["raises"]["broken"]
    assert "broken" not in cards["copy_move"] and set(cards) == set(registry.ids())


def test_detectors_that_pool_are_asked_about_frames() -> None:
    base, card = registry.card("spectral_peaks"), registry.card("spectral_peaks.frames")
    assert "spectral_peaks.frames" in registry.ids()
    assert card.id == "spectral_peaks.frames" and card.version == f"{base.version}.frames1"
    assert (card.kinds, card.question, card.pool) == ((Kind.VIDEO,), base.question, base.pool)
    assert set(base.facts) < set(card.facts)
    loaded = registry.load("spectral_peaks.frames")
    assert isinstance(loaded, Lifted) and loaded.card == card
    pooling = {one for one in registry.usable() if registry.card(one).pool}
    frames = {one for one in registry.ids() if one.endswith(registry.FRAMES)}
    assert frames == {f"{one}{registry.FRAMES}" for one in pooling - frames}


@pytest.mark.parametrize("name", ["nothing", "nothing.frames", "ela.frames", ".frames", ""])
def test_other_names_are_unknown(name: str) -> None:
    calls: list[Callable[[str], Any]] = [registry.card, registry.load, registry.broken]
    for call in calls:
        with pytest.raises(UnknownDetector):
            call(name)


def test_a_stub_is_a_card_that_accuses_nobody() -> None:
    card = registry.stub("gone")
    assert isinstance(card, Card) and card.question is Question.PROVENANCE
