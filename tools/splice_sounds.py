"""Make spliced recordings whose splices are known, and see which of them are found.

    python tools/splice_sounds.py make MANIFEST DEST [--most 2] [--half 0|1] [--bases 100]
    python tools/splice_sounds.py measure DEST/manifest.csv [--out SCORES.csv] [--most-files 500]

MANIFEST is one for `bonafide probe voice-features`; its bona fide recordings of 6 s and more are
cut to 20 s, at most `--most` of an origin. From each come, in every channel of `CHANNELS`:

    untouched       nothing was done
    word out        a word is missing, cut where it is quiet, ends faded over 2 ms
    hard cut        a piece is missing, cut anywhere
    word in         a word of another origin was put in, at the same loudness
    two joined      it goes on with a recording of another origin, at the same loudness
    word out, AAC   as `word out`, of a recording that had been kept as AAC at 48 kbit/s; likewise
                    `word out, MP3`, `word in, AAC` and `word in, MP3`
    word muted      the samples of a word are zero

DEST/manifest.csv has, per file, its path, kind, channel, origin and the times of its splices in
seconds. `--half` takes every second origin alone.

`measure` prints the share of splices that are found within 0.3 s, by kind and channel, and the
places that are marked per hour where there is no splice, by kind, channel and origin. A manifest
without a column `splices` is taken as one of untouched recordings.
"""

from __future__ import annotations

import argparse
import csv
import time
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from bonafide.detectors.speech.sound_splices import MARKED, Detector
from bonafide.errors import MediaError
from bonafide.media.context import Context
from bonafide.media.source import open_media
from bonafide.regions import Span
from bonafide.train.augment_sound import Sound, encoded, telephone

RATE = 16_000
LONGEST, SHORTEST = 20, 6  # seconds of a recording
FADE = RATE // 500
LOSSLESS = ("pcm", "flac", "alac")
# Name, encoder, suffix, samples per second, bits per second.
CHANNELS = (
    ("pcm", "pcm_s16le", "wav", 16_000, 0),
    ("mp3 64", "libmp3lame", "mp3", 16_000, 64_000),
    ("mp3 128", "libmp3lame", "mp3", 44_100, 128_000),
    ("aac 64", "aac", "aac", 44_100, 64_000),
    ("opus 16", "libopus", "ogg", 48_000, 16_000),
    ("telephone", "pcm_mulaw", "wav", 8_000, 0),
)


