"""Protocols are data: which samples, what their labels mean, how they are set apart, what is done
to them before they are scored. The hash of a protocol stands in every result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from bonafide.bench import splits
from bonafide.bench.samples import Fold, Sample
from bonafide.errors import InvalidInput, MissingExtra
from bonafide.types import Question

KINDS = ("none", "column", "leave_one_out", "group_folds", "temporal", "a_to_b")
UNDATED = ("refuse", "leave_out")
POOLS = ("none", "mean", "max")
COLUMNS = ("path", "label", "question", "group", "generator", "mask", "split", "date")
ANY = "*"


@dataclass(frozen=True)
class Split:
    """How samples are set apart; see `bonafide.bench.splits` for each kind.

    Attributes:
        kind: one of `KINDS`.
        by: the column whose values are left out or set against each other.
        folds: number of folds, for "group_folds".
        cut: first date that is tested, for "temporal".
        dates: generator → date of its release, for "temporal".
        undated: what happens to positives without a date, one of `UNDATED`.
        train, calibrate, test: values of the column, for "column" and "a_to_b".
        seed: of the order in which groups are dealt out.
    """

    kind: str = "none"
    by: str = "group"
    folds: int = 5
    cut: str = ""
    dates: Mapping[str, str] = field(default_factory=dict)
    undated: str = "refuse"
    train: tuple[str, ...] = ("train",)
    calibrate: tuple[str, ...] = ("calibrate", "validate", "val")
    test: tuple[str, ...] = ("test",)
    seed: int = 0


@dataclass(frozen=True)
class Pool:
    """How the scores of samples that belong together become one score.

    Attributes:
        how: one of `POOLS`; "none" keeps one score per file.
        by: the column whose equal values belong together, such as the video of a frame.
    """

    how: str = "none"
    by: str = "group"


@dataclass(frozen=True)
class Protocol:
    """A protocol as read from YAML.

    Attributes:
        name: one word, the file name of a protocol that ships.
        description: what a result under it says, in a sentence or two.
        question: what is asked, a value of `bonafide.types.Question`.
        where: column → values that a row may have there; "*" takes any value but an empty one.
        columns: our column name → names it may have in the manifest, the first that exists counts.
        positive, negative: labels that mean yes and no; "*" stands for every label not named.
            Rows with other labels are left out.
        min_side: pictures with a shorter side below this are left out, so that a crop leaves no
            difference in size behind; pixels.
        group_depth: how many slash-separated parts of a group count, 0 for all: 2 makes
            "set/scene" of "set/scene/forgery".
        split: how samples are set apart.
        degradations: names understood by `bonafide.bench.degrade`; "native" leaves files alone.
        pixel: whether masks are compared with heatmaps.
        pool: how scores of one video or scene are joined.
    """

    name: str
    description: str = ""
    question: str = Question.SYNTHETIC
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    min_side: int = 0
    group_depth: int = 0
    split: Split = field(default_factory=Split)
    degradations: tuple[str, ...] = ("native",)
    pixel: bool = False
    pool: Pool = field(default_factory=Pool)

    @cached_property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the canonical JSON of `to_dict`."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Everything the protocol says, defaults included, as JSON values."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        values["labels"] = {
            "positive": values.pop("positive"),
            "negative": values.pop("negative"),
        }
        return values

    def is_positive(self, label: str) -> bool | None:
        """What a label means: yes, no, or None for one that the protocol does not use."""
        for labels, meaning in ((self.positive, True), (self.negative, False)):
            if label in labels:
                return meaning
        for labels, meaning in ((self.positive, True), (self.negative, False)):
            if ANY in labels:
                return meaning
        return None

    def folds(self, samples: Sequence[Sample]) -> list[Fold]:
        """Set samples apart; indices refer to `samples`.

        Raises:
            InvalidInput: the samples lack what the split needs.
        """
        split = self.split
        match split.kind:
            case "column":
                return splits.by_column(samples, split.by, split.train, split.calibrate, split.test)
            case "leave_one_out":
                return splits.leave_one_out(samples, split.by, split.seed)
            case "group_folds":
                return splits.group_folds(samples, split.folds, split.seed)
            case "temporal":
                return splits.temporal(
                    samples, split.cut, split.dates, split.undated == "refuse", split.seed
                )
            case "a_to_b":
                return splits.a_to_b(samples, split.by, split.calibrate, split.test, split.seed)
        return splits.whole(samples)


def names() -> tuple[str, ...]:
    """Protocols that ship, in alphabetical order."""
    folder = resources.files("bonafide.bench") / "protocols"
    found = [Path(entry.name) for entry in folder.iterdir()]
    return tuple(sorted(file.stem for file in found if file.suffix == ".yaml"))


def load_protocol(name_or_path: str | Path) -> Protocol:
    """Read a protocol that ships, by name, or any other, by the path of its YAML file.

    Raises:
        InvalidInput: there is no such protocol, or it does not follow the rules of `parse`.
        MissingExtra: PyYAML is not installed.
    """
    text = str(name_or_path)
    if text in names():
        content = (resources.files("bonafide.bench") / "protocols" / f"{text}.yaml").read_text(
            "utf-8"
        )
    elif Path(text).is_file():
        try:
            content = Path(text).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"protocol {text} cannot be read: {error}") from None
    else:
        raise InvalidInput(
            f"no protocol is called {text!r}, and there is no such file; there are: "
            f"{', '.join(names())}"
        )
    return parse(_yaml(content, text), text)


def parse(content: Any, source: str = "protocol") -> Protocol:
    """Make a protocol of what its YAML holds; every key must be known.

    Raises:
        InvalidInput: naming `source` and what is wrong with it.
    """
    try:
        return _parse(content)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{source}: {error}") from None


def _parse(content: Any) -> Protocol:
    values = _mapping(content, "a protocol")
    labels = _mapping(values.pop("labels", {}), "labels")
    _known(labels, {"positive", "negative"}, "labels")
    _known(values, set(Protocol.__dataclass_fields__) - {"positive", "negative"}, "the protocol")
    if "name" not in values:
        raise ValueError("a protocol needs a name")
    protocol = Protocol(
        name=str(values["name"]),
        description=" ".join(str(values.get("description", "")).split()),
        question=Question(values.get("question", Question.SYNTHETIC)).value,
        where=_lists(values.get("where", {}), "where"),
        columns=_lists(values.get("columns", {}), "columns"),
        positive=_texts(labels.get("positive", ())),
        negative=_texts(labels.get("negative", ())),
        min_side=_whole(values.get("min_side", 0), "min_side"),
        group_depth=_whole(values.get("group_depth", 0), "group_depth"),
        split=_split(_mapping(values.get("split", {}), "split")),
        degradations=_texts(values.get("degradations", ("native",))),
        pixel=bool(values.get("pixel", False)),
        pool=_pool(_mapping(values.get("pool", {}), "pool")),
    )
    _known(protocol.columns, set(COLUMNS), "columns")
    if not protocol.positive or not protocol.negative:
        raise ValueError("labels must say what is positive and what is negative")
    if set(protocol.positive) & set(protocol.negative):
        raise ValueError("a label cannot be both positive and negative")
    if not protocol.degradations or len(set(protocol.degradations)) < len(protocol.degradations):
        raise ValueError("degradations must be a list of different names")
    return protocol


def _split(values: dict[str, Any]) -> Split:
    _known(values, set(Split.__dataclass_fields__), "split")
    if values.get("kind", "none") not in KINDS:
        raise ValueError(f"split: kind must be one of {', '.join(KINDS)}")
    for part in ("train", "calibrate", "test"):
        if part in values:
            values[part] = _texts(values[part])
    if "dates" in values:
        dates = _mapping(values["dates"], "dates")
        values["dates"] = {name: str(date) for name, date in dates.items()}
    for number in ("folds", "seed"):
        if number in values:
            values[number] = _whole(values[number], number)
    if "cut" in values:
        values["cut"] = str(values["cut"])
    split = Split(**values)
    if split.undated not in UNDATED:
        raise ValueError(f"split: undated must be one of {', '.join(UNDATED)}")
    if split.kind == "group_folds" and split.folds < 2:
        raise ValueError("split: at least two folds")
    if split.kind == "temporal" and not split.cut:
        raise ValueError("split: a temporal split needs `cut`, the first date that is tested")
    return split


def _pool(values: dict[str, Any]) -> Pool:
    _known(values, {"how", "by"}, "pool")
    pool = Pool(**{key: str(value) for key, value in values.items()})
    if pool.how not in POOLS:
        raise ValueError(f"pool: how must be one of {', '.join(POOLS)}")
    return pool


def _known(values: Mapping[str, Any], allowed: set[str], where: str) -> None:
    unknown = sorted(set(values) - allowed)
    if unknown:
        raise ValueError(
            f"{where} has no {', '.join(unknown)}; there are {', '.join(sorted(allowed))}"
        )


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{what} must be a mapping of names to values")
    return {str(key): entry for key, entry in value.items()}


def _lists(value: Any, what: str) -> dict[str, tuple[str, ...]]:
    return {key: _texts(entry) for key, entry in _mapping(value, what).items()}


def _texts(value: Any) -> tuple[str, ...]:
    """One value or a list of values, as text; YAML reads 1 or 2023-01-01 as something else."""
    if isinstance(value, Mapping) or value is None:
        raise TypeError("expected a value or a list of values")
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(str(entry) for entry in values)


def _whole(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"{what} must be a whole number, 0 or more")
    return value


def _yaml(content: str, source: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise MissingExtra("bench", "reading protocols") from None
    try:
        return yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise InvalidInput(f"{source} is no YAML: {error}") from None
