"""How well the offset between lips and sound is found on clips whose sound was shifted.

    python tools/lip_offsets.py MANIFEST [--kept FOLDER] [--seconds 10]

MANIFEST has the columns path, label and repo or origin. Genuine clips are measured as they are and
with the sound shifted by 200 and 400 ms both ways; the truth of a clip as it is counts as 0 ms. The
right sentence is compared with those of clips of other sources. Other clips are measured as they
are. FOLDER keeps the mouths, so that a further run is fast.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from pathlib import Path

import numpy as np

from bonafide.bench.metrics import roc_auc
from bonafide.errors import MediaError
from bonafide.media.source import open_media
from bonafide.signals import lips
from bonafide.signals.speech import RATE
from bonafide.subjects.mouths import mouths_of
from bonafide.subjects.speech import find_speech

SHIFTS = (-0.4, -0.2, 0.0, 0.2, 0.4)
LEAST = 60  # frames of a mouth


def clip(path: Path, seconds: float, kept: Path | None) -> dict[str, np.ndarray] | None:
    """Times, opening, loudness and start of a clip; None where there is no mouth or no speech."""
    name = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    if kept is not None and (kept / f"{name}.npz").exists():
        with np.load(kept / f"{name}.npz") as found:
            return dict(found) if len(found["times"]) >= LEAST else None
    media = open_media(path)
    if media.video is None or media.audio is None or find_speech(media.audio).out_of_scope:
        return None
    mouths = mouths_of(media.video, 0.0, min(media.video.duration, seconds))
    mouth = max(mouths, key=lambda one: len(one.times), default=None)
    window = next(media.audio.windows(RATE, seconds + 2.0), None)
    if mouth is None or window is None:
        return None
    found = {"times": mouth.times, "opened": lips.opening(mouth.crops),
             "loud": lips.loudness(window.samples), "start": np.array(window.start)}  # fmt: skip
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        np.savez(kept / f"{name}.npz", **found)
    return found if len(mouth.times) >= LEAST else None


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--kept", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    with options.manifest.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row.get("task", "") == "audiovisual"]
    genuine = []
    for row in rows:
        try:
            found = clip(options.manifest.parent / row["path"], options.seconds, options.kept)
        except MediaError:
            continue
        if found is None:
            continue
        if row["label"] == "bona_fide":
            genuine.append((row.get("origin") or row["repo"], found))
            continue
        offset, best = lips.peak(
            lips.agreement(found["times"], found["opened"], found["loud"], float(found["start"]))
        )
        name = Path(row["path"]).name
        print(f"{row['generator']}, {name}: {1000 * offset:+.0f} ms, correlation {best:.2f}")
    errors, right, wrong = [], [], []
    for source, one in genuine:
        measured = []
        for shift in SHIFTS:
            start = float(one["start"]) + shift
            curve = lips.agreement(one["times"], one["opened"], one["loud"], start)
            offset, best = lips.peak(curve)
            measured.append(1000 * abs(offset - shift))
            if shift == 0:
                right.append(best)
        errors.append(measured)
        for other, two in genuine:
            if other != source and len(two["loud"]) / 100 > 0.9 * len(one["times"]) / lips.FPS:
                start = float(one["times"][0]) - 0.3
                curve = lips.agreement(one["times"], one["opened"], two["loud"], start)
                wrong.append(lips.peak(curve)[1])
    error, best = np.array(errors), np.array(right)
    print("| correlation from | clips | median error, ms | within 60 ms | other sentences |")
    print("|---|---|---|---|---|")
    for least in (-1.0, 0.3, 0.4):
        kept = best >= least
        near, chance = (error[kept] <= 60).mean(), (np.array(wrong) >= least).mean()
        middle = np.median(error[kept])
        print(f"| {max(least, 0):.1f} | {kept.sum()} | {middle:.0f} | {near:.0%} | {chance:.0%} |")
    truth = np.arange(len(right) + len(wrong)) < len(right)
    area = roc_auc(truth, np.array(right + wrong))
    print(f"AUC of the right sentence against {len(wrong)} others: {area:.3f}")


if __name__ == "__main__":
    main()
