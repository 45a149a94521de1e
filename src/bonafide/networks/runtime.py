"""Trained networks: find the file, check it, open it, and run it over a picture tile by tile.

A network is one file `<id>-<version>.onnx`, looked for in three places, the first that has it wins:

1. the folder that the environment variable BONAFIDE_WEIGHTS names: networks of the user's own, or
   cross-validated copies. They may differ from what ships; findings say that they were used.
2. the package. The checksum must be the one in `weights/SHA256SUMS`.
3. the user's folder, where `bonafide weights pull` puts them. The checksum must be the one that
   was recorded when the file was made, and the self-check must have passed.

The file carries its own card: `metadata_props["bonafide"]`, one JSON object.

BONAFIDE_DEVICE chooses "cpu" (default) or "cuda"; BONAFIDE_THREADS how many threads one network
may use.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bonafide.errors import DamagedWeights, InvalidInput, MissingWeights, UnverifiedWeights
from bonafide.files import user_data
from bonafide.networks.onnx_runtime import library
from bonafide.signals.tiles import Tile, cut

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHIPPED = Path(__file__).parent / "weights"
METADATA = "bonafide"  # key of the metadata that hold the card, one JSON object
_ID = re.compile(r"[a-z][a-z0-9_]*")
_PROVIDERS = {"cpu": ["CPUExecutionProvider"], "cuda": ["CUDAExecutionProvider"]}


@dataclass(frozen=True)
class Weights:
    """A network's file and what it says about itself.

    Attributes:
        id, version: from the file's name, and equal to those in its metadata.
        path: of the file.
        origin: "own" (BONAFIDE_WEIGHTS), "shipped" or "pulled".
        sha256: hexadecimal, of the file.
        metadata: the JSON object that it carries: id, version, recipe, settings, preprocessing,
            training_data, commit, created, perhaps calibration, and `inputs`, the names of its
            inputs, where it has others than one called "pixels".
    """

    id: str
    version: str
    path: Path
    origin: str
    sha256: str
    metadata: Mapping[str, Any]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the network's inputs, in its order."""
        return tuple(self.metadata.get("inputs", ("pixels",)))


@dataclass(frozen=True)
class Found:
    """A network's file that has not been opened or checked."""

    id: str
    version: str
    path: Path
    origin: str

    @property
    def record(self) -> Path:
        """Where `bonafide weights` keeps what it knows about a pulled file."""
        return self.path.with_suffix(".json")


class Session:
    """An open network. Safe to share between threads; after a fork the child opens its own."""

    def __init__(self, weights: Weights, opened: Any) -> None:
        self.weights = weights
        self._opened = opened
        self._process = os.getpid()
        self._lock = threading.Lock()

    def run(
        self,
        pixels: NDArray[np.float32] | None = None,
        only: Sequence[str] = (),
        **inputs: NDArray[Any],
    ) -> dict[str, NDArray[np.float32]]:
        """Run the network.

        Args:
            pixels: the input of that name, float32 N×3×H×W, RGB in [0, 1] for most networks.
            only: outputs that are wanted; all by default.
            inputs: further inputs by name, as the network's card describes them.

        Returns:
            Outputs by their names: "logit" (N,), and "map" (N, h, w) where there is one.

        Raises:
            TypeError: these are not the inputs of the network.
        """
        given = inputs if pixels is None else {"pixels": pixels, **inputs}
        if set(given) != set(self.weights.inputs):
            raise TypeError(
                f"{self.weights.id} has {_inputs(self.weights.inputs)}, not {_inputs(given)}"
            )
        opened = self._of_this_process()
        names = list(only) or [output.name for output in opened.get_outputs()]
        return dict(zip(names, opened.run(names, given, _run_options()), strict=True))

    def _of_this_process(self) -> Any:
        with self._lock:
            if self._process != os.getpid():
                # Its threads stayed in the parent; closing it would wait for them for ever.
                _abandoned.append(self._opened)
                self._opened = _open(self.weights.path)
                self._process = os.getpid()
            return self._opened


@cache
def _run_options() -> Any:
    """Give working memory back after each run; a session would keep the most that it ever used."""
    options = library().RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


