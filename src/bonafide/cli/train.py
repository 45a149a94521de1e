"""`bonafide train`: from a method and a manifest to an ONNX file.

PyTorch is imported when a training starts; what methods there are is read from their source.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from bonafide.errors import InvalidInput, MissingExtra

if TYPE_CHECKING:
    from bonafide.train.checkpoints import Progress
    from bonafide.train.data import TrainingData
    from bonafide.train.export import Exported
    from bonafide.train.loop import Fitted, Machine
    from bonafide.train.recipe import Recipe

INTERRUPTED = 130
_SETTINGS = "bonafide.train.settings"  # of --config
_Tick = Callable[[int, int, str], None]  # done, total, remark


class Described(NamedTuple):
    """What the source of a method says about it."""

    title: str
    paper: str


def methods() -> dict[str, Described]:
    """Methods by id, in alphabetical order: the files of `bonafide.train` with a class `Method`."""
    found = {}
    for path in sorted((Path(__file__).parent.parent / "train").glob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name == "Method":
                said = _constants(node)
                found[path.stem] = Described(said.get("title", ""), said.get("paper", ""))
    return found


def _constants(node: ast.ClassDef) -> dict[str, str]:
    return {
        target.id: statement.value.value
        for statement in node.body
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
        for target in statement.targets
        if isinstance(target, ast.Name) and isinstance(statement.value.value, str)
    }


class _ListsMethods(click.Command):
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Methods"):
            formatter.write_dl([(name, f"{one.title}. {one.paper}")
                                for name, one in methods().items()])  # fmt: skip
        with formatter.section("Several GPUs or machines"):
            formatter.write_text("torchrun --nproc-per-node 4 -m bonafide train METHOD …")


def _from_config(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Take what the command line leaves open from the file of another run."""
    if path is not None:
        from bonafide.train import config

        parameters, ctx.meta[_SETTINGS] = config.read(path)
        ctx.default_map = {**(ctx.default_map or {}), **parameters}


@click.command(cls=_ListsMethods)
@click.argument("method", metavar="METHOD")
@click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              metavar="RUN.yaml", is_eager=True, expose_value=False, callback=_from_config,
              help="Train as another run did, whose folder holds this file; METHOD may be left "
              "out, and other options change what it says.")  # fmt: skip
@click.option("--data", type=click.Path(), metavar="MANIFEST|SHARDS|DIR",
              help="Labelled pictures: a manifest (see `bonafide bench index`), WebDataset shards "
              "(a .tar or a folder of them), or a folder that `datasets` saved.")  # fmt: skip
@click.option("--pairs", type=click.Path(dir_okay=False), multiple=True, metavar="PAIRS.csv",
              help="Table of aligned twins from `bonafide align`; may be repeated.")  # fmt: skip
@click.option("--through", "decoders", multiple=True, metavar="FILE.onnx|DIR",
              help="Autoencoders, as for `bonafide align`, that regenerate parts of pictures where "
              "masks are learned; may be repeated.")  # fmt: skip
@click.option("--protocol", default="generated-normalised", show_default=True, metavar="NAME|FILE",
              help="Which rows are used, what labels mean, what groups are.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False), metavar="DIR",
              help="Folder for weights, checkpoint and log.")  # fmt: skip
@click.option("--set", "chosen", multiple=True, metavar="NAME=VALUE",
              help="Change a setting of the method or sampling; may be repeated.")  # fmt: skip
@click.option("--settings", "show", is_flag=True, help="Print the settings of METHOD and exit.")
@click.option("--resume", is_flag=True, help="Continue the training in DIR.")
@click.option("--precision", default="auto", show_default=True,
              help="auto, float32, bfloat16 or, on a GPU, float16.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True,
              help="Processes that load pictures beside the training.")  # fmt: skip
@click.option("--threads", type=click.IntRange(min=0), default=0,
              help="Threads that compute.  [default: one per core]")  # fmt: skip
@click.option("--checkpointing", is_flag=True,
              help="Run blocks twice to hold less of them in memory.")  # fmt: skip
@click.option("--log", "trackers", multiple=True, type=click.Choice(["tensorboard", "wandb"]),
              help="Write the log there too, beside DIR/log.csv; may be repeated.")  # fmt: skip
@click.option("--cache", type=click.Path(file_okay=False), metavar="DIR",
              help="Folder for decoded pictures.  [default: OUT/pixels]")  # fmt: skip
