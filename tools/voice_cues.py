"""How well sample rate, length, codec, loudness and silence alone tell synthetic speech.

    python tools/voice_cues.py MANIFEST [--most 100000]

MANIFEST is one for `bonafide probe features --voices`. A random forest sees the cues of a file,
never its sound, and is asked about sources that it was not fitted on (eight folds). AUC as files
come, of the views that the probe reads, and of degraded views.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold

from bonafide.bench.labelled import read_labelled
from bonafide.bench.metrics import roc_auc
from bonafide.errors import MediaError
from bonafide.media.limits import Limits
from bonafide.media.source import open_media
from bonafide.signals.speech import RATE
from bonafide.subjects.speech import find_speech
from bonafide.train.augment_sound import Sound
from bonafide.train.probe_features import DEGRADED, WHOLE
from bonafide.train.voice_features import QUESTION, views

FRAME = RATE // 50  # samples in which silence is looked for
RAW = ("sample rate", "length", "codec", "level", "silence")
VIEWED = ("length", "level", "silence", "band")


def raw(path: str) -> list[float]:
    """Cues of a file as it comes."""
    track = open_media(path).audio
    assert track is not None
    speech = find_speech(track)
    codec = float(sum(map(ord, track.codec)))  # any number that tells codecs apart
    level = float(np.sqrt(np.mean(next(track.windows(RATE, 10.0)).samples ** 2)))
    return [track.sample_rate, speech.heard, codec, level, 1 - speech.seconds / speech.heard]


def viewed(samples: Sound) -> list[float]:
    """Cues of a view: seconds, level, share of quiet frames, frequency below which 99.5 % lie."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    levels = np.sqrt(np.mean(frames**2, axis=1))
    power = np.cumsum(np.abs(np.fft.rfft(samples)) ** 2)
    return [
        len(samples) / RATE,
        float(np.sqrt(np.mean(samples**2))),
        float(np.mean(levels < 0.05 * levels.max())),
        float(np.searchsorted(power, 0.995 * power[-1]) / len(power)),
    ]


def auc(cues: np.ndarray, truth: np.ndarray, sources: np.ndarray) -> float:
    """AUC of a forest on sources that it has not seen."""
    said = np.zeros(len(truth))
    folds = StratifiedGroupKFold(8, shuffle=True, random_state=0)
    for fitted, tested in folds.split(cues, truth, sources):
        forest = RandomForestClassifier(
            60, min_samples_leaf=5, class_weight="balanced", random_state=0
        )
        forest.fit(cues[fitted], truth[fitted])
        said[tested] = forest.predict_proba(cues[tested])[:, 1]
    return roc_auc(truth, said)


def main() -> None:
    """Print a line for each way to look at the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--most", type=int, default=100_000, help="files of a source")
    options = parser.parse_args()
    rows: dict[str, list[list[float]]] = {"as they come": [], WHOLE: [], DEGRADED: []}
    truth, sources = [], []
    for one in read_labelled([options.manifest], most=options.most):
        try:
            seen = views(Path(one.path), Limits())
        except MediaError:
            continue
        rows["as they come"].append(raw(one.path))
        for view in (WHOLE, DEGRADED):
            rows[view].append(viewed(seen[view][0]))
        truth.append(one.answers[QUESTION])
        sources.append(one.source)
    known, held = np.array(truth), np.array(sources)
    synthetic = int(known.sum())
    print(f"{synthetic} synthetic, {len(known) - synthetic} bona fide, {len(set(sources))} sources")
    for name, values in rows.items():
        cues = np.array(values)
        names = RAW if name == "as they come" else VIEWED
        each = ", ".join(
            f"{cue} {auc(cues[:, [at]], known, held):.3f}" for at, cue in enumerate(names)
        )
        print(f"{name}: all {auc(cues, known, held):.3f}; {each}", flush=True)


if __name__ == "__main__":
    main()
