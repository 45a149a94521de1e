"""Lay clips side by side and forge the face of one of them: a test of who is named, and when.

    python tools/side_by_side.py A.mp4 B.mp4 C.mp4 --forge 2 --out three.mp4
    python tools/side_by_side.py A.mp4 --forge 1 --from 3 --to 6 --out part.mp4

    python tools/side_by_side.py A.mp4 --forge 1 --kind swap --donor B.mp4 --out swap.mp4

How a face is forged stands in `fit_face_contrast.py`: blended into itself, through a low
resolution, or put in from another clip; one mask and one style for the whole stretch, as a face
swap leaves them.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

import fit_face_contrast
from bonafide.media.sampling import Sampling
from bonafide.media.source import open_media
from bonafide.networks.faces import find_faces

Pixels = NDArray[np.uint8]


def main() -> None:
    """Write the clip."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--forge", type=int, default=0, help="which clip, from 1; 0 for none")
    parser.add_argument("--from", dest="start", type=float, default=0.0)
    parser.add_argument("--to", dest="end", type=float, default=math.inf)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--fps", type=int, default=10)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kind", choices=fit_face_contrast.KINDS, default="self")
    parser.add_argument("--donor", type=Path, help="clip whose face is put in, for swap")
    parser.add_argument("--crf", type=int, default=23)
    args = parser.parse_args()
    if args.forge and args.kind == "swap" and not args.donor:
        parser.error("--kind swap needs --donor")
    reels = [list(reel(clip, args.fps, args.seconds, args.height)) for clip in args.clips]
    if args.forge:
        whole = reels[args.forge - 1]
        first, last = (min(len(whole), round(at * args.fps)) if at < math.inf else len(whole)
                       for at in (args.start, args.end))  # fmt: skip
        donor = list(reel(args.donor, args.fps, 3.0, args.height)) if args.donor else []
        whole[first:last] = forged(whole[first:last], args.kind, donor, args.seed)
    options = {"crf": str(args.crf)}
    with av.open(str(args.out), "w") as container:
        stream = None
        for shown in zip(*reels, strict=False):
            picture = np.concatenate(shown, axis=1)
            picture = np.ascontiguousarray(picture[:, : picture.shape[1] // 2 * 2])
            if stream is None:
                stream = container.add_stream("libx264", rate=args.fps, options=options)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        if stream is not None:
            container.mux(stream.encode())


def reel(clip: Path, fps: int, seconds: float, height: int) -> Iterator[Pixels]:
    """Frames of a clip, or one picture again and again, of one height."""
    media = open_media(clip)
    if media.video is None or media.image is not None:
        still = scaled(np.asarray(media.image.pixels), height)  # type: ignore[union-attr]
        for _ in range(round(seconds * fps)):
            yield still
        return
    count = round(seconds * fps)
    for frame in media.video.frames(Sampling(fps=float(fps), max_kept=count)):
        yield scaled(frame.pixels, height)


def scaled(pixels: Pixels, height: int) -> Pixels:
    """The middle of a frame, as high as wide at most, at a height."""
    rows, columns = pixels.shape[:2]
    left = max(0, (columns - rows) // 2)
    square = np.ascontiguousarray(pixels[:, left : left + rows])
    width = round(square.shape[1] * height / rows) // 2 * 2
    return np.asarray(cv2.resize(square, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def forged(frames: list[Pixels], kind: str, donor: list[Pixels], seed: int) -> list[Pixels]:
    """Frames with their largest face forged, one mask and one style throughout."""
    target, places = _largest(frames)
    source, _ = _largest(donor)
    made = fit_face_contrast.forged(
        kind, target, source if source[0] else None, np.random.default_rng(seed)
    )
    done = list(frames)
    for place, frame in zip(places, made, strict=True):
        done[place] = frame
    return done


def _largest(frames: list[Pixels]) -> tuple[fit_face_contrast.Stretch, list[int]]:
    """Frames in which a face is found, its landmarks, and which frames these are."""
    found = [(number, find_faces(frame)) for number, frame in enumerate(frames)]
    kept = [(number, max(faces, key=lambda one: one.width)) for number, faces in found if faces]
    stretch = [frames[number] for number, _ in kept], [face.landmarks for _, face in kept]
    return stretch, [number for number, _ in kept]


if __name__ == "__main__":
    main()
