"""What a benchmark is made of: one labelled file, and one way to set files apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sample:
    """One file of a manifest.

    Attributes:
        path: as written in the manifest, relative to the manifest's folder.
        label: as written in the manifest.
        positive: whether the label means "yes" to the protocol's question; None while no protocol
            has said what labels mean.
        question: the question that the label answers, a value of `bonafide.types.Question`; ""
            where the manifest does not say.
        group: files of one group are not independent (one scene, one video, one collection) and
            are never divided between calibration and test; "" is a group of its own per file.
        generator: what made or edited the file, "" where unknown.
        mask: path of the picture that marks the edited pixels in white, None where there is none.
        split: the part that the set's authors put it in: "train", "calibrate", "test" or "".
        date: when the file or its generator appeared, ISO 8601 or a beginning of it, or "".
        extra: every other column.
    """

    path: str
    label: str
    positive: bool | None = None
    question: str = ""
    group: str = ""
    generator: str = ""
    mask: str | None = None
    split: str = ""
    date: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def cluster(self) -> str:
        """What is held together and resampled as one: the group, or the file where it has none."""
        return self.group or f"file:{self.path}"

    def value(self, column: str) -> str:
        """The value of a column by its name, ours or one of the manifest's further ones."""
        if column in ("path", "label", "question", "group", "generator", "split", "date"):
            return str(getattr(self, column))
        if column == "mask":
            return self.mask or ""
        return self.extra.get(column, "")


@dataclass(frozen=True)
class Fold:
    """Which samples choose a threshold and which are then measured, as indices into a list.

    Attributes:
        name: of the fold: the generator that was left out, "fold 1", "all", …
        calibrate: indices that the threshold is chosen on; empty where nothing is set apart, so
            that only figures without a threshold, or at a fixed one, can be given.
        test: indices that figures come from. Over the folds of a protocol no index occurs twice.
        train: indices set apart for training; of no use to detectors that are not trained here.
    """

    name: str
    calibrate: tuple[int, ...]
    test: tuple[int, ...]
    train: tuple[int, ...] = ()
