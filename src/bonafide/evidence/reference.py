"""The labelled files of a calibration, and where the evidence of an examined file lies among them.

A question keeps, for every calibration file, what each detector said of it: its weighted
log-likelihood ratio out of fold, or nothing where the detector could not speak. The evidence of an
examined file, added over the detectors that spoke on it, is compared with the same sum over the
calibration files on which all of them could speak. So a detector that was not asked, or could not
be, changes nothing about what the others are compared with.

The unit of the bound is the source (a camera, a photographer, a collection): files of one source
are alike, files of two sources are not exchangeable one by one. With K bona fide sources, and
`share_k(e)` the share of the files of source k with at least the evidence e,

    p(e) = (1 + sum over k of share_k(e)) / (K + 1)

which is hierarchical conformal prediction: Y. Lee, R. F. Barber, R. Willett, "Distribution-free
inference with hierarchical data", 2023. As the evidence of the calibration files is out of fold by
source, the whole procedure is cross-conformal by group: V. Vovk, "Cross-conformal predictors",
Annals of Mathematics and Artificial Intelligence 74, 2015. Its bound holds exactly for one fixed
fit, and closely for folds.

Where the bona fide files of the same container and size band look worse than all files together,
the plain mean of their shares is the larger number, and it counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

HEAD = ("source", "altered", "made", "container", "megapixels", "hits")  # before the detectors
BANDS = (("small", 0.5), ("medium", 4.0), ("large", math.inf))  # up to so many megapixels
DIGITS = 3  # of stored evidence
FEWEST_ALTERED = 20  # files of a stratum from which its own miss rate is given
IMAGES = ("jpeg", "other")  # containers of pictures; "video" and "audio" stand for themselves
_NAMES = {"jpeg": "JPEG", "other": "not JPEG", "video": "video", "audio": "sound"}


@dataclass(frozen=True)
class Stratum:
    """What could be tested of a file.

    Attributes:
        container: "jpeg", "other" (a picture that is no JPEG), "video", "audio"; "" if unknown.
        band: "small", "medium", "large"; "" where there is no size.
    """

    container: str = ""
    band: str = ""

    @classmethod
    def of(cls, measured: Mapping[str, float]) -> Stratum:
        """The stratum of a file, from `calibration.measures`."""
        pixels = measured.get("megapixels")
        if "seconds" in measured:
            container = "audio" if pixels is None else "video"
        elif pixels is None:
            container = ""
        else:
            container = "jpeg" if measured.get("jpeg") else "other"
        return cls(container, "" if pixels is None else band(pixels))

    @property
    def kind(self) -> str:
        """The kind of media, a value of `bonafide.types.Kind`; "" if unknown."""
        return "image" if self.container in IMAGES else self.container

    @property
    def words(self) -> str:
        """For people: "JPEG, large"."""
        return ", ".join(filter(None, (_NAMES.get(self.container, ""), self.band)))


def band(megapixels: float) -> str:
    """The size band of a picture: small under 0.5, medium up to 4, large beyond."""
    if megapixels < BANDS[0][1]:
        return BANDS[0][0]
    return BANDS[1][0] if megapixels <= BANDS[1][1] else BANDS[2][0]


@dataclass(frozen=True)
class Shares:
    """Bona fide evidence in which every source weighs the same.

    Attributes:
        values: (n,) evidence, ascending.
        tail: (n + 1,) sum over sources of the share of their files from each value on.
        sources: how many.
    """

    values: Floats
    tail: Floats
    sources: int

    @classmethod
    def of(cls, evidence: Floats, sources: NDArray[np.intp]) -> Shares:
        """From the evidence (n,) of files and the number (n,) of the source of each."""
        import numpy as np

        _, member, counts = np.unique(sources, return_inverse=True, return_counts=True)
        order = np.argsort(evidence, kind="stable")
        share = (1.0 / counts)[member][order] if len(counts) else np.zeros(0)
        tail = np.append(np.cumsum(share[::-1])[::-1], 0.0)
        return cls(evidence[order], tail, len(counts))

    def at_least(self, evidence: Floats) -> Floats:
        """(m,) sum over sources of the share of their files with at least this evidence."""
        import numpy as np

        return np.asarray(self.tail[np.searchsorted(self.values, evidence, "left")], np.float64)


@dataclass(frozen=True)
class Comparison:
    """The calibration files that one examined file is compared with.

    Attributes:
        pool: bona fide files on which the same detectors could speak.
        like: those of them with the same container and size band; None where there are none.
        altered: (m,) evidence of altered files, of the stratum where it has enough.
        hits: (m,) whether a detector among those compared reached its own threshold on them.
        stratum: which files these are, for people.
        foreign: whether they are of another kind of media, and so certify nothing.
        slack: what rounding may have taken from stored evidence.
    """

    pool: Shares
    like: Shares | None
    altered: Floats
    hits: Bools
    stratum: str
    foreign: bool
    slack: float

    def p_values(self, evidence: Floats) -> Floats:
        """(m,) p-values in (0, 1]; see the docstring of this file."""
        import numpy as np

        reached = evidence - self.slack
        p = (1.0 + self.pool.at_least(reached)) / (self.pool.sources + 1.0)
        if self.like is not None:
            p = np.maximum(p, self.like.at_least(reached) / self.like.sources)
        return np.minimum(np.asarray(p, np.float64), 1.0)

    def p_value(self, evidence: float) -> float:
        """The p-value of one file, in (0, 1]."""
        import numpy as np

        return float(self.p_values(np.array([evidence]))[0])

    def certifies(self, alpha: float) -> bool:
        """Whether there are enough sources for a p-value to be as small as `alpha`."""
        return not self.foreign and self.pool.sources >= needed(alpha)

    def miss_rate(self, alpha: float, least: float) -> float | None:
        """Share of altered files that are not accused at `alpha`, None without such files.

        Args:
            alpha: the bound.
            least: log-likelihood ratio that an accusation needs as well.
        """
        if not len(self.altered):
            return None
        accused = (self.p_values(self.altered) <= alpha + 1e-12) & (self.altered >= least)
        return 1.0 - float(accused.mean()) if self.certifies(alpha) else 1.0

    def quiet_rate(self, clear: float) -> float | None:
        """Share of altered files with a p-value of at least `clear` and without a hit."""
        if not len(self.altered):
            return None
        return float(((self.p_values(self.altered) >= clear) & ~self.hits).mean())


def needed(alpha: float) -> int:
    """Sources without which no p-value can be at most `alpha`: 99 for 1 %."""
    return math.ceil(1.0 / alpha - 1e-9) - 1


@dataclass(frozen=True)
class _Arrays:
    """The files of a question as arrays; `evidence` is (n, detectors), NaN where none spoke."""

    source: NDArray[np.intp]
    altered: Bools
    container: NDArray[np.str_]
    band: NDArray[np.str_]
    hits: NDArray[np.int64]
    evidence: Floats


class Reference:
    """The calibration files of one question.

    Attributes:
        detectors: ids, in the order of the stored columns.
        weights: id → weight in [0, 1].
        rows: as the table stores them: `HEAD`, then one value per detector or None. `hits` is a
            bit per detector, set where it reached its own threshold.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.detectors: tuple[str, ...] = tuple(table["columns"][len(HEAD) :])
        self.weights: Mapping[str, float] = table["weights"]
        self.rows: list[list[Any]] = table["files"]
        self.source: str = table.get("source", "")
        self._known: dict[tuple[tuple[str, ...], Stratum, float], Comparison] = {}

    def weight(self, detector: str) -> float:
        """What the evidence of a detector counts for, 0.0 for one that is not in the table."""
        return float(self.weights.get(detector, 0.0))

    def compare(self, detectors: frozenset[str], stratum: Stratum, alpha: float) -> Comparison:
        """What evidence of these detectors is compared with.

        Where fewer files than `alpha` needs carry the word of all of them, files on which at least
        one of them spoke are taken, and what there is is added.

        Args:
            detectors: which spoke and weigh.
            stratum: of the examined file.
            alpha: the bound, which says how many sources are needed.
        """
        key = (tuple(sorted(detectors)), stratum, alpha)
        if key not in self._known:
            self._known[key] = self._compare(key[0], stratum, alpha)
        return self._known[key]

    @cached_property
    def _arrays(self) -> _Arrays:
        import numpy as np

        head = len(HEAD)
        source, altered, _, container, megapixels, hits = (
            zip(*(row[:head] for row in self.rows), strict=True) if self.rows else ((),) * head
        )
        said = [[math.nan if v is None else v for v in row[head:]] for row in self.rows]
        return _Arrays(
            np.unique(np.array(source, np.str_), return_inverse=True)[1],
            np.array(altered, np.bool_),
            np.array(container, np.str_),
            np.array(["" if value is None else band(value) for value in megapixels], np.str_),
            np.array(hits, np.int64),
            np.array(said, np.float64).reshape(len(said), len(self.detectors)),
        )

    def _compare(self, detectors: tuple[str, ...], stratum: Stratum, alpha: float) -> Comparison:
        import numpy as np

        files = self._arrays
        columns = [self.detectors.index(name) for name in detectors if name in self.detectors]
        said = files.evidence[:, columns]
        total = np.nansum(said, axis=1)
        pictures = np.isin(files.container, IMAGES)
        same = files.container == stratum.container
        medium = pictures if stratum.container in ("", *IMAGES) else same
        foreign = not (medium & ~files.altered).any()
        medium = pictures if foreign else medium
        pool = medium & np.isfinite(said).all(axis=1)
        if _sources(files, pool) < needed(alpha):
            some = medium & np.isfinite(said).any(axis=1)
            pool = some if _sources(files, some) > _sources(files, pool) else pool
        like = pool & same & (files.band == stratum.band)
        plain = Shares.of(total[pool & ~files.altered], files.source[pool & ~files.altered])
        chosen = like & ~files.altered
        altered = like & files.altered
        if int(altered.sum()) < FEWEST_ALTERED:
            altered = pool & files.altered
        bits = sum(1 << column for column in columns)
        return Comparison(
            plain,
            Shares.of(total[chosen], files.source[chosen]) if chosen.any() else None,
            total[altered],
            (files.hits[altered] & bits) != 0,
            _words(files, pool, like, stratum, foreign),
            foreign,
            0.5 * 10.0**-DIGITS * (len(columns) + 1) + 1e-9,
        )


def _sources(files: _Arrays, chosen: Bools) -> int:
    import numpy as np

    return len(np.unique(files.source[chosen & ~files.altered]))


def _words(files: _Arrays, pool: Bools, like: Bools, stratum: Stratum, foreign: bool) -> str:
    def count(chosen: Bools) -> str:
        sources, number = _sources(files, chosen), int((chosen & ~files.altered).sum())
        return f"{sources} sources, {number} files"

    if foreign:
        return f"pictures, as there is no calibration for {stratum.container}: {count(pool)}"
    if not stratum.words:
        return f"all: {count(pool)}"
    return f"{stratum.words}: {count(like)}; all: {count(pool)}"
