"""A stretch of time in which the face of a person is another than in the rest of the same track.

Every track is compared with itself alone, so that camera, codec, light and the person cancel. Two
series are looked at: how the texture of the face, against that of its surroundings, moves in the
direction in which it moves when faces are forged; and how unlike the person the face is by the
recogniser's vectors. A stretch counts where its mean stands farther above the rest than in any
genuine clip that was measured (see `docs/video-and-sound.md`).

Sources: A. B. Olshen et al., "Circular binary segmentation", Biostatistics 5, 2004; R. A. Fisher,
"The use of multiple measurements in taxonomic problems", Annals of Eugenics 7, 1936 (direction).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonafide.networks import runtime
from bonafide.signals.stretches import LEAST, Stretch, highest_stretch
from bonafide.subjects.faces import Face, Faces

NETWORK = "face_contrast"
# Standard errors from which a stretch is told, and the least noise that is assumed.
TEXTURE, TEXTURE_NOISE = 14.0, 0.5
IDENTITY, IDENTITY_NOISE = 20.0, 0.01
UNLIKE = 0.15  # cosine by which another face is less like the rest, at least


@dataclass(frozen=True)
class Change:
    """A stretch in which a face differs from the rest of its track.

    Attributes:
        what: "identity", "texture", or "scores" of a detector.
        stretch: from when to when, and how it stands out.
    """

    what: str
    stretch: Stretch

    def sentence(self, subject: str) -> str:
        """What it is, for people."""
        start, end = self.stretch.start, self.stretch.end
        if self.what == "scores":
            inside, outside = self.stretch.inside, self.stretch.outside
            return (
                f"From {start:.1f} s to {end:.1f} s the scores of {subject} are higher than in the "
                f"rest ({inside:+.2f} against {outside:+.2f})."
            )
        if self.what == "identity":
            inside, outside = 1 - self.stretch.inside, 1 - self.stretch.outside
            return (
                f"From {start:.1f} s to {end:.1f} s {subject} has another face than in the rest "
                f"(likeness to the rest {inside:.2f}, elsewhere {outside:.2f})."
            )
        return (
            f"From {start:.1f} s to {end:.1f} s the face of {subject} has another texture than in "
            f"the rest, as forged faces have ({self.stretch.distance:.0f} standard errors, "
            f"{TEXTURE:.0f} are told)."
        )


def change_within(
    faces: Faces, chosen: Sequence[Face], features: NDArray[np.float32]
) -> Change | None:
    """The change of a track that stands out most within one shot.

    A cut changes camera and light, so no stretch is looked for across one.

    Args:
        faces: of the media.
        chosen: faces of one person, by time.
        features: of each, float32 n×1×1088.

    Raises:
        WeightsError: the network cannot be opened.
    """
    found = []
    times = np.array([face.seconds for face in chosen])
    vectors = np.stack([face.vector for face in chosen])
    for shot in faces.shots:
        inside = (times >= shot.start) & (times <= shot.end)
        change = change_of(times[inside], features[inside], vectors[inside])
        if change is not None:
            found.append(change)
    return max(found, key=lambda one: one.stretch.distance, default=None)


def change_of(
    times: NDArray[np.float64], features: NDArray[np.float32], vectors: NDArray[np.float32]
) -> Change | None:
    """The stretch that stands out most in identity, else in texture; None where none does.

    Args:
        times: (n,) seconds, rising.
        features: float32 n×1×1088, from `networks.regions.region_differences`.
        vectors: float32 n×128 of unit length, from `networks.faces.embed`.

    Raises:
        WeightsError: the network cannot be opened.
    """
    if len(times) < 2 * LEAST:
        return None
    middle = np.median(vectors, axis=0).astype(np.float64)
    unlike = 1 - vectors @ (middle / max(float(np.linalg.norm(middle)), 1e-9))
    found = highest_stretch(times, unlike, IDENTITY, IDENTITY_NOISE)
    if found is not None and found.inside - found.outside >= UNLIKE:
        return Change("identity", found)
    tokens = np.ascontiguousarray(features, np.float32)
    contrast = runtime.session(NETWORK).run(tokens=tokens)["contrast"].ravel().astype(np.float64)
    found = highest_stretch(times, contrast, TEXTURE, TEXTURE_NOISE)
    return None if found is None else Change("texture", found)
