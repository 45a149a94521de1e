"""The folder of enrolled cameras: one JSON card and one array of 8-bit values each.

It is the platform's place for a user's data, or the one that the environment variable
BONAFIDE_CAMERAS names.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonafide.errors import InvalidInput
from bonafide.files import atomic_write, cards_in, file_stem, user_folder
from bonafide.files import checksums as checksums_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_CAMERAS = 50
MOST_PIXELS = 64_000_000  # of a fingerprint; it takes one byte each
MOST_CARD = 4 * 1024**2  # bytes
_STEPS = 16.0  # quantisation steps per standard deviation: 127 is 8 deviations


@dataclass(frozen=True)
class Camera:
    """One enrolled camera.

    Attributes:
        name: as the user gave it.
        width, height: of the fingerprint, pixels as the camera stores them.
        method: of the fingerprint, `prnu.METHOD`.
        count: photographs that it was made from.
        agreement: PCE between the fingerprints of two halves of the photographs.
        models: makes and models that their EXIF name.
        photographs: SHA-256 of each, hexadecimal.
        created: UTC, ISO 8601.
        sha256: of the file with the fingerprint.
    """

    name: str
    width: int
    height: int
    method: str
    count: int
    agreement: float
    models: tuple[str, ...]
    photographs: tuple[str, ...]
    created: str
    sha256: str

    @property
    def array(self) -> Path:
        """The file with the fingerprint."""
        return folder() / f"{slug(self.name)}-{self.sha256[:16]}.npy"

    @property
    def card(self) -> Path:
        """The file with everything else."""
        return folder() / f"{slug(self.name)}.json"


def folder() -> Path:
    """Where fingerprints are kept; it need not exist."""
    return user_folder("BONAFIDE_CAMERAS", "cameras")


def slug(name: str) -> str:
    """The file name of a camera, without its ending.

    Raises:
        InvalidInput: the name has no letter or digit, is too long, or cannot be printed.
    """
    return file_stem(name, "a camera")


def enrolled() -> list[Camera]:
    """All cameras, in the order of names.

    Raises:
        InvalidInput: a card is damaged.
    """
    return [_read(path) for path in cards_in(folder(), MOST_CAMERAS)]


def named(name: str) -> Camera:
    """One camera by its name.

    Raises:
        InvalidInput: none has that name, or its card is damaged.
    """
    path = folder() / f"{slug(name)}.json"
    if not path.is_file():
        raise InvalidInput(f"no camera is enrolled as {name}: see bonafide camera list")
    return _read(path)


def checksums() -> Mapping[str, str]:
    """`camera.<file name>` → SHA-256 of each card, which holds that of the fingerprint.

    Cards that cannot be read are left out; who compares with them says so.
    """
    found = checksums_of(cards_in(folder(), MOST_CAMERAS))
    return {f"camera.{stem}": digest for stem, digest in found.items()}


def keep(pattern: NDArray[np.float32], replace: bool = False, **about: Any) -> Camera:
    """Write a fingerprint and its card.

    Args:
        pattern: float32 H×W of unit variance.
        replace: whether a camera of the same name may be overwritten.
        about: the fields of `Camera` that the pattern does not tell.

    Raises:
        InvalidInput: the name cannot be used or is taken, or there are too many cameras.
        OSError: the folder cannot be written.
    """
    import numpy as np

    place = folder()
    card = place / f"{slug(about['name'])}.json"
    before = _read(card) if card.is_file() and replace else None
    if card.is_file() and not replace:
        raise InvalidInput(
            f"{about['name']} is enrolled already: give --replace, or remove it first"
        )
    if before is None and len(enrolled()) >= MOST_CAMERAS:
        raise InvalidInput(f"{MOST_CAMERAS} cameras are enrolled, which is the most")
    height, width = pattern.shape
    values = np.empty(pattern.shape, np.int8)
    for top in range(0, height, 512):  # strips keep the float copy small
        strip = np.rint(pattern[top : top + 512] * np.float32(_STEPS))
        values[top : top + 512] = np.clip(strip, -127, 127)
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    data = buffer.getbuffer()
    camera = Camera(width=width, height=height, sha256=hashlib.sha256(data).hexdigest(), **about)
    place.mkdir(parents=True, exist_ok=True)
    with atomic_write(camera.array) as partial:
        partial.write_bytes(data)
    with atomic_write(card) as partial:
        partial.write_text(json.dumps(asdict(camera), indent=1, ensure_ascii=False), "utf-8")
    if before is not None and before.array != camera.array:
        before.array.unlink(missing_ok=True)
    return camera


def remove(camera: Camera) -> None:
    """Forget a camera: card and fingerprint."""
    camera.card.unlink(missing_ok=True)
    camera.array.unlink(missing_ok=True)


def fingerprint(camera: Camera) -> NDArray[np.float32]:
    """The pattern of a camera, float32 H×W of unit variance.

    Raises:
        InvalidInput: its file is missing, or not the one that was written.
    """
    import numpy as np

    try:
        if camera.array.stat().st_size > camera.width * camera.height + 4096:
            raise ValueError("it is too large")
        data = camera.array.read_bytes()
        if hashlib.sha256(data).hexdigest() != camera.sha256:
            raise ValueError("its checksum is another")
        values = np.load(io.BytesIO(data), allow_pickle=False)
        if values.shape != (camera.height, camera.width) or values.dtype != np.int8:
            raise ValueError("its size is another")
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"the fingerprint of {camera.name} cannot be read ({error}): enrol it again"
        ) from None
    pattern: NDArray[np.float32] = values.astype(np.float32)
    pattern /= np.float32(_STEPS)
    return pattern


def _read(path: Path) -> Camera:
    try:
        if path.stat().st_size > MOST_CARD:
            raise ValueError("it is too large")
        told = json.loads(path.read_text("utf-8"))
        known = {one.name: told[one.name] for one in fields(Camera)}
        for one in ("models", "photographs"):
            known[one] = tuple(map(str, known[one]))
        camera = Camera(**known)
        size = int(camera.width) * int(camera.height)
        if not 0 < size <= MOST_PIXELS or slug(camera.name) != path.stem:
            raise ValueError("its fields do not fit")
        if not re.fullmatch(r"[0-9a-f]{64}", camera.sha256):
            raise ValueError("its checksum is none")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidInput) as error:
        raise InvalidInput(
            f"{path} is no camera's card ({error}): remove it and enrol again"
        ) from None
    return camera
