"""Aligned twins: native crops of bona fide pictures, sent through decoders, saved beside a table.

A twin shows what its original shows, at the same size; it differs by the trace of a decoder. What
it is sent through is named by a word or two:

    autoencoder.onnx                    any network that gives a picture of the size it takes
    diffusers:AutoencoderKL:FOLDER      a class of diffusers, with weights in a folder or on the hub
    transformers:JanusVQVAE:FOLDER      a class of transformers that decodes what it encodes
    enlarge:lanczos:2                   reduced by 2, enlarged by one of `upscalers.KERNELS`
    enlarge:network.onnx:2              reduced by 2, enlarged by a super-resolution network

Reference: Chen et al., "Dual Data Alignment Makes AI-Generated Image Detector Easier
Generalizable", NeurIPS 2025, section 3 (reconstruction by an autoencoder); Rajan et al., "Aligned
Datasets Improve Detection of Latent Diffusion-Generated Images", ICLR 2025.
"""

from __future__ import annotations

import csv
import hashlib
import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor

from bonafide.errors import InvalidInput, MediaError, MissingExtra
from bonafide.files import atomic_write
from bonafide.networks.picture_network import picture_network
from bonafide.train import originals, upscalers
from bonafide.train.originals import Crop, Original

Pixels = NDArray[np.uint8]

TABLE = "pairs.csv"
_LIBRARIES = ("diffusers", "transformers")
_HUB_MULTIPLE = 32  # divides by the factor of every image autoencoder in use
_OUTPUTS = ("sample", "decoded_pixel_values", "reconstruction")


@dataclass(frozen=True)
class Passage:
    """Something that a picture can be sent through.

    Attributes:
        name: what the table calls it; also the name of a folder.
        multiple: sides must be multiples of this, pixels.
        send: uint8 H×W×3 RGB → uint8 H×W×3 RGB.
    """

    name: str
    multiple: int
    send: Callable[[Pixels], Pixels]


@dataclass(frozen=True)
class Pair:
    """One row of the table.

    Attributes:
        path: of the twin, relative to the table's folder.
        original: relative to the folder of the originals' manifest.
        left, top: of the crop in the upright original, pixels.
        size: side of the crop, pixels.
        autoencoder: what the crop was sent through.
    """

    path: str
    original: str
    left: int
    top: int
    size: int
    autoencoder: str


@dataclass(frozen=True)
class Cropping:
    """Which part of every original is sent.

    Attributes:
        size: side of the square, pixels.
        seed: of its place.
        on_grid: share of the crops whose corner lies on the original's 8×8 JPEG grid.
    """

    size: int = 256
    seed: int = 0
    on_grid: float = 0.5


@dataclass(frozen=True)
class Written:
    """What `write_twins` did.

    Attributes:
        pairs: rows of the table, in its order.
        too_small: originals with a side below the size of the crops.
        unreadable: "name: why" of originals that could not be decoded.
    """

    pairs: tuple[Pair, ...]
    too_small: int
    unreadable: tuple[str, ...]


def open_passage(words: str, network: bool = False) -> Passage:
    """What `words` (see the head of this file) stand for.

    Args:
        words: the description.
        network: whether weights may be fetched; otherwise only local files and caches are read.

    Raises:
        InvalidInput: the words mean nothing, or the weights cannot be loaded.
        MissingExtra: diffusers, transformers or ONNX Runtime is not installed.
    """
    kind, _, rest = words.partition(":")
    if words.endswith(".onnx") and kind != "enlarge":
        return Passage(Path(words).stem, _HUB_MULTIPLE, picture_network(Path(words), 1))
    if kind in _LIBRARIES and ":" in rest:
        name, _, where = rest.partition(":")
        return _hub(kind, name, where, network)
    kernel, _, factor = rest.rpartition(":")
    if kind == "enlarge" and factor.isdecimal() and int(factor) >= 2:
        return _enlarger(kernel, int(factor))
    raise InvalidInput(
        f"--through {words}: expected FILE.onnx, diffusers:CLASS:FOLDER, "
        "transformers:CLASS:FOLDER, "
        f"or enlarge:KERNEL:FACTOR with a kernel of {', '.join(upscalers.KERNELS)} or FILE.onnx"
    )


def spelled_out(through: Sequence[str]) -> Iterator[str]:
    """Words for `open_passage`, with folders of autoencoders as their files.

    Raises:
        InvalidInput: a folder holds none.
    """
    for words in through:
        folder = Path(words)
        if folder.is_dir():
            files = sorted(folder.glob("*.onnx"))
            if not files:
                raise InvalidInput(f"--through {words}: the folder holds no .onnx file")
            yield from map(str, files)
        else:
            yield words


