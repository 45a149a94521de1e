"""Train the small network that fills holes for `bonafide tamper --inpainter`.

    python tools/train_inpainter.py MANIFEST|DIR --out FILE.onnx [--steps 800] [--seed 0]

Bona fide pictures of a manifest, or all of a folder, are the material; one source in seven is held
out, and the ratio of signal to noise in holes of its pictures is printed beside that of OpenCV.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from bonafide.errors import MediaError
from bonafide.train import inpainting, originals
from bonafide.train.inpainting import Schedule
from bonafide.train.originals import Original, Pixels

SIDE = 192  # pixels of the squares that crops are drawn from
MEASURED = 64  # held-out pictures at most


def squares(pictures: list[Original], seed: int) -> list[Pixels]:
    """One square of every picture that is large enough and can be read."""
    found = []
    for picture in pictures:
        try:
            crop = originals.cut(picture, SIDE, seed)
        except MediaError as error:
            print(f"left out: {error}", file=sys.stderr)
        else:
            if crop:
                found.append(crop.pixels)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("where", type=Path, metavar="MANIFEST|DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.onnx")
    parser.add_argument("--steps", type=int, default=Schedule.steps)
    parser.add_argument("--per-source", type=int, default=60, help="pictures of one at most")
    parser.add_argument("--seed", type=int, default=Schedule.seed)
    given = parser.parse_args(arguments)
    schedule = Schedule(seed=given.seed, steps=given.steps)
    pictures = originals.spread(originals.find(given.where), given.per_source, given.seed)
    rest, held = originals.divide(pictures, 1 / 7, given.seed)
    started = time.perf_counter()
    network = inpainting.train(squares(rest, given.seed), schedule)
    seconds = time.perf_counter() - started
    inpainting.write(network, given.out)
    own, telea = inpainting.measured(network, squares(held[:MEASURED], given.seed), schedule)
    print(f"{given.out}: {own:.2f} dB in holes of held-out sources (Telea {telea:.2f} dB), "
          f"{given.steps} steps in {seconds:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
