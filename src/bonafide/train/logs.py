"""What a training writes down on its way: `log.csv`, and trackers by name through accelerate.

A training that goes on after a stop continues the same files; rows of steps that were lost with
the stop are dropped, so that no step occurs twice.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bonafide.errors import InvalidInput, MissingExtra
from bonafide.files import atomic_write

FIRST = ("step", "seconds", "learning_rate", "loss", "validation_auc")
TRACKERS = ("tensorboard", "wandb")


class Means:
    """Means of the loss and its parts since they were last taken."""

    def __init__(self) -> None:
        self._rows: list[Mapping[str, float]] = []

    def add(self, values: Mapping[str, float]) -> None:
        """Count the loss of a step, under "", or the parts of the loss of a pass."""
        self._rows.append(values)

    def take(self) -> tuple[float, dict[str, float]]:
        """The mean loss and the mean parts; counting starts anew."""
        names = dict.fromkeys(name for row in self._rows for name in row)
        means = {
            name: float(np.mean([row[name] for row in self._rows if name in row])) for name in names
        }
        self._rows.clear()
        return means.pop(""), means


class Log:
    """Rows of one training; columns are `FIRST` and the parts of the method's loss."""

    def __init__(self, folder: Path, step: int, trackers: Sequence[str] = ()) -> None:
        """Open `folder`/log.csv and keep its rows up to `step`; start trackers.

        Raises:
            InvalidInput: there is no such tracker.
            MissingExtra: it is not installed.
        """
        self.path = folder / "log.csv"
        self._columns, kept = _rows_until(self.path, step)
        if self._columns:
            with (
                atomic_write(self.path) as partial,
                partial.open("w", encoding="utf-8", newline="") as stream,
            ):
                writer = self._writer(stream)
                writer.writeheader()
                writer.writerows(kept)
        self._trackers = [_tracker(name, folder, step) for name in trackers]

    def write(
        self,
        step: int,
        seconds: float,
        learning_rate: float,
        loss: float,
        parts: Mapping[str, float],
        auc: float | None = None,
    ) -> None:
        """Add a row: means since the row before, `seconds` since the training began.

        Args:
            step: steps done.
            seconds: wall time spent training, stops not counted.
            learning_rate: of the last step.
            loss: mean.
            parts: mean of each part of the loss.
            auc: of the validation after this step, None without one.
        """
        values = {
            "step": step,
            "seconds": f"{seconds:.1f}",
            "learning_rate": f"{learning_rate:.4g}",
            "loss": f"{loss:.6g}",
            "validation_auc": "" if auc is None else f"{auc:.4f}",
            **{name: f"{part:.6g}" for name, part in parts.items()},
        }
        fresh = not self._columns
        self._columns = self._columns or [*FIRST[:-1], *parts, FIRST[-1]]
        with self.path.open("w" if fresh else "a", encoding="utf-8", newline="") as stream:
            writer = self._writer(stream)
            if fresh:
                writer.writeheader()
            writer.writerow(values)
        scalars = {"learning rate": learning_rate, "loss": loss, **parts}
        for tracker in self._trackers:
            tracker.log(scalars | ({} if auc is None else {"validation AUC": auc}), step=step)

    def close(self) -> None:
        """Write out what trackers hold back."""
        for tracker in self._trackers:
            tracker.finish()

    def _writer(self, stream: Any) -> csv.DictWriter[str]:
        return csv.DictWriter(
            stream, self._columns, restval="", extrasaction="ignore", lineterminator="\n"
        )


def _rows_until(path: Path, step: int) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a log, () where there is nothing to keep."""
    if step == 0 or not path.is_file():
        return [], []
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        # The last row may be cut where the training was killed; it lacks its end then.
        rows = [row for row in reader if None not in row.values() and int(row["step"]) <= step]
    return list(reader.fieldnames or ()), rows


def _tracker(name: str, folder: Path, step: int) -> Any:
    """A tracker of accelerate; a training that goes on continues what it wrote."""
    if name not in TRACKERS:
        raise InvalidInput(f"no tracker is called {name!r}; there are: {', '.join(TRACKERS)}")
    package = {"tensorboard": "tensorboard", "wandb": "wandb"}[name]
    if find_spec(package) is None:
        raise MissingExtra("track", f"--log {name}")
    from accelerate import tracking

    if name == "tensorboard":
        board = tracking.TensorBoardTracker("tensorboard", folder, purge_step=step + 1)
    else:
        same = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
        board = tracking.WandBTracker("bonafide", dir=str(folder), id=same, resume="allow")
    board.start()
    return board
