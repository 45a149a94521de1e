"""How well detectors tell wrong captions: whether, which words, which box.

Reads the columns that the layout `dgm4` writes: `caption`, `caption_words` (positions of changed
words, by spaces, from 0) and `caption_box` (left, top, width, height of what was changed in the
picture). Of the detectors, the facts `words` and `boxes` are compared with them. Figures follow
R. Shao et al., "Detecting and Grounding Multi-Modal Media Manipulation", CVPR 2023: F1 over all
words, mean intersection over union, share of boxes that reach 0.5 and 0.75.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bonafide.bench.layouts_captions import BONA_FIDE
from bonafide.bench.manifest import read_table
from bonafide.errors import InvalidInput, MediaError
from bonafide.types import Box, Finding, Question, Status

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Captioned:
    """A picture with a caption, and what is known to be wrong with both.

    Attributes:
        path: of the picture.
        caption: that came with it.
        wrong: whether the picture or the caption was changed.
        words: positions of the words that were changed, by spaces, from 0.
        box: of what was changed in the picture; None where nothing was, or it is not known.
    """

    path: str
    caption: str
    wrong: bool
    words: frozenset[int] = frozenset()
    box: Box | None = None

    @property
    def length(self) -> int:
        """Words of the caption, by spaces."""
        return len(self.caption.split())


@dataclass(frozen=True)
class Told:
    """What detectors say of a caption together.

    Attributes:
        score: the largest of their scores; None where none could compare anything.
        words: positions that any of them names.
        boxes: that any of them names.
    """

    score: float | None = None
    words: frozenset[int] = frozenset()
    boxes: tuple[Box, ...] = ()


@dataclass
class Counts:
    """Sums over samples, for the figures."""

    truth: list[bool] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    silent: int = 0
    right: int = 0
    named: int = 0
    changed: int = 0
    overlaps: list[float] = field(default_factory=list)


def read(manifest: str | Path) -> list[Captioned]:
    """The rows of a manifest that have a caption.

    Raises:
        InvalidInput: it cannot be read, or no row has a caption.
    """
    file = Path(manifest)
    try:
        found = [
            Captioned(
                str(file.parent / row["path"]),
                row["caption"],
                row["label"] not in (BONA_FIDE, "bona_fide", "real"),
                frozenset(map(int, row.get("caption_words", "").split())),
                _box(row.get("caption_box", "")),
            )
            for row in read_table(file)
            if row.get("caption")
        ]
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidInput(f"{file} is no manifest of captions: {error!r}") from None
    if not found:
        raise InvalidInput(f"{file} has no captions; see `bonafide bench index --layout dgm4`")
    return found


def ask(sample: Captioned) -> Told:
    """What the detectors of captions say of a sample; nothing where its file cannot be read."""
    from bonafide import registry
    from bonafide.examination import Examiner, Settings
    from bonafide.media.source import open_media

    chosen = tuple(
        name for name in registry.usable() if registry.card(name).question is Question.MISCAPTIONED
    )
    examiner = Examiner(Settings(only=chosen, threads=1, caption=sample.caption))
    try:
        media = open_media(sample.path)
        return told(examiner.ask(media, examiner.chosen, {}))
    except MediaError:
        return Told()


def told(findings: Iterable[Finding]) -> Told:
    """What findings say of words and boxes together."""
    spoken = [one for one in findings if one.status is Status.OK]
    scores = [one.score for one in spoken if one.score is not None]
    words = frozenset(word for one in spoken for word in _list(one.facts.get("words")))
    boxes = tuple(Box(*box) for one in spoken for box in _list(one.facts.get("boxes")))
    return Told(max(scores, default=None), words, boxes)


def figures(samples: Sequence[Captioned], answers: Sequence[Told]) -> dict[str, Any]:
    """Figures over samples and what was said of them, in the same order.

    Returns:
        `samples`, `answered`; `auc` over the answered ones, None with one class; `token_precision`,
        `token_recall`, `token_f1` over all words of all captions; `iou`, `iou50`, `iou75` over the
        samples that have a box, with 0 where none was named, None without any.
    """
    counts = Counts()
    for sample, answer in zip(samples, answers, strict=True):
        if answer.score is None:
            counts.silent += 1
        else:
            counts.truth.append(sample.wrong)
            counts.scores.append(answer.score)
        named = {word for word in answer.words if 0 <= word < sample.length}
        counts.right += len(named & sample.words)
        counts.named += len(named)
        counts.changed += len(sample.words)
        if sample.box is not None:
            best = max((overlap(sample.box, box) for box in answer.boxes), default=0.0)
            counts.overlaps.append(best)
    precision = counts.right / counts.named if counts.named else 0.0
    recall = counts.right / counts.changed if counts.changed else 0.0
    both = precision + recall
    return {
        "samples": len(samples),
        "answered": len(samples) - counts.silent,
        "auc": _auc(counts),
        "token_precision": round(precision, 4),
        "token_recall": round(recall, 4),
        "token_f1": round(2 * precision * recall / both, 4) if both else 0.0,
        "iou": _share(counts.overlaps),
        "iou50": _share([float(one >= 0.5) for one in counts.overlaps]),
        "iou75": _share([float(one >= 0.75) for one in counts.overlaps]),
    }


def measure(samples: Sequence[Captioned], progress: Progress | None = None) -> list[Told]:
    """What the detectors say of every sample, in order, in this process."""
    answers = []
    for number, sample in enumerate(samples, 1):
        answers.append(ask(sample))
        if progress:
            progress(number, len(samples))
    return answers


def overlap(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    width = min(first.x + first.width, second.x + second.width) - max(first.x, second.x)
    height = min(first.y + first.height, second.y + second.height) - max(first.y, second.y)
    common = max(0, width) * max(0, height)
    return common / (first.width * first.height + second.width * second.height - common)


def _auc(counts: Counts) -> float | None:
    if len(set(counts.truth)) < 2:
        return None
    from bonafide.bench.metrics import roc_auc

    return round(float(roc_auc(counts.truth, counts.scores)), 4)


def _share(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def _box(text: str) -> Box | None:
    return Box(*map(int, text.split())) if text else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def as_rows(found: Mapping[str, Any]) -> dict[str, str]:
    """Figures as texts, for a table."""
    return {name: "–" if value is None else str(value) for name, value in found.items()}