@click.option("--half", is_flag=True, help="Store weights in 16 bits: half the file.")
@click.option("--quiet", is_flag=True, help="No progress bar and no notes.")
@click.pass_context
def train(
    ctx: click.Context,
    method: str,
    data: str | None,
    pairs: tuple[str, ...],
    decoders: tuple[str, ...],
    protocol: str,
    out: str | None,
    chosen: tuple[str, ...],
    show: bool,
    resume: bool,
    precision: str,
    workers: int,
    threads: int,
    checkpointing: bool,
    trackers: tuple[str, ...],
    cache: str | None,
    half: bool,
    quiet: bool,
) -> None:
    """Train METHOD on labelled pictures and export it to DIR/METHOD.onnx.

    Whole groups are held out; the weights with the best AUC on them are exported. On Ctrl-C or
    SIGTERM a checkpoint is written; --resume continues from it.

    \b
    bonafide train npr --settings
    bonafide train npr --data manifest.csv --out run --set steps=1000
    bonafide train --config run/run.yaml --out again

    \b
    Exit status: 0 done · 2 wrong usage · 130 stopped.
    """
    if method == "explainer":
        _train_explainer(data, out, chosen, show, quiet)
        return
    told = (*ctx.meta.get(_SETTINGS, ()), *chosen)
    recipe, sampling = _configured(_method(method), told, show)
    if show:
        return
    if not data or not out:
        raise click.UsageError("give --data MANIFEST and --out DIR")

    from bonafide.bench.protocol import load_protocol
    from bonafide.train import batches, clips, config, export, loop, masked, sounds
    from bonafide.train import data as tables
    from bonafide.train.processes import Processes

    machine = loop.Machine(precision, workers, checkpointing, trackers)
    alone = _use_threads(threads)
    folder, settings = Path(out), recipe.settings
    kept = Path(cache) if cache else folder / "pixels"
    if recipe.needs_masks and pairs:
        raise click.UsageError(f"{method} learns from masks, not from --pairs")
    if recipe.needs_clips and pairs:
        raise click.UsageError(f"{method} learns from clips, not from --pairs")
    if recipe.needs_sound and pairs:
        raise click.UsageError(f"{method} learns from sound, not from --pairs")
    load: Callable[..., TrainingData] = partial(tables.load, pairs=[*map(Path, pairs)])
    if recipe.needs_masks:
        load = masked.load
    elif recipe.needs_clips:
        load = partial(clips.load, frames=settings.frames)
    elif isinstance(recipe, sounds.SoundRecipe):
        load = partial(sounds.load, recipe=recipe)
    with _bar("reading", quiet or not alone) as tick:
        # One process decodes; a training of many would read every file as many times.
        material = Processes.join().from_first(
            lambda: load(
                Path(data),
                load_protocol(protocol),
                kept,
                held_out=settings.held_out,
                seed=settings.seed,
                progress=lambda done, total: tick(done, total, ""),
            )
        )
    if alone and not quiet:
        positives = "edited" if recipe.needs_masks else "generated"
        _tell_material(material, positives, "recordings" if recipe.needs_sound else "pictures")
    if alone:
        config.write(folder, ctx.params, asdict(settings) | asdict(sampling))
    with _bar("training", quiet) as tick:
        fitted = loop.fit(
            recipe,
            material,
            folder,
            sampling,
            machine,
            resume,
            lambda now: tick(now.step, settings.steps, _remark(now)),
            masked.open_decoders(decoders, kept / "twins"),
        )
    if not alone:
        return
    if not fitted.finished:
        click.echo(f"stopped at step {fitted.progress.step}; continue with --resume", err=True)
        sys.exit(INTERRUPTED)
    shown = None
    if isinstance(recipe, sounds.SoundRecipe):
        shown = sounds.some(recipe, material)
    elif recipe.channels == 3:
        shown = batches.some_crops(material, settings.crop)
    exported = export.export(
        recipe,
        fitted.network,
        folder / f"{recipe.id}.onnx",
        material.tables,
        shown,
        "float16" if half else "float32",
    )
    record = _record(recipe, sampling, machine, material, fitted, exported)
    text = json.dumps(record, indent=2, ensure_ascii=False, default=str)
    (folder / "run.json").write_text(text + "\n", "utf-8")
    if not quiet:
        _tell_result(fitted, exported, data)


def _train_explainer(
    data: str | None, out: str | None, chosen: tuple[str, ...], show: bool, quiet: bool
) -> None:
    """Train adapters of a model for images and text on records of `bench explain`."""
    module = library("explainer")
    from bonafide.train import settings

    given = settings.split(chosen)
    settings.check_names(given, module.Settings)
    if show:
        click.echo(settings.describe(module.Settings(model="FOLDER")))
        return
    if not data or not out:
        raise click.UsageError("give --data RECORDS.jsonl and --out DIR")
    own = settings.build(module.Settings, given)
    with _bar("training", quiet) as tick:
        fitted = module.fit(own, module.read(Path(data)), Path(out), tick)
    if not quiet:
        click.echo(
            f"loss {fitted.losses[0]:.3f} to {fitted.losses[-1]:.3f}; {fitted.left_out} records "
            f"left out; adapters in {fitted.adapter}"
        )


