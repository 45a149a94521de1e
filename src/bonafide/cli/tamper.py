"""The verb `bonafide tamper`. Results go to standard output, everything else to
standard error.

PyTorch is imported only for `--through`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from bonafide.cli.align import bar
from bonafide.errors import MissingExtra
from bonafide.types import Question

if TYPE_CHECKING:
    from bonafide.bench.samples import Sample
    from bonafide.train.originals import Original
    from bonafide.train.tampering import Decoder, Tampered

MANIFEST = "manifest.csv"
JPEG = b"\xff\xd8"


@click.command()
@click.argument("where", type=click.Path(exists=True, path_type=Path), metavar="MANIFEST|DIR")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path),
              metavar="DIR", help="Folder for pictures, masks and manifest.csv.")  # fmt: skip
@click.option("--count", type=click.IntRange(min=1), default=100, show_default=True, metavar="N",
              help="Pictures to make.")  # fmt: skip
@click.option("--side", type=click.IntRange(min=64), default=512, show_default=True, metavar="N",
              help="Side of each picture, pixels.")  # fmt: skip
@click.option("--authentic", type=click.FloatRange(0, 1), default=0.3, show_default=True,
              metavar="SHARE", help="Share of pictures that are saved but not edited.")  # fmt: skip
@click.option("--lossless", is_flag=True,
              help="Save nothing with loss after the edit; every file is a PNG.")  # fmt: skip
@click.option("--through", multiple=True, metavar="WHAT",
              help="Autoencoder that regenerates regions, or a folder of them, as `bonafide align` "
              "takes it; may be repeated.")  # fmt: skip
@click.option("--inpainter", multiple=True, type=click.Path(exists=True, path_type=Path),
              metavar="FILE.onnx", help="Network that fills holes; may be repeated.")  # fmt: skip
@click.option("--protocol", default="generated-normalised", show_default=True, metavar="NAME|FILE",
              help="Says which labels of the manifest mean bona fide.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Seed of everything random.")
@click.option("--quiet", is_flag=True, help="No progress bar and no notes.")
def tamper(
    where: Path,
    out: Path,
    count: int,
    side: int,
    authentic: float,
    lossless: bool,
    through: tuple[str, ...],
    inpainter: tuple[Path, ...],
    protocol: str,
    seed: int,
    quiet: bool,
) -> None:
    """Edit parts of bona fide pictures, with exact masks, to train and to measure on.

    \b
    bonafide tamper photos --out edited --count 500 --side 256
    bonafide bench run edited/manifest.csv --protocol edited --out run

    A file has the format in which it was saved last; PNG if it was not saved with loss.
    """
    from bonafide.bench.manifest import write_manifest
    from bonafide.train import originals
    from bonafide.train.tampering import Maker, TamperingSettings
    from bonafide.train.tampering_fill import OnnxFiller

    pictures = originals.find(where, protocol)
    maker = Maker(
        [picture.path for picture in pictures],
        TamperingSettings(side=side, authentic=authentic, aftermath=not lossless),
        _decoders(through, out / ".twins"),
        [OnnxFiller(file) for file in inpainter],
    )
    out.mkdir(parents=True, exist_ok=True)
    samples = []
    with bar("tampering", count, quiet) as tick:
        for number in range(count):
            made = maker.make(np.random.default_rng((seed, number)))
            samples.append(_written(made, pictures[made.picture], number, out))
            tick("")
    write_manifest(out / MANIFEST, samples)
    if not quiet:
        for name, why in maker.left_out.items():
            click.echo(f"left out: {name}: {why}", err=True)
    click.echo(str(out / MANIFEST))


def _decoders(through: tuple[str, ...], folder: Path) -> list[Decoder]:
    if not through:
        return []
    try:
        from bonafide.train import reconstruct
    except ImportError:
        raise MissingExtra("train", "bonafide tamper --through") from None
    from bonafide.train.tampering_twins import Remembered

    passages = [reconstruct.open_passage(words) for words in reconstruct.spelled_out(through)]
    return [Remembered(passage.send, passage.name, folder) for passage in passages]


def _written(made: Tampered, base: Original, number: int, folder: Path) -> Sample:
    """Write one picture with its masks; its row of the manifest."""
    from bonafide.bench.samples import Sample

    stem = f"{number:05d}"
    if made.data is None:
        name = f"{stem}.png"
        _write_png(folder / name, made.pixels)
    else:
        name = f"{stem}.{'jpg' if made.data.startswith(JPEG) else 'webp'}"
        (folder / name).write_bytes(made.data)
    extra = {"kind": made.kind, "steps": "; ".join(made.steps), "base": base.name}
    mask = f"{stem}.mask.png" if made.mask.any() else None
    if mask:
        _write_png(folder / mask, made.mask.astype(np.uint8) * 255)
    if made.source is not None:
        extra["copied_from"] = f"{stem}.source.png"
        _write_png(folder / extra["copied_from"], made.source.astype(np.uint8) * 255)
    return Sample(
        name,
        "tampered" if mask else "authentic",
        question=Question.EDITED.value,
        # Protocols may cut groups after two names.
        group=f"{base.source or 'pictures'}/{Path(base.name).name}",
        mask=mask,
        extra=extra,
    )


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    Pillow.fromarray(pixels).save(path, "PNG", compress_level=1)
