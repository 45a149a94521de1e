"""OpenCV and SciPy, imported at their first use.

A detector's card can then be read, and provenance be examined, without loading either of them:
`from bonafide.signals.heavy import cv2` in place of `import cv2`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any


class _Library:
    """Stands for a library; takes over its names when one is first asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        library = import_module(self._name)
        value = getattr(library, name)
        self.__dict__.update(vars(library))  # later look-ups find the names without this method
        return value


if TYPE_CHECKING:
    import cv2 as cv2
    import scipy as scipy
else:
    cv2 = _Library("cv2")
    scipy = _Library("scipy")
