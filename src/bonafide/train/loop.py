"""The loop that every method shares, from top to bottom.

Everything random in a step is a function of the seed and the number of the step: order, crops and
augmentations (see `bonafide.train.batches`) and what the network draws, such as dropout. A
training that was stopped therefore goes on from its checkpoint as if it had not been, on a CPU to
the last bit.

A step's batch is that of all processes together. It is passed in parts (`accumulate` of them, or
one for each process), whose gradients are added before the step is taken, so that a training on
eight processes, or on one that accumulates over eight parts, takes the same steps but for
rounding. Running batch statistics are those that the first process has seen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from bonafide.errors import BonafideError, InvalidInput
from bonafide.train import checkpoints
from bonafide.train.activations import recomputed
from bonafide.train.batches import (
    Example,
    Samples,
    Sampling,
    Views,
    histories,
    in_parts,
    training_batches,
)
from bonafide.train.checkpoints import BEST, CHECKPOINT, Progress
from bonafide.train.clips import ClipSamples, OwnForgeries
from bonafide.train.data import TrainingData
from bonafide.train.logs import Log, Means
from bonafide.train.masked import MaskedSamples, validation_examples
from bonafide.train.processes import Precision, Processes
from bonafide.train.recipe import Recipe, Settings
from bonafide.train.sounds import SoundRecipe, SoundSamples, SoundViews
from bonafide.train.stopping import stop_signals
from bonafide.train.tampering import Decoder, TamperingSettings
from bonafide.train.validation import MaskValidation, Validated, Validation

ROWS_PER_VALIDATION = 10  # rows of the log between two validations


@dataclass(frozen=True)
class Machine:
    """How to compute; what is computed does not depend on it, but for rounding.

    Attributes:
        precision: one of `bonafide.train.processes.PRECISIONS`.
        workers: processes that load pictures beside each training process; 0 for none.
        checkpointing: run blocks again for the gradient instead of keeping what they computed;
            see `bonafide.train.activations`.
        trackers: names of what gets the log beside `log.csv`, of `bonafide.train.logs.TRACKERS`.
    """

    precision: str = "auto"
    workers: int = 0
    checkpointing: bool = False
    trackers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fitted:
    """How a training ended.

    Attributes:
        network: with the weights of the best validation, or the last ones without validation;
            averaged where the settings ask for it. On the CPU, in evaluation mode.
        progress: as it ended.
        finished: False when a signal stopped it: its checkpoint waits for `resume`.
        early: whether patience ended it.
        precision: that was used.
        by_source: AUC of each validated source against all sources of the other class; of a
            method that learns masks, pixel AUC of each kind of edit.
        figures: further ones of the validation by name.
    """

    network: nn.Module
    progress: Progress
    finished: bool
    early: bool
    precision: str
    by_source: Mapping[str, float]
    figures: Mapping[str, float]


@runtime_checkable
class OwnRate(Protocol):
    """A recipe with a schedule of its own in place of `rate`."""

    def rate(self, step: int) -> float:
        """What the learning rate of step `step`, counted from 0, is multiplied by."""
        ...


@runtime_checkable
class ReadsData(Protocol):
    """A recipe that looks at what it is trained on before it makes its network."""

    def read_data(self, data: TrainingData) -> None:
        """Called once, before `Recipe.network`."""
        ...


Watch = Callable[[Progress], None]


def fit(
    recipe: Recipe,
    data: TrainingData,
    folder: Path,
    sampling: Sampling | TamperingSettings | None = None,
    machine: Machine | None = None,
    resume: bool = False,
    watch: Watch | None = None,
    decoders: Sequence[Decoder] = (),
) -> Fitted:
    """Train, validate on held-out groups, keep the best.

    Args:
        recipe: the method with its settings.
        data: see `bonafide.train.data.load`.
        folder: where checkpoint, best weights and log lie; made if absent.
        sampling: how pictures are drawn, or edited for a method that learns masks.
        machine: how to compute.
        resume: go on from the checkpoint in `folder`; without one, start.
        watch: called after every step, in the process that talks.
        decoders: through which parts of pictures are regenerated for a method that learns masks.

    Raises:
        InvalidInput: the data lack what the method needs, the batch cannot be shared by the
            processes, or the folder holds another training.
        MissingExtra: a tracker is not installed.
        BonafideError: the loss is no longer finite.
    """
    settings, machine = recipe.settings, machine or Machine()
    sampling = sampling or (TamperingSettings() if recipe.needs_masks else Sampling())
    _check(recipe, data, folder, resume)
    if isinstance(recipe, ReadsData):
        recipe.read_data(data)
    processes = Processes.join()
    precision = Precision(machine.precision, processes.device)
    talks = processes.rank == 0
    folder.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(settings.seed)
    network = recipe.network().to(processes.device)
    processes.share_weights(network)
    average = deepcopy(network).requires_grad_(False) if settings.ema else network
    optimiser = recipe.optimiser(network)
    for group in optimiser.param_groups:
        group.setdefault("initial_lr", group["lr"])
    kept = {"network": network, "average": average, "optimiser": optimiser,
            "scaler": precision.scaler}  # fmt: skip
    about = checkpoints.identity(recipe, data, sampling)
    progress = Progress()
    if resume and (folder / CHECKPOINT).is_file():
        progress = checkpoints.restore(folder / CHECKPOINT, kept, about)

    samples, validate = _tables(recipe, data, sampling, decoders, processes, precision, machine)
    parts = in_parts(samples.pairs_per_batch, samples.slots, settings.accumulate, processes.world)
    own = range(processes.rank, len(parts), processes.world)
    batches = training_batches(
        samples, [parts[number] for number in own], progress.step, settings.steps,
        machine.workers, processes.device.type == "cuda",
    )  # fmt: skip
    rate = recipe.rate if isinstance(recipe, OwnRate) else partial(rate_of, settings)
    log = Log(folder, progress.step, machine.trackers) if talks else None
    row_every = max(1, settings.validate_every // ROWS_PER_VALIDATION)
    recent = Means()
    early = _out_of_patience(progress, settings)
    began = time.monotonic() - progress.seconds

    with stop_signals() as stopping, recomputed(network, machine.checkpointing):
        while progress.step < settings.steps and not early:
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * rate(progress.step)
            network.train()
            optimiser.zero_grad(set_to_none=True)
            passed = 0.0
            for number in own:
                batch = next(batches).on(processes.device)
                share = len(batch.label) / settings.batch
                torch.manual_seed(_number(settings.seed, progress.step, number))
                with precision.autocast():
                    loss, named = recipe.loss(network, batch)
                precision.backward(loss * share)
                passed += float(loss.detach()) * share
                recent.add(named)
            total = processes.sum_gradients(network.parameters(), passed)
            progress.loss = _finite(total, progress.step)
            precision.step(optimiser, network, settings.clip)
            if settings.ema:
                _follow(average, network, settings.ema, progress.step)

            progress.step += 1
            recent.add({"": progress.loss})
            stop = processes.any(stopping.is_set())
            due = progress.step % settings.validate_every == 0 or progress.step == settings.steps
            validated = due and bool(data.validation)
            if validated:
                progress.auc = validate(average).auc
                if _improved(progress) and talks:
                    checkpoints.save(folder / BEST, average.state_dict())
                early = _out_of_patience(progress, settings)
            progress.seconds = time.monotonic() - began
            if log and (due or progress.step % row_every == 0):
                learning_rate = optimiser.param_groups[0]["lr"]
                auc = progress.auc if validated else None
                log.write(progress.step, progress.seconds, learning_rate, *recent.take(), auc)
            if talks and (due or stop):
                checkpoints.save(folder / CHECKPOINT, checkpoints.contents(kept, progress, about))
            if talks and watch:
                watch(progress)
            if stop:
                break

    if log:
        log.close()
    finished = early or progress.step >= settings.steps
    at_the_end = Validated(math.nan, {})
    if finished and data.validation:
        if talks and (folder / BEST).is_file():
            average.load_state_dict(checkpoints.load(folder / BEST))
        at_the_end = validate(average)
    processes.leave()
    return Fitted(average.cpu().eval(), progress, finished, early, precision.name,
                  at_the_end.by_source, at_the_end.figures)  # fmt: skip


def _tables(
    recipe: Recipe,
    data: TrainingData,
    sampling: Sampling | TamperingSettings,
    decoders: Sequence[Decoder],
    processes: Processes,
    precision: Precision,
    machine: Machine,
) -> tuple[Samples | MaskedSamples, Validation | MaskValidation]:
    """What is trained on, and what validates."""
    settings = recipe.settings
    if isinstance(sampling, TamperingSettings):
        shown = validation_examples(recipe, data, sampling, decoders)
        return (
            MaskedSamples(recipe, data, sampling, decoders),
            MaskValidation(shown, settings, processes, precision),
        )
    kind = ClipSamples if recipe.needs_clips else Samples
    views: Callable[[Sequence[int]], Dataset[Example]] = partial(
        Views, data.validation, side=settings.crop, known=histories(data), seed=settings.seed
    )
    if isinstance(recipe, SoundRecipe):
        kind, views = SoundSamples, partial(SoundViews, recipe, data.validation)
    return (
        kind(recipe, data, sampling),
        Validation(data, settings, processes, precision, machine.workers, views),
    )


def rate_of(settings: Settings, step: int) -> float:
    """What the learning rate of step `step`, counted from 0, is multiplied by: in [0, 1].

    Raises:
        InvalidInput: the schedule is neither "constant" nor "cosine".
    """
    if settings.schedule not in ("constant", "cosine"):
        raise InvalidInput(f"schedule must be constant or cosine, not {settings.schedule!r}")
    if step < settings.warmup:
        return (step + 1) / (settings.warmup + 1)
    if settings.schedule == "constant":
        return 1.0
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return 0.5 * (1 + math.cos(math.pi * done))


def _check(recipe: Recipe, data: TrainingData, folder: Path, resume: bool) -> None:
    rate_of(recipe.settings, 0)
    if recipe.needs_pairs and not data.pairs:
        raise InvalidInput(
            f"{recipe.id} trains on aligned pairs: make some with `bonafide align`, pass --pairs"
        )
    classes = {picture.positive for picture in data.pictures}
    if recipe.needs_masks and not classes:
        raise InvalidInput("after holding out groups, no picture is left to train on")
    if isinstance(recipe, OwnForgeries):
        classes.add(True)
    if not recipe.needs_masks and not data.pairs and classes != {True, False}:
        raise InvalidInput("after holding out groups, pictures of one class are left to train on")
    if not resume and (folder / CHECKPOINT).exists():
        raise InvalidInput(
            f"{folder} contains a training: continue it with --resume, or choose another --out"
        )


def _follow(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move averaged weights towards the network's; faster at first, since those are random."""
    share = 1 - min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for mean, weight in zip(average.parameters(), network.parameters(), strict=True):
            mean.lerp_(weight, share)
        for kept, buffer in zip(average.buffers(), network.buffers(), strict=True):
            kept.copy_(buffer)


def _improved(progress: Progress) -> bool:
    """Note a validation; whether it is the best so far."""
    better = progress.auc > progress.best_auc
    if better:
        progress.best_auc, progress.best_step = progress.auc, progress.step
    progress.stale = 0 if better else progress.stale + 1
    return better


def _out_of_patience(progress: Progress, settings: Settings) -> bool:
    return 0 < settings.patience <= progress.stale


def _finite(value: float, step: int) -> float:
    if not math.isfinite(value):
        raise BonafideError(
            f"the loss of step {step} is {value}: try a lower learning_rate, or clip=1"
        )
    return value


def _number(*parts: int) -> int:
    """A seed made of several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))
