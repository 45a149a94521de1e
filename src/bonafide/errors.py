"""Every error that bonafide raises on purpose.

::

    BonafideError
    ├── MediaError              the file, not the program, is at fault; names the file
    │   ├── SourceError         it cannot be read: missing, a folder, no permission, empty
    │   ├── UnsupportedFormat   it is not a kind of file that bonafide examines
    │   ├── DecodeError         its bytes are damaged
    │   └── LimitExceeded       it is larger, or takes longer, than the limits allow
    ├── MissingExtra            an optional dependency is not installed; says how to install it
    ├── UnknownDetector         no detector has that id; lists those that exist
    ├── InvalidDetector         a detector file or plugin does not keep the contract
    ├── WeightsError            a trained network cannot be used; names it
    │   ├── MissingWeights      its file is not on this machine; says how to get it
    │   ├── DamagedWeights      its file is not what it should be
    │   └── UnverifiedWeights   it was fetched, and its self-check has not passed yet
    ├── StoreUnavailable        the store cannot be reached or written now
    └── InvalidInput            a manifest, protocol or layout cannot be followed

A batch catches `MediaError` for a file and goes on. Anything outside this tree is a bug.
"""

from __future__ import annotations


class BonafideError(Exception):
    """Root of the tree above."""


class MediaError(BonafideError):
    """A file cannot be examined.

    Attributes:
        name: the file as the user named it.
        why: one plain sentence without the name, fit to be shown to a person.
    """

    def __init__(self, name: str, why: str) -> None:
        super().__init__(name, why)
        self.name = name
        self.why = why

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


class SourceError(MediaError):
    """The bytes cannot be obtained."""


class UnsupportedFormat(MediaError):
    """The bytes are not a format that bonafide reads."""


class DecodeError(MediaError):
    """The bytes claim a supported format but cannot be decoded."""


class LimitExceeded(MediaError):
    """A limit of `bonafide.Limits` was passed; the sentence names the flag that raises it."""


class MissingExtra(BonafideError):
    """An optional dependency is needed and absent."""

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs an optional dependency: pip install 'bonafide[{extra}]'")
        self.extra = extra


class UnknownDetector(BonafideError):
    """An id names no detector."""

    def __init__(self, detector: str, known: tuple[str, ...]) -> None:
        super().__init__(f"no detector is called {detector!r}; there are: {', '.join(known)}")
        self.detector = detector


class InvalidDetector(BonafideError):
    """A detector module lacks `CARD` or `Detector`, or its card contradicts its file name."""


class WeightsError(BonafideError):
    """A trained network cannot be used.

    Attributes:
        weights: its id.
        why: one plain sentence without the id, fit to be shown to a person.
    """

    def __init__(self, weights: str, why: str) -> None:
        super().__init__(weights, why)
        self.weights = weights
        self.why = why

    def __str__(self) -> str:
        return f"{self.weights}: {self.why}"


class MissingWeights(WeightsError):
    """The file of a network is not on this machine; the sentence says how to get it."""


class DamagedWeights(WeightsError):
    """The file of a network has another checksum, or another content, than it should have."""


class UnverifiedWeights(WeightsError):
    """A network was fetched, and its self-check has not passed on this machine."""


class StoreUnavailable(BonafideError):
    """The database of the store is away, full or locked; the sentence says what it said."""


class InvalidInput(BonafideError):
    """A manifest, a protocol or a layout says something that cannot be followed."""
