"""Is this image, face or video genuine, AI-generated, or manipulated: where, by what, how sure?

>>> import bonafide
>>> report = bonafide.examine("photo.jpg")  # doctest: +SKIP
>>> report.verdict.label, report.explanation  # doctest: +SKIP

The public names are those of `__all__`; they load what they need on first use, so that
importing bonafide loads nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_HOMES = {
    "AudioTrack": "media.audio",
    "BonafideError": "errors",
    "Card": "types",
    "Failure": "types",
    "Finding": "types",
    "Frame": "media.sampling",
    "Image": "media.image",
    "Kind": "types",
    "Label": "types",
    "Limits": "media.limits",
    "Media": "media.media",
    "MediaError": "errors",
    "Needs": "types",
    "Profile": "types",
    "Question": "types",
    "Reason": "types",
    "Region": "types",
    "Report": "types",
    "Sampling": "media.sampling",
    "Settings": "examination",
    "Status": "types",
    "Verdict": "types",
    "VideoTrack": "media.video",
    "examine": "examination",
    "open_media": "media.source",
    "to_dict": "report.to_dict",
}

__all__ = [
    "AudioTrack",
    "BonafideError",
    "Card",
    "Failure",
    "Finding",
    "Frame",
    "Image",
    "Kind",
    "Label",
    "Limits",
    "Media",
    "MediaError",
    "Needs",
    "Profile",
    "Question",
    "Reason",
    "Region",
    "Report",
    "Sampling",
    "Settings",
    "Status",
    "Verdict",
    "VideoTrack",
    "__version__",
    "examine",
    "open_media",
    "to_dict",
]

if TYPE_CHECKING:
    from bonafide.errors import BonafideError, MediaError
    from bonafide.examination import Settings, examine
    from bonafide.media.audio import AudioTrack
    from bonafide.media.image import Image
    from bonafide.media.limits import Limits
    from bonafide.media.media import Media
    from bonafide.media.sampling import Frame, Sampling
    from bonafide.media.source import open_media
    from bonafide.media.video import VideoTrack
    from bonafide.report.to_dict import to_dict
    from bonafide.types import (
        Card,
        Failure,
        Finding,
        Kind,
        Label,
        Needs,
        Profile,
        Question,
        Reason,
        Region,
        Report,
        Status,
        Verdict,
    )


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bonafide' has no attribute {name!r}")
    value = getattr(import_module(f"bonafide.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
