"""Fit the direction in which a face changes while it is forged, against the rest of its own track.

    python tools/fit_face_contrast.py features MANIFEST.csv --out FOLDER
    python tools/fit_face_contrast.py fit FOLDER [--origin-out NAME] --out DIR

MANIFEST has the columns `path`, `origin` and `label`; bona fide videos with a face are used. Of
each, half a second is forged in three ways, frame by frame, and encoded with H.264 at CRF 23 or 28,
the genuine stretch alike:

- *swap*: the face of a clip of another origin, colours moved onto those of the target, blended with
  a soft border or by solving Poisson's equation;
- *low*: the face itself through 56 to 120 pixels and sharpened, as generators of low resolution do;
- *self*: the face blended into itself, see `bonafide.train.self_blended`.

What is fitted is how `networks.regions` moves from genuine to forged, whitened by how it moves
within tracks that do not change: w = (S + λI)⁻¹ d (Fisher 1936).
"""

from __future__ import annotations

import argparse
import csv
import io
import zlib
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from bonafide.media.sampling import Sampling
from bonafide.media.source import open_media
from bonafide.networks.faces import TEMPLATE, align, find_faces, similarity
from bonafide.networks.regions import face_view, region_differences
from bonafide.subjects.faces import CROP_MARGIN, CROP_SIDE
from bonafide.train.onnx_file import GraphWriter, save
from bonafide.train.self_blended import outline, self_blended, softened

FRAMES, READ = 12, (1, 4, 7, 10)
LONGEST = 360  # pixels
KINDS = ("swap", "low", "self")
Pixels = NDArray[np.uint8]
Stretch = tuple[list[Pixels], list[NDArray[np.float64]]]


