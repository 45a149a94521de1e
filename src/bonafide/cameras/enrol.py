"""From photographs of one camera to its kept fingerprint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bonafide.cameras import store
from bonafide.errors import InvalidInput, MediaError
from bonafide.media.image import Image
from bonafide.media.limits import Limits
from bonafide.media.source import open_media
from bonafide.signals.prnu import METHOD, TILE, Estimate, aligned
from bonafide.signals.prnu_search import MATCH_PCE
from bonafide.signals.residual import spun_residual

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST_PHOTOGRAPHS = 10
ENOUGH_PHOTOGRAPHS = 20  # below which a note is due
MOST_PHOTOGRAPHS = 200
LEAST_SIDE = 512  # pixels
_DARK, _BRIGHT = 30.0, 230.0  # mean luma outside of which a photograph teaches little

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Enrolled:
    """What came of an enrolment.

    Attributes:
        camera: as it was kept.
        skipped: file → why it was not used.
        notes: sentences that the user should read.
    """

    camera: store.Camera
    skipped: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Photograph:
    path: str
    sha256: str
    shape: tuple[int, int]  # height and width as stored
    model: str


def enrol(
    name: str,
    files: Iterable[str],
    replace: bool = False,
    limits: Limits | None = None,
    progress: Progress = lambda _: None,
) -> Enrolled:
    """Estimate the fingerprint of a camera and keep it.

    Args:
        name: of the camera.
        files: photographs that it took, straight from the camera.
        replace: whether a camera of the same name may be overwritten.
        limits: bounds on each file.
        progress: called with each path when it is done, in both passes.

    Raises:
        InvalidInput: too few photographs can be used, they do not share a fingerprint, or the
            name cannot be used.
    """
    store.slug(name)
    if not replace and any(one.name == name for one in store.enrolled()):
        raise InvalidInput(f"{name} is enrolled already: give --replace, or remove it first")
    limits = limits or Limits()
    skipped: dict[str, str] = {}
    usable = _alike(_headers(files, limits, skipped, progress), skipped)
    _demand(len(usable), skipped)
    height, width = usable[0].shape
    estimate = Estimate(height, width)
    halves = _Halves(height, width)
    used: list[_Photograph] = []
    for photograph in usable:
        try:
            image = _opened(photograph.path, limits)
            luma = image.stored_luma
        except MediaError as error:
            skipped[photograph.path] = error.why
            continue
        finally:
            progress(photograph.path)
        mean = float(luma.mean())
        if not _DARK <= mean <= _BRIGHT:
            skipped[photograph.path] = "it is too dark" if mean < _DARK else "it is too bright"
            continue
        noise = spun_residual(luma)
        estimate.add(luma, noise)
        halves.add(luma, noise)
        used.append(photograph)
    _demand(len(used), skipped)
    agreement = halves.agreement()
    if agreement < MATCH_PCE:
        raise InvalidInput(
            f"the photographs do not share a fingerprint: two halves of them agree with a PCE of "
            f"{agreement:.0f}, and {MATCH_PCE:.0f} is needed. Are they all of one camera, at full "
            "size, uncropped and not edited? More and brighter photographs help as well"
        )
    camera = store.keep(
        estimate.fingerprint(),
        replace,
        name=name,
        method=METHOD,
        count=len(used),
        agreement=round(agreement, 1),
        models=tuple(sorted({one.model for one in used if one.model})),
        photographs=tuple(one.sha256 for one in used),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    notes = []
    if len(used) < ENOUGH_PHOTOGRAPHS:
        notes.append(
            f"{len(used)} photographs make a weak fingerprint: "
            f"{ENOUGH_PHOTOGRAPHS} to 50 are better"
        )
    if not camera.models:
        notes.append("the photographs name no camera; were they exported rather than copied?")
    return Enrolled(camera, skipped, tuple(notes))


class _Halves:
    """Fingerprints of every other photograph, of the middle alone."""

    def __init__(self, height: int, width: int) -> None:
        self._rows = _middle(height)
        self._columns = _middle(width)
        shape = self._rows.stop - self._rows.start, self._columns.stop - self._columns.start
        self._estimates = Estimate(*shape), Estimate(*shape)

    def add(self, luma: NDArray[np.float32], noise: NDArray[np.float32]) -> None:
        one, other = self._estimates
        target = one if one.count <= other.count else other
        target.add(luma[self._rows, self._columns], noise[self._rows, self._columns])

    def agreement(self) -> float:
        """PCE between the two."""
        one, other = (estimate.fingerprint() for estimate in self._estimates)
        return aligned(one, other, 0).pce


def _middle(length: int) -> slice:
    start = max(0, (length - 2 * TILE) // 4 * 2)
    return slice(start, min(length, start + 2 * TILE))


def _headers(
    files: Iterable[str], limits: Limits, skipped: dict[str, str], progress: Progress
) -> list[_Photograph]:
    found: dict[str, _Photograph] = {}
    for path in files:
        try:
            if len(found) >= MOST_PHOTOGRAPHS:
                skipped[path] = f"{MOST_PHOTOGRAPHS} are read, which is the most"
                continue
            image = _opened(path, limits)
            if image.sha256 in found:
                skipped[path] = f"it is the same as {Path(found[image.sha256].path).name}"
                continue
            size = image.height, image.width
            found[image.sha256] = _Photograph(
                path,
                image.sha256,
                size[::-1] if image.orientation >= 5 else size,
                _model(image),
            )
        except MediaError as error:
            skipped[path] = error.why
        finally:
            progress(path)
    return list(found.values())


def _alike(found: Sequence[_Photograph], skipped: dict[str, str]) -> list[_Photograph]:
    """The largest group of photographs of one size and camera; the others are skipped."""
    groups = Counter((one.shape, one.model) for one in found)
    if not groups:
        return []
    (shape, model), _ = groups.most_common(1)[0]
    kept = []
    for one in found:
        if one.shape != shape:
            skipped[one.path] = (
                f"its stored size is {one.shape[1]}×{one.shape[0]}, the others' is "
                f"{shape[1]}×{shape[0]}"
            )
        elif one.model != model:
            skipped[one.path] = f"it names {one.model or 'no camera'}, the others {model or 'none'}"
        elif min(shape) < LEAST_SIDE:
            skipped[one.path] = f"it has less than {LEAST_SIDE} pixels a side"
        else:
            kept.append(one)
    return kept


def _opened(path: str, limits: Limits) -> Image:
    image = open_media(path, limits=limits).image
    if image is None:
        raise MediaError(Path(path).name, "it is no picture")
    return image


def _model(image: Image) -> str:
    exif = image.metadata.exif
    words = (str(exif.get(name) or "").strip() for name in ("Make", "Model"))
    text = " ".join(filter(None, words))
    return "".join(character for character in text if character.isprintable())[:80]


def _demand(count: int, skipped: dict[str, str]) -> None:
    if count < LEAST_PHOTOGRAPHS:
        told = "; ".join(f"{Path(path).name}: {why}" for path, why in list(skipped.items())[:3])
        more = f" Not used: {told}." if told else ""
        raise InvalidInput(
            f"{count} photographs can be used, and {LEAST_PHOTOGRAPHS} are needed.{more}"
        )
