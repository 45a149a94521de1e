"""A face whose texture differs from that of its surroundings.

What it looks for
    How the face, and the border of the face, differ from the hair, the neck and the background in
    sharpness and texture: a face that was put into a picture, or drawn anew, has pixels of another
    origin than what is around it.

Why it works
    The first blocks of a small convolutional network describe texture from place to place. The
    differences between regions cancel what the whole picture shares: camera, codec, light. A plane
    through them was fitted on genuine faces blended into themselves after a slight change of
    colour, sharpness and shape, and on forged ones.

When it fails
    On strong compression, which smooths face and surroundings alike; on faces that were made whole
    by a generator together with their surroundings (another question); on careful swaps at high
    resolution; where the background is out of focus, or make-up, glasses and beards make a border
    of their own.

How to read it
    The score rises from -1, genuine, to 1, forged. It is weak evidence: figures stand in its model
    card. Look at the named person and at the frames with the highest scores.

Reference
    K. Shiohara, T. Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022 (forged
    faces from genuine ones); M. Tan, Q. V. Le, "EfficientNet", ICML 2019 (features).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import WeightsError
from bonafide.media.context import Context
from bonafide.networks.faces import FINDER, RECOGNISER
from bonafide.networks.regions import NETWORK, face_view, region_differences
from bonafide.subjects.changes import NETWORK as CONTRAST
from bonafide.subjects.changes import change_within
from bonafide.subjects.faces import FACES, Face, face_crop
from bonafide.subjects.persons import FACTS, probed
from bonafide.types import Card, Failed, Kind, Measured, Needs, Question

CARD = Card(
    id="face_probe",
    version="1",
    question=Question.FACE_FORGED,
    title="A face unlike its surroundings",
    kinds=(Kind.IMAGE, Kind.VIDEO),
    needs=Needs(min_side=64, min_faces=1),
    cost=0.3,
    facts=FACTS,
    networks=(NETWORK, CONTRAST, FINDER, RECOGNISER),
    paper="This project, 2026; see the model card of face_probe in MODELS.md",
    licence="MIT (weights of YuNet), Apache-2.0 (EfficientNet-Lite0, SFace and the plane)",
    training_data="728 bona fide files with faces of 57 origins, each also blended into itself, "
    "and 138 forged ones of 18 origins; listed in data/training_faces.csv of the repository",
    limits="On origins left out of training the AUC is 0.81 (0.63 to 0.91 over origins) by file "
    "and by frame. Part of that is the codec: within FaceForensics++ at strong compression, "
    "where genuine and forged clips are alike, it is 0.64. A face blended into itself by hand is "
    "seldom found (0.60). With 44 bona fide sources it cannot accuse.",
)


class Detector:
    """Differences between regions of each face, and one linear layer."""

    def measure(self, ctx: Context) -> Measured:
        """Return measurements of the media, of each person, and of each face of a video."""
        try:
            what = "score of a forged face"
            return probed(ctx.get(FACES), CARD.id, _differences, what, change_within)
        except WeightsError as error:
            return Failed(error.why)


def _differences(face: Face) -> NDArray[np.float32]:
    return region_differences(face_view(face_crop(face))[None])
