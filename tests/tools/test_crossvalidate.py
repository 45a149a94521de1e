"""Folds of whole origins, and no pair whose original is tested."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bonafide.bench.manifest import read_table

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.delitem(sys.modules, "crossvalidate", raising=False)
    import crossvalidate

    return crossvalidate


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_folds_keep_origins_whole_and_pairs_with_their_originals(
    tool: ModuleType, tmp_path: Path
) -> None:
    rows = [
        {
            "path": f"{label}/{origin}-{number}.png",
            "label": label,
            "source": f"{label}{origin}",
            "origin": f"{label[0]}{origin}",
        }
        for label in ("generated", "bona_fide")
        for origin in range(8)
        for number in range(3)
    ]
    manifest = write(tmp_path / "set" / "all.csv", rows)
    pairs = write(
        tmp_path / "twins" / "pairs.csv",
        [
            {"path": f"{index}.png", "original": row["path"], "left": "0", "top": "0",
             "size": "8", "autoencoder": "small"}
            for index, row in enumerate(rows) if row["label"] == "bona_fide"
        ],
    )  # fmt: skip
    further = [{"path": "/face.png", "label": "bona_fide", "source": "f", "origin": "f"}]
    tool.write_folds(manifest, tmp_path / "out", [pairs], ["g0+b0"], further)
    tested: list[str] = []
    for number in range(1, 6):
        folder = tmp_path / "out" / f"fold{number}"
        train, test = (read_table(folder / f"{name}.csv") for name in ("train", "test"))
        assert not {row["origin"] for row in train} & {row["origin"] for row in test}
        origins = {row["origin"] for row in test}
        assert ("g0" in origins) == ("b0" in origins)
        assert not {row["original"] for row in read_table(folder / "pairs.csv")} & {
            row["path"] for row in test
        }
        assert [row["path"] for row in train][-1] == "/face.png"
        tested += [row["path"] for row in test]
    assert len(tested) == len(set(tested)) == len(rows)
    assert len(read_table(tmp_path / "out" / "whole" / "train.csv")) == len(rows) + 1
