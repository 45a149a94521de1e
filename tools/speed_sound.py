"""Time the examination of sound and print a table: real-time factor and peak memory by length.

    python tools/speed_sound.py [--minutes 1,10,60]

Each length is examined in a fresh process with one thread. The sound is synthetic babble in a WAV
file, all of it speech to the detector of speech. Times are those of the processor, so that other
processes do not count.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

EXAMINE = """
import json, resource, sys, time
from bonafide import Settings, examine
from bonafide.media.limits import Limits
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.process_time()
report = examine(sys.argv[1], Settings(threads=1, limits=Limits(seconds=3600)))
spent = time.process_time() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"spent": spent, "peak": peak / 1024, "before": before / 1024}))
"""


def write(path: Path, minutes: float) -> None:
    """A WAV of babble, 16 kHz, 16 bits, a minute that is repeated."""
    import numpy as np

    from bonafide.testing.sounds import RATE, babble

    minute = np.rint(babble(60.0) * 32767).astype("<i2").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        left = int(minutes * 60 * RATE) * 2
        while left > 0:
            file.writeframes(minute[:left])
            left -= len(minute)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", default="1,10,60")
    options = parser.parse_args()
    environment = {**os.environ, "BONAFIDE_THREADS": "1", "OMP_NUM_THREADS": "1"}
    print("| minutes of speech | processor s | real-time factor | peak memory, MiB |")
    print("|---|---|---|---|")
    for minutes in map(float, options.minutes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sound.wav"
            write(path, minutes)
            done = subprocess.run(
                [sys.executable, "-c", EXAMINE, str(path)],
                capture_output=True, text=True, check=True, env=environment,
            )  # fmt: skip
        found = json.loads(done.stdout)
        factor = found["spent"] / (60 * minutes)
        print(f"| {minutes:g} | {found['spent']:.1f} | {factor:.3f} | {found['peak']:.0f} |")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