def main() -> None:
    """Dispatch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    reads = verbs.add_parser("features")
    reads.add_argument("manifest", type=Path)
    reads.add_argument("--out", type=Path, required=True)
    fits = verbs.add_parser("fit")
    fits.add_argument("folder", type=Path)
    fits.add_argument("--penalty", type=float, default=1.0)
    fits.add_argument("--origin-out", default="")
    fits.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.verb == "features":
        features(args.manifest, args.out)
    else:
        fit(args.folder, args.penalty, args.origin_out, args.out)


def features(manifest: Path, out: Path) -> None:
    """Write one file of features for each clip."""
    out.mkdir(parents=True, exist_ok=True)
    with manifest.open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["label"] == "bona_fide"]
    random = np.random.default_rng(7)
    donor: tuple[str, Stretch] | None = None
    for index in random.permutation(len(rows)):
        path, origin = rows[index]["path"], rows[index]["origin"]
        found = stretch(manifest.parent / path)
        if found is None:
            continue
        seed = zlib.crc32(path.encode())
        crf = (23, 28)[seed % 2]
        kept = {"genuine": read(coded(found[0], crf))}
        for number, kind in enumerate(KINDS):
            other = donor[1] if donor and donor[0] != origin else None
            if kind != "swap" or other:
                made = forged(kind, found, other, np.random.default_rng((seed, number)))
                kept[kind] = read(coded(made, crf))
        np.savez(out / f"{seed:08x}.npz", origin=origin, crf=crf, **kept)
        donor = origin, found


def stretch(path: Path) -> Stretch | None:
    """Half a second around a face, and its landmarks; None where it is not always found."""
    media = open_media(path)
    if media.video is None:
        return None
    frames = []
    for frame in media.video.frames(Sampling(max_kept=200, max_decoded=200)):
        if frame.seconds >= 0.3:
            frames.append(frame.pixels)
        if len(frames) == FRAMES:
            break
    if len(frames) < FRAMES:
        return None
    ends = [find_faces(frames[number], (640,)) for number in (0, FRAMES // 2, FRAMES - 1)]
    if not all(ends):
        return None
    largest = [max(found, key=lambda face: face.width) for found in ends]
    side = 2.8 * max(max(face.width, face.height) for face in largest)
    if max(face.width for face in largest) < 48:
        return None
    x = float(np.mean([face.x + face.width / 2 for face in largest]))
    y = float(np.mean([face.y + face.height / 2 for face in largest]))
    left, top = max(0, int(x - side / 2)), max(0, int(y - side / 2))
    cut = [frame[top : int(y + side / 2), left : int(x + side / 2)] for frame in frames]
    scale = min(1.0, LONGEST / max(cut[0].shape[:2]))
    size = tuple(int(length * scale) // 2 * 2 for length in cut[0].shape[1::-1])
    cut = [np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA)) for one in cut]
    found = [find_faces(one, (640,)) for one in cut]
    if not all(found):
        return None
    return cut, [max(one, key=lambda face: face.width).landmarks for one in found]


def forged(
    kind: str, target: Stretch, donor: Stretch | None, random: np.random.Generator
) -> list[Pixels]:
    """The frames of a stretch with the face forged, one mask and one style throughout."""
    draw, low = int(random.integers(1 << 31)), int(random.integers(56, 120))
    sharper, poisson = random.uniform(0, 0.8), random.random() < 0.5
    mask = outline(CROP_SIDE, CROP_MARGIN, random)
    while mask.mean() < 0.12:  # the whole face
        mask = outline(CROP_SIDE, CROP_MARGIN, random)
    soft = softened(mask, random)[..., None]
    made = []
    for number, (frame, landmarks) in enumerate(zip(*target, strict=True)):
        face = align(frame, landmarks, CROP_SIDE, CROP_MARGIN)
        if kind == "self":
            fake, genuine = self_blended(face, CROP_MARGIN, np.random.default_rng(draw))
            change = fake.astype(np.float32) - genuine
        else:
            if kind == "swap":
                assert donor is not None
                place = number % len(donor[0])
                source = align(donor[0][place], donor[1][place], CROP_SIDE, CROP_MARGIN)
                source = recoloured(source, face, mask > 0)
            else:
                source = rendered(face, low, sharper)
            if kind == "swap" and poisson:
                rows, columns = np.nonzero(mask)
                ends = columns.min() + columns.max(), rows.min() + rows.max()
                middle = int(ends[0]) // 2, int(ends[1]) // 2
                blend = cv2.seamlessClone(
                    source, face, (mask * 255).astype(np.uint8), middle, cv2.NORMAL_CLONE
                ).astype(np.float32)
            else:
                blend = soft * source + (1 - soft) * face
            change = blend - face.astype(np.float32)
        made.append(put_back(frame, landmarks, change))
    return made


def recoloured(source: Pixels, target: Pixels, inside: NDArray[np.bool_]) -> Pixels:
    """Mean and spread of the target's colours, Reinhard 2001."""
    one, other = (cv2.cvtColor(p, cv2.COLOR_RGB2LAB).astype(np.float32) for p in (source, target))
    spread = (other[inside].std(0) + 1) / (one[inside].std(0) + 1)
    moved = (one - one[inside].mean(0)) * spread + other[inside].mean(0)
    return np.asarray(
        cv2.cvtColor(np.clip(moved, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB), np.uint8
    )


def rendered(face: Pixels, low: int, sharper: float) -> Pixels:
    """A face through a lower resolution, sharpened."""
    small = cv2.resize(face, (low, low), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, face.shape[1::-1], interpolation=cv2.INTER_CUBIC).astype(np.float32)
    large += sharper * (large - cv2.GaussianBlur(large, (0, 0), 2))
    return np.clip(large, 0, 255).astype(np.uint8)


def put_back(frame: Pixels, landmarks: NDArray[np.float64], change: NDArray[np.float32]) -> Pixels:
    """A frame with the change of its aligned face."""
    target = ((TEMPLATE - 0.5) / CROP_MARGIN + 0.5) * CROP_SIDE
    back = cv2.invertAffineTransform(similarity(landmarks, target))
    moved = cv2.warpAffine(change, back, frame.shape[1::-1], flags=cv2.INTER_LINEAR)
    return np.clip(np.rint(frame + moved), 0, 255).astype(np.uint8)


def coded(frames: list[Pixels], crf: int) -> list[Pixels]:
    """Frames after H.264."""
    out = io.BytesIO()
    options = {"crf": str(crf), "preset": "fast", "threads": "1"}
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    out.seek(0)
    with av.open(out, "r") as written:
        return [frame.to_ndarray(format="rgb24") for frame in written.decode(video=0)]


def read(frames: list[Pixels]) -> NDArray[np.float32]:
    """Region differences of some frames, float32 (n, 1088)."""
    crops = []
    for number in READ:
        found = find_faces(frames[number], (640,))
        if found:
            landmarks = max(found, key=lambda face: face.width).landmarks
            crops.append(face_view(align(frames[number], landmarks, CROP_SIDE, CROP_MARGIN)))
    return region_differences(np.stack(crops))[:, 0] if crops else np.empty((0, 1088), np.float32)


def fit(folder: Path, penalty: float, left_out: str, out: Path) -> None:
    """Write the direction as ONNX."""
    within, moves = [], []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as kept:
            if str(kept["origin"]) == left_out or not len(kept["genuine"]):
                continue
            tracks = {kind: kept[kind] for kind in ("genuine", *KINDS) if kind in kept.files}
        tracks = {kind: rows for kind, rows in tracks.items() if len(rows)}
        genuine = tracks["genuine"].mean(0)
        within += [rows - rows.mean(0) for rows in tracks.values()]
        moves += [rows.mean(0) - genuine for kind, rows in tracks.items() if kind != "genuine"]
    rows = np.concatenate(within).astype(np.float64)
    spread = rows.std(0) + 1e-6
    scaled = rows / spread
    covariance = scaled.T @ scaled / len(scaled) + penalty * np.eye(scaled.shape[1])
    direction = np.linalg.solve(covariance, np.mean(moves, axis=0) / spread) / spread
    direction /= np.median(np.abs(rows @ direction)) / 0.6745
    graph = GraphWriter()
    weight = graph.constant("direction", direction[:, None].astype(np.float32))
    graph.node("MatMul", ["tokens", weight], "contrast")
    path = out / "face_contrast-1.onnx"
    card = {
        "id": "face_contrast",
        "version": "1",
        "inputs": ["tokens"],
        "source": f"{len(moves)} forged and {len(within) - len(moves)} genuine stretches; "
        "tools/fit_face_contrast.py",
        "settings": {"penalty": penalty, "blocks": ["regions"]},
        "licence": "Apache-2.0",
    }
    save(graph_of(graph, scaled.shape[1]), path, card)
    print(path, len(moves), "changes")


def graph_of(graph: GraphWriter, size: int) -> object:
    """The graph with its input float32 (N, 1, size) and its output (N, 1, 1)."""
    from onnx import TensorProto, helper

    given = helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["N", 1, size])
    gives = helper.make_tensor_value_info("contrast", TensorProto.FLOAT, ["N", 1, 1])
    return helper.make_graph(graph.nodes, "face_contrast", [given], [gives], graph.constants)


if __name__ == "__main__":
    main()
