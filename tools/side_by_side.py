"""Lay clips side by side and forge the face of one of them: a test of who is named, and when.

    python tools/side_by_side.py A.mp4 B.mp4 C.mp4 --forge 2 --out three.mp4
    python tools/side_by_side.py A.mp4 --forge 1 --from 3 --to 6 --out part.mp4

The face is blended into itself (see `bonafide.train.self_blended`) with one mask and one change of
style for the whole clip, as a face swap leaves them.
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

from bonafide.media.sampling import Sampling
from bonafide.media.source import open_media
from bonafide.networks.faces import TEMPLATE, align, find_faces, similarity
from bonafide.subjects.faces import CROP_MARGIN, CROP_SIDE
from bonafide.train.self_blended import self_blended

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
    args = parser.parse_args()
    reels = [reel(clip, args.fps, args.seconds, args.height) for clip in args.clips]
    with av.open(str(args.out), "w") as container:
        stream = None
        for number, frames in enumerate(zip(*reels, strict=False)):
            shown = list(frames)
            if args.forge and args.start <= number / args.fps < args.end:
                shown[args.forge - 1] = forged(shown[args.forge - 1], args.seed)
            picture = np.concatenate(shown, axis=1)
            picture = np.ascontiguousarray(picture[:, : picture.shape[1] // 2 * 2])
            if stream is None:
                stream = container.add_stream("libx264", rate=args.fps, options={"crf": "18"})
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


def forged(frame: Pixels, seed: int) -> Pixels:
    """A frame with its largest face blended into itself."""
    found = find_faces(frame)
    if not found:
        return frame
    face = max(found, key=lambda one: one.width)
    crop = align(frame, face.landmarks, CROP_SIDE, CROP_MARGIN)
    # The same draws for every frame: one mask, one change of style.
    fake, genuine = self_blended(crop, CROP_MARGIN, np.random.default_rng(seed))
    change = fake.astype(np.float32) - genuine
    target = ((TEMPLATE - 0.5) / CROP_MARGIN + 0.5) * CROP_SIDE
    back = cv2.invertAffineTransform(similarity(face.landmarks, target))
    size = (frame.shape[1], frame.shape[0])
    moved = cv2.warpAffine(change, back, size, flags=cv2.INTER_LINEAR)
    return np.clip(np.rint(frame + moved), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
