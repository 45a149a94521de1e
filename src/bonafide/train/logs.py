"""What a training writes down on its way: `log.csv`, and TensorBoard events where it is installed.

A training that goes on after a stop continues the same files; rows of steps that were lost with
the stop are dropped, so that no step occurs twice.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bonafide.files import atomic_write

FIRST = ("step", "seconds", "learning_rate", "loss", "validation_auc")


class Means:
    """Means of the loss and its parts since they were last taken."""

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []

    def add(self, loss: float, parts: Mapping[str, float]) -> None:
        """Count one step."""
        self._rows.append({"": loss, **parts})

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

    def __init__(self, folder: Path, step: int) -> None:
        """Open `folder`/log.csv and keep its rows up to `step`."""
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
        self._board = _tensorboard(folder / "tensorboard", step)

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
        if self._board is not None:
            scalars = {"learning rate": learning_rate, "loss": loss, **parts}
            for name, value in (scalars | ({} if auc is None else {"validation AUC": auc})).items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Write out what TensorBoard holds back."""
        if self._board is not None:
            self._board.close()

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


def _tensorboard(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(folder, purge_step=step + 1)