_sessions: dict[Path, Session] = {}
_abandoned: list[Any] = []
_lock = threading.RLock()


def _after_fork() -> None:
    """A lock that another thread of the parent held would never be released in the child."""
    global _lock
    _lock = threading.RLock()
    for opened in _sessions.values():
        opened._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def session(weights: str) -> Session:
    """The open network with the id `weights`, opened once per process.

    Raises:
        MissingWeights: there is no such file; the message says how to get it.
        DamagedWeights: the file is not the one that was pinned, or holds no usable network.
        UnverifiedWeights: it was pulled and its self-check has not passed.
        InvalidInput: BONAFIDE_DEVICE or BONAFIDE_THREADS cannot be followed.
    """
    found = find(weights)
    with _lock:
        if found.path not in _sessions:
            _sessions[found.path] = open_session(found)
        return _sessions[found.path]


def find(weights: str) -> Found:
    """Where the network with the id `weights` lies; of several versions the highest.

    Raises:
        MissingWeights: nowhere.
    """
    if not _ID.fullmatch(weights):
        raise MissingWeights(weights, "no network can have this name")
    for origin, folder in _folders():
        versions = {
            path.stem.removeprefix(f"{weights}-"): path for path in folder.glob(f"{weights}-*.onnx")
        }
        if versions:
            version = max(versions, key=_natural)
            return Found(weights, version, versions[version], origin)
    raise MissingWeights(
        weights, f"its network is not on this machine: bonafide weights pull {weights}"
    )


def checked(weights: str) -> Found:
    """The file of a network that another library opens, after its checksum was compared.

    Raises:
        MissingWeights, DamagedWeights, UnverifiedWeights: as `session` does.
    """
    found = find(weights)
    state = found.path.stat()
    _check(found, _unchanged_sha256(found.path, state.st_size, state.st_mtime_ns), True)
    return found


def open_session(found: Found, verified: bool = True) -> Session:
    """Check a file and open it, outside the cache that `session` keeps.

    Args:
        found: the file.
        verified: whether a pulled file must have passed its self-check.

    Raises:
        DamagedWeights, UnverifiedWeights, InvalidInput: as `session` does.
    """
    digest = sha256(found.path)
    _check(found, digest, verified)
    try:
        opened = _open(found.path)
    except InvalidInput:
        raise
    except Exception as error:  # ONNX Runtime has no common class of errors
        raise DamagedWeights(found.id, f"{found.path} cannot be opened: {error}") from error
    metadata = _metadata(found, opened)
    weights = Weights(found.id, found.version, found.path, found.origin, digest, metadata)
    has = tuple(value.name for value in opened.get_inputs())
    if has != weights.inputs:
        why = f"{found.path} must have {_inputs(weights.inputs)}, and has {_inputs(has)}"
        raise DamagedWeights(found.id, why)
    return Session(weights, opened)


def user_folder() -> Path:
    """Where pulled networks are kept: the platform's place for a user's data."""
    return user_data("weights")


