"""Decoders that remember on disk what they made, since a network takes longer than all the rest.

The maker sends the same part of a picture through a decoder whenever it meets it, so that after
one round through the pictures every answer is a file.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from bonafide.files import atomic_write
from bonafide.train.augment import Pixels
from bonafide.train.tampering import Decoder


class Remembered:
    """A decoder, and a folder with what it made, which processes may share.

    Args:
        decoder: uint8 H×W×3 RGB → the same.
        name: of the decoder and its weights; weights that change should change it.
        folder: gets a folder of that name.
    """

    def __init__(self, decoder: Decoder, name: str, folder: Path) -> None:
        self.decoder = decoder
        self.name = name
        self.folder = folder / name

    def __call__(self, pixels: Pixels) -> Pixels:
        """What the decoder makes of pixels, computed once; mapped from disk and read-only."""
        shape = "x".join(map(str, pixels.shape))
        digest = hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()[:32]
        file = self.folder / f"{digest}-{shape}.npy"
        if not file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(file) as partial, partial.open("wb") as stream:
                np.save(stream, self.decoder(pixels))
        twin: Pixels = np.load(file, mmap_mode="r", allow_pickle=False)
        return twin
