"""Methods side by side on the files that all of them scored."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bonafide.bench import tabulate
from bonafide.bench.labelled import read_labelled
from bonafide.cli.bench import bench
from bonafide.errors import InvalidInput

YEARS = "pattern,year,source\nalpha 2,2023,a paper\nalpha,2021,another\n"


@pytest.fixture
def scored(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A manifest, and the scores of a method that knows and of one that guesses."""
    random = np.random.default_rng(0)
    manifest, good, poor = (tmp_path / f"{name}.csv" for name in ("manifest", "good", "poor"))
    rows, knows, guesses = [], [], []
    for number in range(120):
        yes = number % 2 == 0
        generator = ("Alpha", "Alpha 2", "Beta")[number % 3] if yes else ""
        kind = "art" if number % 4 < 2 else "photo"
        label = "generated" if yes else "bona_fide"
        rows.append((f"{number}.png", label, f"source{number % 20}", generator, kind))
        knows.append((f"{number}.png", round(yes + random.normal(0, 0.1), 4), "native"))
        knows.append((f"{number}.png", round(random.normal(), 4), "jpeg:50"))
        guesses.append((f"{number}.png", "" if number == 0 else round(random.normal(), 4)))
    for path, head, body in (
        (manifest, ("path", "label", "origin", "generator", "kind"), rows),
        (good, ("path", "score", "degradation"), knows),
        (poor, ("path", "score"), guesses),
    ):
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([head, *body])
    return manifest, good, poor


def test_only_files_that_every_method_scored_are_counted(scored: tuple[Path, Path, Path]) -> None:
    manifest, good, poor = scored
    found = tabulate.board(read_labelled([manifest]), {"good": good, "poor": poor})
    assert found.truth.sum() == 59 and (~found.truth).sum() == 60
    assert set(found.generators()) == {"Alpha", "Alpha 2", "Beta"}
    with pytest.raises(InvalidInput, match="every method"):
        tabulate.board(read_labelled([manifest]), {"good": good}, "webp:75")


def test_tables_are_written(scored: tuple[Path, Path, Path], tmp_path: Path) -> None:
    manifest, good, poor = scored
    (tmp_path / "years.csv").write_text(YEARS)
    done = CliRunner().invoke(
        bench,
        ["tabulate", str(manifest), "--scores", f"good={good}", "--scores", f"poor={poor}",
         "--years", str(tmp_path / "years.csv"), "--kinds", "--generators", "--repeats", "50",
         "--out", str(tmp_path / "tables.md")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    text = (tmp_path / "tables.md").read_text()
    assert text == done.output
    row = next(line for line in text.splitlines() if line.startswith("| good |"))
    assert row.startswith("| good | 1.000 (1.000–1.000) | 1.000 (1.000–1.000) | 1.00")
    years = [line.split("|")[1].strip() for line in text.splitlines() if "| 20" in line]
    assert years[:2] == ["2021", "2023"]  # the first pattern that fits names the year
    assert "| unknown |" in text  # Beta has no year
    assert "| art | " in text and "| Alpha 2 |" in text
    degraded = ["tabulate", str(manifest), "--scores", f"good={good}", "--degradation", "jpeg:50"]
    told = CliRunner().invoke(bench, [*degraded, "--repeats", "0"])
    assert "| good | 0." in told.output


def test_tables_without_their_columns_are_named(
    scored: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    manifest, good, _ = scored
    bad = tmp_path / "bad.csv"
    bad.write_text("path,value\na,1\n")
    files = read_labelled([manifest])
    with pytest.raises(InvalidInput, match="columns path and score"):
        tabulate.board(files, {"bad": bad})
    with pytest.raises(InvalidInput, match="pattern, year and source"):
        tabulate.years(files, good)
