"""Features of labelled pictures, kept in one file: what a probe is fitted on.

They are tokens of CLIP, or the differences between regions of aligned faces.

Of each picture there are two views, or three. `native` is what the detector reads. `degraded` is
the same picture after what happens to pictures on their way: half of the time cut to a square of
random size, then resized, saved as WebP and as JPEG, each at random and alike for both classes.
`normalise`, where it is asked for, is what protocols with that name score. Chance comes from the
picture's checksum, so the same pictures give the same file everywhere.

Of aligned faces (`bonafide probe crops`) there may be two more, made of genuine ones: `blended`, a
self-blended image, which counts as forged, and `target`, the genuine face that it is to be told
from; both after what happens to faces on their way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from bonafide.bench import degrade
from bonafide.bench.degrade import GRAMMAR
from bonafide.bench.labelled import Labelled
from bonafide.bench.manifest import read_table
from bonafide.errors import InvalidInput, MediaError, UnsupportedFormat
from bonafide.files import atomic_write
from bonafide.media.image import Image
from bonafide.media.limits import Limits
from bonafide.media.source import open_media
from bonafide.networks import regions
from bonafide.networks.clip import LAYERS, SIDE, square_view, tokens_of
from bonafide.subjects.faces import CROP_MARGIN
from bonafide.train.augment import Chain, Pixels, Step, jpeg, resize, webp
from bonafide.train.self_blended import published, self_blended
from bonafide.types import Question

WHOLE, DEGRADED = "native", "degraded"
BLENDED, TARGET = "blended", "target"
OWN = (WHOLE, DEGRADED, BLENDED, TARGET)  # views that are made here
NORMALISED = GRAMMAR.canonical("normalise")
FITTED_ON = (*OWN, NORMALISED)  # views; others are only scored
LARGEST = 1024  # pixels a side that are left before degrading
_BATCH = 8
_SAVE_EVERY = 200  # pictures
_DEGRADE = Chain(
    (
        Step("resize", 0.4, partial(resize, low=0.4, high=1.0)),
        Step("webp", 0.2, partial(webp, low=60, high=95)),
        Step("jpeg", 0.7, partial(jpeg, low=50, high=96)),
    )
)
Progress = Callable[[int, int, int], None]
NO_POOLS: Mapping[str, tuple[str, str]] = MappingProxyType({})


@dataclass(frozen=True)
class Features:
    """Views of labelled pictures.

    Attributes:
        tokens: float16 N×L×768.
        view: (N,) text, `WHOLE`, `DEGRADED` or a degradation of `bonafide.bench.degrade`.
        path: (N,) text, absolute.
        source: (N,) text, what is held out together.
        made: (N,) text, generator or kind.
        kind: (N,) text, what it shows, "" where unknown.
        positive: (N,) bool, whether the answer to the question is yes.
        layers: names of the L tokens, as `bonafide.networks.clip.tokens_of` reads them.
        file: (N,) text: the file that a crop was cut out of, else the path; empty where files are
            not pooled.
        subject: (N,) text: the person whom a crop shows, else ""; empty as `file`.
    """

    tokens: NDArray[np.float16]
    view: NDArray[np.str_]
    path: NDArray[np.str_]
    source: NDArray[np.str_]
    made: NDArray[np.str_]
    kind: NDArray[np.str_]
    positive: NDArray[np.bool_]
    layers: tuple[str, ...] = ()
    file: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, np.str_))
    subject: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, np.str_))


def collect(
    files: Sequence[Labelled],
    out: Path,
    limits: Limits,
    degradations: Sequence[str] = (),
    progress: Progress | None = None,
    question: Question = Question.SYNTHETIC,
    layers: tuple[str, ...] = LAYERS,
) -> int:
    """Add what is missing in `out`; a run that was stopped goes on where it was.

    Args:
        files: labelled pictures; those that leave the question open are passed over.
        out: an .npz, made by an earlier call or not there yet.
        limits: of a picture.
        degradations: of `bonafide.bench.degrade`, to score on, or views that a probe is fitted
            on; by default `native` and `degraded`.
        progress: called with (done, total, failed).
        question: whose labels count.
        layers: names of the tokens that are kept, or `regions.LAYER` alone for the differences
            between regions of aligned faces; those of the file where it exists.

    Returns:
        How many pictures could not be read.

    Raises:
        WeightsError: the network cannot be opened.
        ValueError: there is no such degradation.
    """
    tokens, known, kept = _read(out)
    layers = kept or layers
    asked = tuple(name if name in OWN else GRAMMAR.canonical(name) for name in degradations) or (
        WHOLE,
        DEGRADED,
    )
    there = set(known)
    missing: list[tuple[str, tuple[str, ...]]] = []
    for one in files:
        if question in one.answers:
            made = (BLENDED, TARGET) if one.answers[question] else ()  # of genuine faces alone
            views = tuple(
                view for view in asked if view not in made and (one.path, view) not in there
            )
            missing += [(one.path, views)] if views else []
    of_face = layers == (regions.LAYER,)
    view_of = regions.face_view if of_face else square_view
    read = regions.region_differences if of_face else partial(tokens_of, layers=layers)
    failed = 0
    waiting: list[NDArray[np.float32]] = []
    for done, (path, views) in enumerate(missing, 1):
        try:
            waiting += [view_of(pixels) for pixels in _views(Path(path), views, limits)]
            known += [(path, view) for view in views]
        except MediaError:
            failed += 1
        if waiting and (len(waiting) >= _BATCH or done == len(missing)):
            tokens += list(read(np.stack(waiting)).astype(np.float16))
            waiting = []
        if done % _SAVE_EVERY == 0 or done == len(missing):
            _write(out, tokens, known[: len(tokens)], layers)
        if progress:
            progress(done, len(missing), failed)
    return failed


def load(
    out: Path,
    files: Sequence[Labelled],
    question: Question = Question.SYNTHETIC,
    pooled: Mapping[str, tuple[str, str]] = NO_POOLS,
) -> Features:
    """What `collect` wrote of these files, all views.

    Args:
        out: the file.
        files: labelled pictures.
        question: whose labels count.
        pooled: path of a crop → file and person, see `pools_of`.

    Raises:
        InvalidInput: nothing of them is there.
    """
    tokens, known, layers = _read(out)
    asked = {one.path: one for one in files if question in one.answers}
    rows = [(row, asked[path], view) for row, (path, view) in enumerate(known) if path in asked]
    if not rows:
        raise InvalidInput(f"{out} holds none of these files")
    return Features(
        np.stack([tokens[row] for row, _, _ in rows]),
        np.array([view for _, _, view in rows]),
        np.array([one.path for _, one, _ in rows]),
        np.array([one.source for _, one, _ in rows]),
        np.array([one.made for _, one, _ in rows]),
        np.array([one.kind for _, one, _ in rows]),
        np.array([one.answers[question] or view == BLENDED for _, one, view in rows]),
        layers,
        np.array([pooled.get(one.path, (one.path, ""))[0] for _, one, _ in rows]),
        np.array([pooled.get(one.path, (one.path, ""))[1] for _, one, _ in rows]),
    )


def pools_of(manifests: Sequence[Path]) -> dict[str, tuple[str, str]]:
    """Path of a crop → the file that it was cut out of, and the person whom it shows."""
    return {
        str((manifest.parent / row["path"]).absolute()): (row["file"], row.get("subject", ""))
        for manifest in manifests
        for row in read_table(manifest)
        if row.get("path") and row.get("file")
    }


def _views(path: Path, views: Sequence[str], limits: Limits) -> Iterator[Pixels]:
    media = open_media(path, limits=limits)
    if media.image is None:
        raise UnsupportedFormat(str(path), "it is no picture")
    for view in views:
        if view in OWN:
            pixels = media.image.pixels
            random = np.random.default_rng(int(media.sha256[:15], 16))
            if view in (BLENDED, TARGET):
                forged, genuine = self_blended(pixels, CROP_MARGIN, random)
                yield published(forged if view == BLENDED else genuine, random)
            else:
                yield pixels if view == WHOLE else _DEGRADE(_part(pixels, random), random)
        else:
            data = degrade.apply(media.image.data, view, limits=limits).data
            yield Image(data, str(path), limits=limits).pixels


def _part(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """The central square, or a random one; not larger than `LARGEST`."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    chance, size, y, x = random.random(4)
    top, left = (height - side) // 2, (width - side) // 2
    if chance < 0.5:
        whole, side = side, max(1, round(min(SIDE, side) ** (1 - size) * side**size))
        top, left = round(y * (height - side)), round(x * (width - side))
        side = min(side, whole)
    square = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    if side <= LARGEST:
        return square
    smaller = Pillow.fromarray(square).resize((LARGEST, LARGEST), Pillow.Resampling.LANCZOS)
    return np.asarray(smaller)


def _read(
    out: Path,
) -> tuple[list[NDArray[np.float16]], list[tuple[str, str]], tuple[str, ...]]:
    """Tokens, the path and the view of each row, and the blocks; all empty without a file."""
    if not out.exists():
        return [], [], ()
    try:
        with np.load(out) as kept:
            rows = zip(kept["path"].tolist(), kept["view"].tolist(), strict=True)
            layers = tuple(kept["layers"].tolist()) if "layers" in kept else LAYERS
            return list(kept["tokens"]), list(rows), layers
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInput(f"{out} holds no features: {error}") from error


def _write(
    out: Path,
    tokens: list[NDArray[np.float16]],
    known: list[tuple[str, str]],
    layers: tuple[str, ...],
) -> None:
    paths, views = zip(*known, strict=True) if known else ((), ())
    with atomic_write(out) as partial_path, partial_path.open("wb") as file:
        np.savez(
            file,
            tokens=np.array(tokens, np.float16),
            path=np.array(paths, np.str_),
            view=np.array(views, np.str_),
            layers=np.array(layers, np.str_),
        )
