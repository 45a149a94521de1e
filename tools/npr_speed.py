"""Time NPR's ResNet in PyTorch next to detectors on whole pictures at native size.

    python tools/npr_speed.py [DETECTOR …] [--megapixels 1 4 12 50] [--threads 2] [--repeat 3]

Each pair of network and picture has a process of its own, so that its peak memory is its own too.
The pictures are made up (seed 0) and saved as JPEG at quality 92; reading and decoding them is not
timed, but counts towards the memory. NPR gets the whole picture at once, in float32, evaluation
and inference mode, with random weights, which do not change what it costs. A detector is loaded
by its id and runs as `bonafide` runs it. Seconds are the best of the repeats; on a machine that
is busy otherwise, compare the CPU seconds, which sum over threads.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

NPR = "npr (PyTorch)"


def write_picture(path: Path, megapixels: float) -> None:
    """A JPEG of 4:3 with smooth areas, edges and noise, as a photograph has."""
    import numpy as np
    from PIL import Image as Pillow

    height = int((megapixels * 1e6 * 3 / 4) ** 0.5) // 16 * 16
    width = height * 4 // 3
    random = np.random.default_rng(0)
    pixels = np.empty((height, width, 3), np.uint8)
    x = np.arange(width, dtype=np.float32)
    for y in range(height):
        row = 128 + 60 * np.sin(x / 97) * np.cos(y / 143) + 30 * ((x // 211 + y // 173) % 2)
        noisy = row[:, None] * (0.8, 0.9, 1.0) + random.normal(0, 3, (width, 3))
        pixels[y] = np.clip(noisy, 0, 255)
    Pillow.fromarray(pixels).save(path, "JPEG", quality=92)


def npr_runner(data: bytes, threads: int) -> Callable[[], tuple[float, float]]:
    """Wall and processor seconds that NPR's network takes, each time it is called."""
    import torch

    from bonafide.media.image import Image
    from bonafide.train.npr import Network

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = Network().eval()
    pixels = Image(data).pixels

    def infer() -> None:
        with torch.inference_mode():
            network(torch.tensor(pixels).permute(2, 0, 1)[None].float() / 255)

    return lambda: timed(infer)


def detector_runner(detector: str, data: bytes, threads: int) -> Callable[[], tuple[float, float]]:
    """Wall and processor seconds that a detector takes, each time it is called."""
    os.environ["BONAFIDE_THREADS"] = str(threads)
    from bonafide import registry
    from bonafide.media.context import Context
    from bonafide.media.source import open_media

    loaded = registry.load(detector)

    def run() -> tuple[float, float]:
        ctx = Context(open_media(data))  # anew each time, since detectors share signals on it
        _ = ctx.image.pixels
        return timed(lambda: loaded.measure(ctx))

    return run


def timed(function: Callable[[], object]) -> tuple[float, float]:
    """Wall seconds and processor seconds, summed over threads, of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - processor


def measure(name: str, picture: Path, threads: int, repeat: int) -> None:
    """Print the picture's megapixels, the best times and the peak memory, as JSON."""
    from PIL import Image as Pillow

    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[:threads])
    data = picture.read_bytes()
    with Pillow.open(picture) as opened:
        megapixels = opened.width * opened.height / 1e6
    run = npr_runner(data, threads) if name == NPR else detector_runner(name, data, threads)
    seconds, processor = (min(times) for times in zip(*(run() for _ in range(repeat)), strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mebibytes = peak / (1024**2 if sys.platform == "darwin" else 1024)
    print(json.dumps([megapixels, seconds, processor, mebibytes]))


def in_its_own_process(*arguments: object) -> list[float] | None:
    """What this file prints when called with `arguments`; None where it fails."""
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1:] or [f"ended by signal {-done.returncode}"]
        print(f"  {arguments[1]}: {why[0]}", file=sys.stderr)
        return None
    printed = done.stdout.strip()
    result: list[float] | None = json.loads(printed.splitlines()[-1]) if printed else None
    return result


def main() -> None:
    """Print the table, or do the part of it that a child process was started for."""
    if sys.argv[1:2] == ["--write"]:
        write_picture(Path(sys.argv[2]), float(sys.argv[3]))
        return
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detectors", nargs="*", metavar="DETECTOR")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1, 4, 12, 50])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    heads = ("megapixels", "seconds", "CPU seconds", "megapixels/s", "peak MiB")
    print(f"{'':28s}" + "".join(f"{head:>14s}" for head in heads))
    with tempfile.TemporaryDirectory() as folder:
        for megapixels in options.megapixels:
            picture = Path(folder) / f"{megapixels:g}.jpg"
            in_its_own_process("--write", picture, megapixels)
            for name in (NPR, *options.detectors):
                found = in_its_own_process(
                    "--measure", name, picture, options.threads, options.repeat
                )
                if found is None:
                    print(f"{name:28s}{megapixels:14.1f}{'failed':>14s}", flush=True)
                    continue
                pixels, seconds, processor, mebibytes = found
                print(
                    f"{name:28s}{pixels:14.1f}{seconds:14.3f}{processor:14.3f}"
                    f"{pixels / seconds:14.2f}{mebibytes:14.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