def write(path: Path, samples: Sound, codec: str, rate: int, bits: int) -> None:
    """Encode samples, 16,000 per second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(codec, rate=rate, layout="mono")
        if bits:
            stream.bit_rate = bits
        context = stream.codec_context
        whole = np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16)
        given = av.AudioFrame.from_ndarray(whole[None], format="s16", layout="mono")
        given.sample_rate, given.time_base = RATE, Fraction(1, RATE)
        context.open()
        resampler = av.AudioResampler(
            context.format.name, "mono", rate, frame_size=context.frame_size or None
        )
        for frame in (*resampler.resample(given), *resampler.resample(None)):
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def quiet_points(samples: Sound) -> np.ndarray:
    """Samples at which the sound of 20 ms is quieter than all within 80 ms, in order."""
    hop = RATE // 100
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop)
    power = np.convolve((frames**2).mean(1), np.ones(3) / 3, "same")
    around = np.lib.stride_tricks.sliding_window_view(np.pad(power, 8, "edge"), 17).min(1)
    return np.flatnonzero(power <= around) * hop + hop // 2


def faded(first: Sound, second: Sound) -> Sound:
    """One after the other, faded into each other over 2 ms."""
    slope = np.linspace(0, 1, FADE, dtype=np.float32)
    middle = first[-FADE:] * (1 - slope) + second[:FADE] * slope
    return np.concatenate([first[:-FADE], middle, second[FADE:]])


def level(samples: Sound) -> float:
    """Root mean square of the loudest third."""
    hop = RATE // 50
    power = np.sort((samples[: len(samples) // hop * hop].reshape(-1, hop) ** 2).mean(1))
    return float(np.sqrt(power[-len(power) // 3 :].mean() + 1e-12))


def a_word(samples: Sound, random: np.random.Generator) -> tuple[int, int]:
    """First and last sample of a spoken piece of 0.35 to 1.2 s between quiet points."""
    points = quiet_points(samples)
    hop = RATE // 50
    usual = level(samples)
    found = [
        (one, two)
        for one in points
        for two in points
        if 0.35 * RATE <= two - one <= 1.2 * RATE
        and one > 2 * RATE
        and two < len(samples) - 2 * RATE
        and level(samples[one : two + hop]) > usual / 4
    ]
    if not found:
        raise ValueError("no word")
    one, two = found[int(random.integers(len(found)))]
    return int(one), int(two)


def spliced(
    kind: str, base: Sound, other: Sound, random: np.random.Generator
) -> tuple[Sound, list[float]]:
    """A spliced sound, and when its splices are, seconds."""
    other = other * np.float32(level(base) / max(level(other), 1e-6))
    if kind == "untouched":
        return base, []
    if kind.endswith("AAC"):
        base = encoded(base, "aac", "adts", RATE, 48_000)
    if kind.endswith("MP3"):
        base = encoded(base, "libmp3lame", "mp3", RATE, 48_000)
    if kind.startswith("word out"):
        one, two = a_word(base, random)
        return faded(base[:one], base[two:]), [one / RATE]
    if kind == "word muted":
        one, two = a_word(base, random)
        return np.concatenate([base[:one], np.zeros(two - one, np.float32), base[two:]]), [
            one / RATE,
            two / RATE,
        ]
    if kind == "hard cut":
        one = int(random.uniform(0.3, 0.6) * len(base))
        two = one + int(random.uniform(0.3, 1.2) * RATE)
        return np.concatenate([base[:one], base[two:]]), [one / RATE]
    if kind.startswith("word in"):
        one, two = a_word(other, random)
        points = quiet_points(base)
        points = points[(points > 2 * RATE) & (points < len(base) - 2 * RATE)]
        at = int(points[int(random.integers(len(points)))])
        made = faded(faded(base[:at], other[one:two]), base[at:])
        return made, [at / RATE, (at + two - one) / RATE]
    points = quiet_points(base)
    at = int(points[np.argmin(np.abs(points - 0.6 * len(base)))])
    start = int(quiet_points(other)[1])
    return faded(base[:at], other[start : start + 8 * RATE]), [at / RATE]


KINDS = (
    "untouched",
    "word out",
    "hard cut",
    "word in",
    "two joined",
    "word out, AAC",
    "word out, MP3",
    "word in, AAC",
    "word in, MP3",
    "word muted",
)


def recordings(
    manifest: Path, most: int, half: int | None, bases: int
) -> list[tuple[str, str, Sound]]:
    """Origin, path and samples of the recordings that are long enough."""
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] == "bona_fide"]
    rows.sort(key=lambda row: zlib.crc32(row["path"].encode()))
    taken: dict[str, int] = {}
    found = []
    for row in rows:
        origin = row["origin"]
        if half is not None and zlib.crc32(origin.encode()) % 2 != half:
            continue
        if taken.get(origin, 0) >= most or len(found) == bases:
            continue
        try:
            track = open_media(manifest.parent / row["path"]).audio
            if track is None or not track.codec.startswith(LOSSLESS):
                continue
            samples = next(track.windows(RATE, LONGEST)).samples
            if len(samples) < SHORTEST * RATE:
                continue
            a_word(samples, np.random.default_rng(0))
        except (MediaError, StopIteration, ValueError):
            continue
        taken[origin] = taken.get(origin, 0) + 1
        found.append((origin, row["path"], samples))
    return found


def make(options: argparse.Namespace) -> None:
    """Write the files and their manifest."""
    bases = recordings(options.manifest, options.most, options.half, options.bases)
    rows = []
    for number, (origin, path, base) in enumerate(bases):
        random = np.random.default_rng(zlib.crc32(path.encode()))
        others = [one for one in bases if one[0] != origin]
        for kind in KINDS:
            _, _, other = others[int(random.integers(len(others)))]
            try:
                made, times = spliced(kind, base, other, random)
            except ValueError:
                continue
            for channel, codec, suffix, rate, bits in CHANNELS:
                if channel not in options.channels.split(","):
                    continue
                passed = telephone(made) if channel == "telephone" else made
                name = f"{channel}/{kind}/{number}.{suffix}".replace(" ", "-").replace(",", "")
                write(options.dest / name, passed, codec, rate, bits)
                told = " ".join(f"{at:.3f}" for at in times)
                rows.append({"path": name, "kind": kind, "channel": channel, "origin": origin,
                             "splices": told, "seconds": f"{len(made) / RATE:.2f}"})  # fmt: skip
    with (options.dest / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} files of {len(bases)} recordings, {len({one[0] for one in bases})} origins")


def measure(options: argparse.Namespace) -> None:
    """Ask the detector about every file, and print the tables."""
    began = time.monotonic()
    with options.manifest.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row.get("label") in (None, "bona_fide")]
    rows.sort(key=lambda row: zlib.crc32(row["path"].encode()))
    told: list[dict[str, Any]] = []
    for row in rows[: options.most_files]:
        if told and options.seconds and time.monotonic() - began > options.seconds:
            break  # rows come in an order that is as good as random
        try:
            found = Detector().measure(Context(open_media(options.manifest.parent / row["path"])))
        except MediaError:
            continue
        if not isinstance(found, list):
            continue
        marked = [one for one in found[1:] if one.score >= options.from_score]
        spans = [one.where.span for one in marked]
        truth = [float(one) for one in row.get("splices", "").split()]
        hit = [any(_near(one, span) for span in spans) for one in truth]
        false = [span for span in spans if not any(_near(one, span) for one in truth)]
        told.append({
            "path": row["path"], "origin": row["origin"], "kind": row.get("kind", "untouched"),
            "channel": row.get("channel", ""), "splices": len(truth), "found": sum(hit),
            "false": len(false), "hours": found[0].facts["heard"] / 3600,
            "traces": " ".join(found[0].facts["traces"]), "score": found[0].score,
        })  # fmt: skip
    if options.out:
        with options.out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, told[0].keys())
            writer.writeheader()
            writer.writerows(told)
    for columns in (("kind", "channel"), ("kind",), ("channel",), ("origin",)):
        print("| " + " | ".join(columns) + " | files | hours | splices | found | false per hour |")
        print("|" + "---|" * (len(columns) + 5))
        groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for one in told:
            groups.setdefault(tuple(one[column] for column in columns), []).append(one)
        for names, group in sorted(groups.items()):
            hours = sum(one["hours"] for one in group)
            count, false = (sum(one[what] for one in group) for what in ("splices", "false"))
            share = f"{sum(one['found'] for one in group) / count:.0%}" if count else "–"
            print(f"| {' | '.join(names)} | {len(group)} | {hours:.2f} | {count} | {share} | "
                  f"{false / hours:.1f} ({false}) |")  # fmt: skip
        print()
    hit = sum(bool(one["traces"]) for one in told)
    print(f"{hit} of {len(told)} files with a marked place")


def _near(moment: float, span: Span) -> bool:
    """Whether a time lies within 0.3 s of a span's middle, or of its ends where it is long."""
    ends = (span.start, (span.start + span.end) / 2, span.end)
    return min(abs(moment - end) for end in ends) <= 0.3


def main() -> None:
    """Run a verb."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(required=True)
    making = verbs.add_parser("make")
    making.set_defaults(run=make)
    making.add_argument("manifest", type=Path)
    making.add_argument("dest", type=Path)
    making.add_argument("--most", type=int, default=2, help="recordings of an origin")
    making.add_argument("--half", type=int, choices=(0, 1), help="every second origin alone")
    making.add_argument("--bases", type=int, default=1000, help="recordings in all")
    making.add_argument("--channels", default=",".join(one[0] for one in CHANNELS))
    measuring = verbs.add_parser("measure")
    measuring.set_defaults(run=measure)
    measuring.add_argument("manifest", type=Path)
    measuring.add_argument("--out", type=Path)
    measuring.add_argument("--most-files", type=int, default=100_000)
    measuring.add_argument("--seconds", type=float, default=0.0, help="stop after so many")
    measuring.add_argument("--from-score", type=float, default=MARKED)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
