"""Time bonafide on a 12-megapixel JPEG and print a table.

    python tools/speed.py [--pixels 12] [--repeat 5]

Decode time is Pillow's, best of the repeats, in the same process; each profile is timed in a fresh
process with warm imports, best of the repeats, and once more as a command from a cold start, with
the memory of its largest process. Compiled modules are kept, as on a user's machine.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from bonafide import Profile, Settings, examine
from bonafide.types import Finding


def photograph(megapixels: float) -> bytes:
    """A JPEG at quality 92 with smooth areas, edges and noise, as a photograph has."""
    height = int((megapixels * 1e6 * 3 / 4) ** 0.5) // 16 * 16
    width = height * 4 // 3
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    scene = 128 + 60 * np.sin(x / 97) * np.cos(y / 143) + 30 * ((x // 211 + y // 173) % 2)
    pixels = np.empty((height, width, 3), np.uint8)
    for channel in range(3):
        noisy = scene * (0.8 + 0.1 * channel) + random.normal(0, 3, scene.shape)
        pixels[..., channel] = np.clip(noisy, 0, 255)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def best(repeat: int, function: Callable[[], object]) -> float:
    """Smallest wall time of `repeat` calls, seconds."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)


def command(path: Path, profile: Profile) -> tuple[float, float]:
    """Wall seconds of `bonafide PATH`, and the MiB that its largest process held."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    words = [sys.executable, "-m", "bonafide", str(path), "--profile", profile.value]
    began = time.perf_counter()
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, env=environment) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return seconds, used.ru_maxrss / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pixels", type=float, default=12.0, help="megapixels")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    data = photograph(options.pixels)
    decode = best(options.repeat, lambda: Pillow.open(io.BytesIO(data)).convert("RGB").load())
    print(f"{options.pixels:g} megapixels, {len(data) / 1e6:.1f} MB")
    print(f"{'plain decode (Pillow)':32s} {decode:7.3f} s")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photograph.jpg"
        path.write_bytes(data)
        for profile in (Profile.TRIAGE, Profile.STANDARD, Profile.THOROUGH):
            settings = Settings(profile=profile)
            repeat = options.repeat if profile is Profile.TRIAGE else 2
            examine(data, settings)
            warm = best(repeat, lambda settings=settings: examine(path, settings))  # type: ignore[misc]
            print(f"{'examine, ' + profile.value:32s} {warm:7.3f} s  {warm / decode:6.1f} × decode")
            seconds, peak = zip(*(command(path, profile) for _ in range(repeat)), strict=True)
            cold = min(seconds)
            print(
                f"{'command, ' + profile.value:32s} {cold:7.3f} s  {cold / decode:6.1f} × decode, "
                f"at most {max(peak):.0f} MiB"
            )
        report = examine(path, Settings(profile=Profile.THOROUGH, threads=1))
        slowest: list[Finding] = sorted(report.findings, key=lambda finding: -finding.seconds)
        for finding in slowest:
            print(f"  {finding.detector:30s} {finding.seconds:7.3f} s alone on one core")
    start = [sys.executable, "-m", "bonafide", "--help"]
    times = []
    for _ in range(10):
        began = time.perf_counter()
        subprocess.run(start, capture_output=True, check=True)
        times.append(time.perf_counter() - began)
    print(f"{'bonafide --help':32s} {statistics.median(times):7.3f} s")


if __name__ == "__main__":
    main()
