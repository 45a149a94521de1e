"""Time the examination of sound and print a table: real-time factor and peak memory by length.

    python tools/speed_sound.py [--minutes 1,10,60] [--sound speech.wav]

Each length is examined in a fresh process with one thread. The sound is synthetic babble in a WAV
file, all of it speech to the detector of speech; or that of a file, which is cut or begun again to
have the length. Times are those of the processor, so that other
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
import json, sys, time
from pathlib import Path
from bonafide import Settings, examine
from bonafide.media.limits import Limits
began = time.process_time()
report = examine(sys.argv[1], Settings(threads=1, limits=Limits(seconds=3600)))
spent = time.process_time() - began
# Of this program alone; what getrusage tells counts the process that started it, too.
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps({"spent": spent, "peak": int(status["VmHWM"].split()[0]) / 1024}))
"""


def write(path: Path, minutes: float, sound: Path | None) -> None:
    """A WAV of 16 kHz, 16 bits: a minute of babble, or the sound of a file, as often as needed."""
    import numpy as np

    from bonafide.media.source import open_media
    from bonafide.testing.sounds import RATE, babble

    given = babble(60.0) if sound is None else np.zeros(0, np.float32)
    if sound is not None:
        track = open_media(sound).audio
        assert track is not None, f"{sound} has no sound"
        given = np.concatenate([window.samples for window in track.windows(RATE, 10.0)])
    data = np.rint(given.clip(-1, 1) * 32767).astype("<i2").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        left = int(minutes * 60 * RATE) * 2
        while left > 0:
            file.writeframes(data[:left])
            left -= len(data)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", default="1,10,60")
    parser.add_argument("--sound", type=Path, help="real speech, in place of babble")
    options = parser.parse_args()
    environment = {**os.environ, "BONAFIDE_THREADS": "1", "OMP_NUM_THREADS": "1"}
    print("| minutes of sound | processor s | real-time factor | peak memory, MiB |")
    print("|---|---|---|---|")
    for minutes in map(float, options.minutes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sound.wav"
            write(path, minutes, options.sound)
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
