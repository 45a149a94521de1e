"""Versions of what an examination rests on: bonafide, its calibration, libraries, the processor."""

from __future__ import annotations

import platform
from functools import cache
from importlib import metadata
from pathlib import Path

from bonafide import __version__

_LIBRARIES = (
    "numpy",
    "scipy",
    "pillow",
    "opencv-python-headless",
    "jpeglib",
    "c2pa-python",
    "av",
    "onnxruntime",
)

# What changes the last digits of sums: how many numbers one instruction adds, and in what order.
_FEATURES = ("sse4_1", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "asimd", "sve")


def versions(calibration: str) -> dict[str, str]:
    """Versions of bonafide, its calibration, the libraries that compute, and the processor.

    Args:
        calibration: id of the one that was used.
    """
    return {
        "bonafide": __version__,
        "calibration": calibration,
        **_library_versions(),
        "cpu": _processor(),
    }


@cache
def _processor() -> str:
    """Architecture and vector instructions: "x86_64 sse4_1 avx avx2 fma"."""
    flags: set[str] = set()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() in ("flags", "Features"):
                flags = set(value.split())
                break
    except OSError:  # only Linux tells it this way; the architecture is known everywhere
        pass
    return " ".join([platform.machine(), *(name for name in _FEATURES if name in flags)])


@cache
def _library_versions() -> dict[str, str]:
    """Read once: parsing the metadata of seven packages takes longer than some detectors."""
    found = {}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found