def over_tiles(
    opened: Session,
    pixels: NDArray[np.uint8],
    tiles: Sequence[Tile],
    side: int,
    batch: int = 8,
) -> Iterator[tuple[Tile, dict[str, NDArray[np.float32]]]]:
    """Run a network over tiles of a picture, a batch at a time, in memory that does not grow.

    Args:
        opened: the network.
        pixels: uint8 H×W×3.
        tiles: from `signals.tiles.grid`.
        side: of the network's input; smaller tiles are continued by reflection.
        batch: tiles per run.

    Yields:
        Each tile with its own outputs by name, without the batch dimension.
    """
    for first in range(0, len(tiles), batch):
        chosen = tiles[first : first + batch]
        outputs = opened.run(cut(pixels, chosen, side))
        for index, tile in enumerate(chosen):
            yield tile, {name: values[index] for name, values in outputs.items()}


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum(weights: str) -> str | None:
    """SHA-256 of the network that `session(weights)` uses or would open; None without one."""
    try:
        path = find(weights).path
    except MissingWeights:
        return None
    with _lock:
        opened = _sessions.get(path)
    if opened is not None:
        return opened.weights.sha256
    state = path.stat()
    return _unchanged_sha256(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _unchanged_sha256(path: Path, _size: int, _modified: int) -> str:
    return sha256(path)


def _folders() -> Iterator[tuple[str, Path]]:
    own = os.environ.get("BONAFIDE_WEIGHTS")
    if own:
        yield "own", Path(own)
    yield "shipped", SHIPPED
    yield "pulled", user_folder()


def _natural(version: str) -> list[tuple[int, str]]:
    """Sort key in which 10 follows 9."""
    return [
        (int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", version)
    ]


def _check(found: Found, digest: str, verified: bool) -> None:
    """Compare with the pinned checksum; the user's own files have none."""
    if found.origin == "shipped":
        pinned = _shipped_checksums().get(found.path.name)
    elif found.origin == "pulled":
        record = read_record(found)
        pinned = record["sha256"]
        if verified and not record["verified"]:
            why = f"fetched but not verified: bonafide weights verify {found.id}"
            raise UnverifiedWeights(found.id, why)
    else:
        return
    if digest != pinned:
        raise DamagedWeights(
            found.id,
            f"{found.path} has the SHA-256 {digest[:12]}…, not {(pinned or 'one on record')[:12]}…",
        )


def _shipped_checksums() -> dict[str, str]:
    lines = (SHIPPED / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split(maxsplit=1) for line in lines if line)}


def read_record(found: Found) -> dict[str, Any]:
    """What `bonafide weights` wrote beside a pulled file.

    Raises:
        DamagedWeights: nothing usable is there.
    """
    try:
        record: dict[str, Any] = json.loads(found.record.read_text())
        return {"sha256": str(record["sha256"]), "verified": bool(record["verified"])} | record
    except (OSError, ValueError, KeyError, TypeError):
        why = f"{found.path} has no record beside it: bonafide weights pull {found.id}"
        raise DamagedWeights(found.id, why) from None


def _metadata(found: Found, opened: Any) -> Mapping[str, Any]:
    try:
        metadata = json.loads(opened.get_modelmeta().custom_metadata_map[METADATA])
        named = (metadata["id"], str(metadata["version"]))
    except (KeyError, ValueError, TypeError):
        raise DamagedWeights(found.id, f"{found.path} has no card that names the network") from None
    if named != (found.id, found.version):
        raise DamagedWeights(found.id, f"{found.path} is the file of {named[0]} {named[1]}")
    inputs = metadata.get("inputs", ["pixels"])
    if not isinstance(inputs, list) or not all(isinstance(name, str) for name in inputs):
        raise DamagedWeights(found.id, f"{found.path} has no card that names the inputs")
    return dict(metadata)


def _inputs(names: Iterable[str]) -> str:
    """For messages: "the input pixels", "the inputs pixels and residual"."""
    listed = list(names)
    return f"the {'input' if len(listed) == 1 else 'inputs'} {' and '.join(listed) or 'none'}"


def _open(path: Path) -> Any:
    onnxruntime = library()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Waiting threads would spin on cores that other detectors are using.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=_providers())


def threads() -> int:
    """Threads of one network: of a process that shares the machine with its siblings, one."""
    asked = os.environ.get("BONAFIDE_THREADS", "")
    if asked:
        if not asked.isdecimal() or int(asked) < 1:
            raise InvalidInput(f"BONAFIDE_THREADS must be a whole number from 1, not {asked!r}")
        return int(asked)
    return 1 if multiprocessing.parent_process() else os.cpu_count() or 1


def _providers() -> list[str]:
    device = os.environ.get("BONAFIDE_DEVICE", "cpu").lower()
    if device not in _PROVIDERS:
        raise InvalidInput(f"BONAFIDE_DEVICE must be cpu or cuda, not {device!r}")
    if not set(_PROVIDERS[device]) <= set(library().get_available_providers()):
        raise InvalidInput(f"BONAFIDE_DEVICE={device} needs another build: onnxruntime-gpu")
    return _PROVIDERS[device]
