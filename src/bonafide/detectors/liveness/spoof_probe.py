"""A face shown by a screen or a print instead of a person before the camera.

What it looks for
    The face with much of what is around it, 2.7 times as wide as the face: how the skin is lit, how
    sharp and how grainy it is, and whether the edge of a phone or a sheet of paper is in the
    picture.

Why it works
    A screen or a print is flat, has its own light, colours and grain, and was photographed twice.
    The first blocks of CLIP describe such textures and edges before the network names objects. A
    plane through them tells the two kinds of pictures apart on cameras that it was not fitted on.

When it fails
    It was fitted on webcams and telephones, nearly all attacks being screens: prints and masks
    were hardly seen, and high-quality replays that fill the picture score low. A picture that was
    saved again and again, or shrunk, loses what it reads.

How to read it
    The score rises from -1, live, to 1, an attack. It is asked for by `--liveness` alone, since it
    means nothing for a photograph of a photograph that nobody passes off as a live face.

Reference
    This project, 2026; the features: A. Radford et al., "Learning Transferable Visual Models From
    Natural Language Supervision", ICML 2021. Terms: ISO/IEC 30107-3, "Biometric presentation attack
    detection: Testing and reporting".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import WeightsError
from bonafide.media.context import Context
from bonafide.networks import probe
from bonafide.networks.clip import NETWORK, SIDE, square_view, tokens_of
from bonafide.networks.faces import FINDER, RECOGNISER
from bonafide.subjects.faces import FACES, Face, scene
from bonafide.subjects.persons import FACTS, probed
from bonafide.types import Card, Failed, Kind, Measured, Needs, Question

CARD = Card(
    id="spoof_probe",
    version="1",
    question=Question.SPOOFED,
    title="Looks like a screen or a print",
    kinds=(Kind.IMAGE, Kind.VIDEO),
    needs=Needs(min_side=64, min_faces=1),
    cost=0.4,
    facts=FACTS,
    networks=(NETWORK, FINDER, RECOGNISER),
    paper="This project, 2026; see the model card of spoof_probe in MODELS.md",
    licence="MIT (weights of CLIP and YuNet), Apache-2.0 (SFace and the plane)",
    training_data="230 pictures of attacks, nearly all of them screens, of 7 collections, and 258 "
    "live ones of 8; listed in data/training_liveness.csv of the repository",
    limits="On origins left out of training the AUC is 0.86 (0.73 to 0.96 over origins). At a "
    "threshold chosen on the other origins 24 % of the attacks pass (APCER) and 28 % of the live "
    "faces are refused (BPCER): HTER 0.26; single cameras do far worse. With 43 bona fide sources "
    "it cannot accuse.",
)


class Detector:
    """Class tokens of CLIP's early blocks of a face and its surroundings, one linear layer."""

    def measure(self, ctx: Context) -> Measured:
        """Return measurements of the media, of each person, and of each face of a video."""
        try:
            return probed(ctx.get(FACES), CARD.id, _tokens, "score of a presentation attack")
        except WeightsError as error:
            return Failed(error.why)


def _tokens(face: Face) -> NDArray[np.float32]:
    return tokens_of(square_view(scene(face, SIDE))[None], probe.blocks(CARD.id))