def write_twins(
    pictures: Sequence[Original],
    passages: Sequence[Passage],
    folder: Path,
    cropping: Cropping,
    tick: Callable[[], None] = lambda: None,
) -> Written:
    """Write a twin of one crop of every picture through every passage, and the table of pairs.

    The same crop goes through every passage. A twin that exists is not made again, so that an
    interrupted run goes on; rows of a table that exists are kept, so that passages can be added.
    Weights that change should therefore change their name.

    Args:
        pictures: the originals.
        passages: what their crops are sent through.
        folder: where the table goes, and the twins, in a folder per passage, as PNG.
        cropping: which crops.
        tick: called after each picture.

    Raises:
        InvalidInput: the size is no multiple of what a passage needs, or the table that exists is
            none.
    """
    for passage in passages:
        if cropping.size % passage.multiple:
            raise InvalidInput(f"{passage.name} needs crops whose side {passage.multiple} divides")
    table = folder / TABLE
    rows = {pair.path: pair for pair in read_pairs(table)} if table.exists() else {}
    too_small, unreadable = 0, []
    for picture in pictures:
        try:
            crop = originals.cut(picture, cropping.size, cropping.seed, cropping.on_grid)
        except MediaError as error:
            unreadable.append(str(error))
        else:
            too_small += crop is None
            if crop:
                pairs = [_written(crop, passage, folder) for passage in passages]
                rows.update({pair.path: pair for pair in pairs})
        tick()
    write_pairs(table, rows.values())
    return Written(tuple(rows.values()), too_small, tuple(unreadable))


def read_pairs(path: Path) -> list[Pair]:
    """The rows of a table of pairs.

    Raises:
        InvalidInput: it cannot be read, or lacks a column.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return [
                Pair(
                    row["path"],
                    row["original"],
                    int(row["left"]),
                    int(row["top"]),
                    int(row["size"]),
                    row["autoencoder"],
                )
                for row in csv.DictReader(stream)
            ]
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        raise InvalidInput(f"{path} is no table of pairs: {error!r}") from None


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """Write a table of pairs as CSV, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        names = [field.name for field in fields(Pair)]
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(pair) for pair in pairs)


def _written(crop: Crop, passage: Passage, folder: Path) -> Pair:
    """Write the twin of a crop unless it exists; its row."""
    size = len(crop.pixels)
    name = hashlib.sha256(crop.original.name.encode()).hexdigest()[:16]
    path = f"{passage.name}/{name}-{crop.left}-{crop.top}-{size}.png"
    target = folder / path
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target) as partial:
            Pillow.fromarray(passage.send(crop.pixels)).save(partial, "PNG", compress_level=1)
    return Pair(path, crop.original.name, crop.left, crop.top, size, passage.name)


def _hub(library: str, name: str, where: str, network: bool) -> Passage:
    """An autoencoder by class; `where` is a folder or a hub id, with #subfolder if need be."""
    try:
        found = getattr(importlib.import_module(library), name, None)
    except ImportError:
        raise MissingExtra("train", f"{library}:{name}") from None
    if found is None:
        raise InvalidInput(f"{library} has no class {name}")
    place, _, subfolder = where.partition("#")
    try:
        model = found.from_pretrained(place, subfolder=subfolder, local_files_only=not network)
    except Exception as error:  # the libraries raise nearly anything
        raise InvalidInput(f"{library}:{name} cannot be loaded from {where}: {error}") from None
    model = model.to(_device()).eval()
    title = "-".join(filter(None, (name, Path(place).name, subfolder)))

    @torch.no_grad()
    def send(pixels: Pixels) -> Pixels:
        batch = torch.tensor(pixels, device=model.device).permute(2, 0, 1)[None]
        decoded = _decoded(model(batch.to(model.dtype) / 127.5 - 1))
        if decoded.shape != batch.shape:
            raise InvalidInput(f"{title} does not give back a picture of the size it takes")
        levels = ((decoded.float() + 1) * 127.5).clamp(0, 255).round().byte()
        return np.ascontiguousarray(levels[0].permute(1, 2, 0).cpu().numpy())

    return Passage(title, _HUB_MULTIPLE, send)


def _decoded(output: Any) -> Tensor:
    """The picture in what an autoencoder of the hub returns, in [-1, 1]."""
    for name in _OUTPUTS:
        if isinstance(found := getattr(output, name, None), Tensor):
            return found
    first = output[0]
    return first if isinstance(first, Tensor) else _decoded(first)


def _enlarger(kernel: str, factor: int) -> Passage:
    if kernel.endswith(".onnx"):
        enlarge = picture_network(Path(kernel), factor)
        name = f"{Path(kernel).stem}-{factor}"
    elif kernel in upscalers.KERNELS and (kernel != "edges" or factor.bit_count() == 1):
        name = f"{kernel}-{factor}"

        def enlarge(pixels: Pixels) -> Pixels:
            return upscalers.enlarged(pixels, factor, kernel)

    else:
        raise InvalidInput(
            f"enlarge:{kernel}:{factor}: kernels are {', '.join(upscalers.KERNELS)}, "
            "or a FILE.onnx; edges takes powers of two"
        )
    return Passage(name, factor, lambda pixels: enlarge(upscalers.reduced(pixels, factor)))


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