def _method(name: str) -> type[Recipe]:
    known = methods()
    if name not in known:
        raise InvalidInput(f"no method is called {name!r}; there are: {', '.join(known)}")
    library("export")  # now, rather than after hours of training
    found: type[Recipe] = library(name).Method
    return found


def library(name: str) -> Any:
    """A module of `bonafide.train`.

    Raises:
        MissingExtra: what it needs is not installed.
    """
    try:
        return import_module(f"bonafide.train.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("bonafide"):
            raise
        raise MissingExtra("train", "training") from None


def _configured(method: type[Recipe], chosen: tuple[str, ...], show: bool) -> tuple[Recipe, Any]:
    """The method and the sampling with the settings that were chosen, printed if asked for."""
    from bonafide.train import settings
    from bonafide.train.batches import Sampling
    from bonafide.train.tampering import TamperingSettings

    kind = TamperingSettings if method.needs_masks else Sampling
    given = settings.split(chosen)
    settings.check_names(given, method.Settings, kind)
    own = settings.build(method.Settings, given)
    sampling = settings.build(kind, {**method.material, **given})
    if show:
        click.echo(settings.describe(own, sampling))
    return method(own), sampling


def _use_threads(threads: int) -> bool:
    """Divide the cores among the processes of this machine; whether this is the one that talks."""
    import os

    import torch

    beside = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    torch.set_num_threads(threads or max(1, (os.cpu_count() or 1) // beside))
    return int(os.environ.get("RANK", 0)) == 0


@contextmanager
def _bar(what: str, quiet: bool) -> Iterator[_Tick]:
    from rich.console import Console

    from bonafide.report import terminal

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda done, total, remark: None
        return
    with terminal.progress(what, console) as progress:
        bar = progress.add_task("", total=None)
        yield lambda done, total, remark: progress.update(
            bar, completed=done, total=total, description=remark
        )


def _remark(now: Progress) -> str:
    best = "" if now.best_step == 0 else f", AUC {now.auc:.3f}, best {now.best_auc:.3f}"
    return f"loss {now.loss:.3f}{best}"


def _tell_material(data: TrainingData, positives: str, unit: str) -> None:
    made = sum(picture.positive for picture in data.pictures)
    click.echo(
        f"{made} {positives} and {len(data.pictures) - made} bona fide {unit}, {len(data.pairs)} "
        f"pairs; {len(data.validation)} {unit} of {len(data.held_out)} groups held out",
        err=True,
    )
    reasons: dict[str, list[str]] = {}
    for name, why in data.left_out.items():
        reasons.setdefault(why, []).append(name)
    for why, names in reasons.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        click.echo(f"left out: {names[0]}{more}: {why}", err=True)


def _record(
    recipe: Recipe,
    sampling: Any,
    machine: Machine,
    data: TrainingData,
    fitted: Fitted,
    exported: Exported,
) -> dict[str, Any]:
    progress = fitted.progress
    return {
        "method": recipe.id,
        "settings": asdict(recipe.settings),
        "sampling": asdict(sampling),
        "machine": asdict(machine) | {"precision": fitted.precision},
        "training_data": [asdict(table) for table in data.tables],
        "pictures": len(data.pictures),
        "pairs": len(data.pairs),
        "held_out": data.held_out,
        "left_out": dict(data.left_out),
        "steps": progress.step,
        "seconds": round(progress.seconds, 1),
        "stopped_early": fitted.early,
        "validation": None
        if not data.validation
        else {
            "pictures": len(data.validation),
            "auc": round(progress.best_auc, 4),
            "step": progress.best_step,
            "by_source": {name: round(auc, 4) for name, auc in fitted.by_source.items()},
            **{name: round(value, 4) for name, value in fitted.figures.items()},
        },
        "exported": asdict(exported),
    }


def _tell_result(fitted: Fitted, exported: Exported, data: str) -> None:
    progress = fitted.progress
    validated = (
        f"; AUC {progress.best_auc:.3f} on held-out groups after step {progress.best_step}"
        if fitted.by_source
        else "; nothing was held out, so its accuracy is unknown"
    )
    click.echo(f"{progress.step} steps in {progress.seconds:.0f} s{validated}", err=True)
    click.echo(
        f"{exported.path}: {exported.bytes / 1e6:.1f} MB, "
        f"within {exported.difference:.1g} of PyTorch",
        err=True,
    )
    click.echo(
        "next: measure it on other pictures; training and held-out groups of "
        f"{data} do not count (run.json names them)",
        err=True,
    )
