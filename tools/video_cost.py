"""What a video costs: seconds of computing per second of video, and memory by its length.

    python tools/video_cost.py                      10 s of 720p, triage and standard
    python tools/video_cost.py --seconds 60 7200 --size 320x240 --fps 1 --profile standard

The clip is made on the spot: a photograph of a person that moves. Each examination runs in a
process of its own. CPU seconds do not depend on what else the machine does; memory is the peak of
the process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image as Pillow
from skimage import data

CODE = """
import json, resource, sys, time
from bonafide import Settings, examine
from bonafide.questions import Question
from bonafide.types import Profile
profile, clip, live = sys.argv[1:]
asked = (Question.SPOOFED,) if live == "True" else ()
began = time.monotonic()
report = examine(clip, Settings(profile=Profile(profile), asked=asked))
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "cpu": used.ru_utime + used.ru_stime, "wall": time.monotonic() - began,
    "mib": used.ru_maxrss / 1024, "by": {f.detector: f.seconds for f in report.findings},
}))
"""


def main() -> None:
    """Print a line per clip and profile."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, nargs="+", default=[10])
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--profile", nargs="+", default=["triage", "standard"])
    parser.add_argument("--liveness", action="store_true")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    print("| clip | profile | CPU s | CPU s per s of video | peak MiB | slowest |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for seconds in args.seconds:
            clip = Path(folder) / f"{seconds}.mp4"
            write(clip, seconds, args.fps, width, height)
            for profile in args.profile:
                done = subprocess.run(
                    [sys.executable, "-c", CODE, profile, str(clip), str(args.liveness)],
                    capture_output=True, text=True, check=True,
                )  # fmt: skip
                told = json.loads(done.stdout.splitlines()[-1])
                slow = sorted(told["by"].items(), key=lambda one: -one[1])[:3]
                names = ", ".join(f"{name} {spent:.1f}" for name, spent in slow)
                print(
                    f"| {seconds} s, {args.size}, {args.fps} fps | {profile} | {told['cpu']:.1f} | "
                    f"{told['cpu'] / seconds:.3f} | {told['mib']:.0f} | {names} |",
                    flush=True,
                )


def write(path: Path, seconds: int, fps: int, width: int, height: int) -> None:
    """A photograph of a person that moves."""
    side = height
    person = np.asarray(Pillow.fromarray(data.astronaut()).resize((side, side)))
    wide = np.zeros((height, width, 3), np.uint8)
    left = (width - side) // 2
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        frames = []
        for step in range(8):
            wide[:, left : left + side] = np.roll(person, 2 * step, axis=1)
            frames.append(
                av.VideoFrame.from_ndarray(wide, format="rgb24").reformat(format="yuv420p")
            )
        for number in range(seconds * fps):
            frame = frames[number % len(frames)]
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


if __name__ == "__main__":
    main()
