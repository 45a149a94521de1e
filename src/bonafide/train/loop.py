"""The loop that every method shares, from top to bottom.

Everything random in a step is a function of the seed and the number of the step: order, crops and
augmentations (see `bonafide.train.batches`) and what the network draws, such as dropout. A
training that was stopped therefore goes on from its checkpoint as if it had not been, on a CPU to
the last bit.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from bonafide.errors import BonafideError, InvalidInput
from bonafide.files import atomic_write
from bonafide.train.batches import Samples, Sampling, training_batches
from bonafide.train.data import TrainingData
from bonafide.train.logs import Log, Means
from bonafide.train.masked import MaskedSamples, validation_examples
from bonafide.train.processes import Precision, Processes
from bonafide.train.recipe import Recipe, Settings
from bonafide.train.tampering import Decoder, TamperingSettings
from bonafide.train.validation import MaskValidation, Validated, Validation

CHECKPOINT, BEST = "checkpoint.pt", "best.pt"
ROWS_PER_VALIDATION = 10  # rows of the log between two validations
_MAY_CHANGE = ("steps", "patience", "validate_every")  # by a training that goes on


@dataclass(frozen=True)
class Machine:
    """How to compute; what is computed does not depend on it, but for rounding.

    Attributes:
        precision: one of `bonafide.train.processes.PRECISIONS`.
        workers: processes that load pictures beside the training; 0 for none.
    """

    precision: str = "auto"
    workers: int = 0


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        step: steps done.
        seconds: wall time spent on them.
        loss: of the last step, NaN before the first.
        auc: of the last validation, NaN before the first.
        best_auc, best_step: of the best validation.
        stale: validations since then.
    """

    step: int = 0
    seconds: float = 0.0
    loss: float = math.nan
    auc: float = math.nan
    best_auc: float = -math.inf
    best_step: int = 0
    stale: int = 0


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
        InvalidInput: the data lack what the method needs, or the folder holds another training.
        BonafideError: the loss is no longer finite.
    """
    settings, machine = recipe.settings, machine or Machine()
    sampling = sampling or (TamperingSettings() if recipe.needs_masks else Sampling())
    _check(recipe, data, folder, resume)
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
    about = _about(recipe, data, sampling)
    progress = Progress()
    if resume and (folder / CHECKPOINT).is_file():
        progress = _restore(folder / CHECKPOINT, kept, about)

    samples, validate = _tables(recipe, data, sampling, decoders, processes, precision, machine)
    batches = training_batches(
        samples, samples.slots, progress.step, settings.steps, machine.workers
    )
    rate = recipe.rate if isinstance(recipe, OwnRate) else partial(rate_of, settings)
    log = Log(folder, progress.step) if talks else None
    row_every = max(1, settings.validate_every // ROWS_PER_VALIDATION)
    recent = Means()
    early = _out_of_patience(progress, settings)
    began = time.monotonic() - progress.seconds

    with _stop_signals() as stopping:
        for batch in () if early else batches:
            torch.manual_seed(_number(settings.seed, progress.step, processes.rank))
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * rate(progress.step)

            network.train()
            with precision.autocast():
                loss, parts = recipe.loss(network, batch.on(processes.device))
            progress.loss = _finite(loss, progress.step)
            optimiser.zero_grad(set_to_none=True)
            precision.backward(loss)
            processes.mean_gradients(network.parameters())
            if settings.clip:
                precision.scaler.unscale_(optimiser)
                nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
            precision.scaler.step(optimiser)
            precision.scaler.update()
            if settings.ema:
                _follow(average, network, settings.ema, progress.step)

            progress.step += 1
            recent.add(progress.loss, parts)
            stop = processes.any(stopping.is_set())
            due = progress.step % settings.validate_every == 0 or progress.step == settings.steps
            validated = due and bool(data.validation)
            if validated:
                progress.auc = validate(average).auc
                if _improved(progress) and talks:
                    _save(folder / BEST, average.state_dict())
                early = _out_of_patience(progress, settings)
            progress.seconds = time.monotonic() - began
            if log and (due or progress.step % row_every == 0):
                learning_rate = optimiser.param_groups[0]["lr"]
                auc = progress.auc if validated else None
                log.write(progress.step, progress.seconds, learning_rate, *recent.take(), auc)
            if talks and (due or stop):
                _save(folder / CHECKPOINT, _contents(kept, progress, about))
            if talks and watch:
                watch(progress)
            if stop or early:
                break

    if log:
        log.close()
    finished = early or progress.step >= settings.steps
    at_the_end = Validated(math.nan, {})
    if finished and data.validation:
        if talks and (folder / BEST).is_file():
            average.load_state_dict(_load(folder / BEST))
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
    if isinstance(sampling, TamperingSettings):
        shown = validation_examples(recipe, data, sampling, decoders)
        return (
            MaskedSamples(recipe, data, sampling, processes.rank, decoders),
            MaskValidation(shown, recipe.settings, processes, precision),
        )
    return (
        Samples(recipe, data, sampling, processes.rank, processes.world),
        Validation(data, recipe.settings, processes, precision, machine.workers),
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
    if not recipe.needs_masks and not data.pairs and classes != {True, False}:
        raise InvalidInput("after holding out groups, pictures of one class are left to train on")
    if not resume and (folder / CHECKPOINT).exists():
        raise InvalidInput(
            f"{folder} contains a training: continue it with --resume, or choose another --out"
        )


def _about(
    recipe: Recipe, data: TrainingData, sampling: Sampling | TamperingSettings
) -> dict[str, Any]:
    """What must be the same when a training goes on."""
    settings = {
        name: value for name, value in asdict(recipe.settings).items() if name not in _MAY_CHANGE
    }
    return {
        "method": recipe.id,
        "settings": settings,
        "sampling": asdict(sampling),
        "tables": [table.sha256 for table in data.tables],
        "held_out": list(data.held_out),
    }


def _contents(
    kept: Mapping[str, Any], progress: Progress, about: Mapping[str, Any]
) -> dict[str, Any]:
    states = {name: part.state_dict() for name, part in kept.items()}
    if kept["average"] is kept["network"]:
        del states["average"]
    return {**states, "progress": asdict(progress), "about": dict(about)}


def _restore(path: Path, kept: Mapping[str, Any], about: Mapping[str, Any]) -> Progress:
    found = _load(path)
    if found["about"] != about:
        differing = [name for name in about if found["about"].get(name) != about[name]]
        raise InvalidInput(
            f"{path} is of another training ({', '.join(differing)} differ); of the settings only "
            f"{', '.join(_MAY_CHANGE)} may change"
        )
    for name, part in kept.items():
        if name in found:
            part.load_state_dict(found[name])
    return Progress(**found["progress"])


def _save(path: Path, contents: Mapping[str, Any]) -> None:
    """Write a file that appears whole or not at all."""
    with atomic_write(path, durable=True) as partial:
        torch.save(contents, partial)


def _load(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


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


def _finite(loss: torch.Tensor, step: int) -> float:
    value = float(loss.detach())
    if not math.isfinite(value):
        raise BonafideError(
            f"the loss of step {step} is {value}: try a lower learning_rate, or clip=1"
        )
    return value


def _number(*parts: int) -> int:
    """A seed made of several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that is set by the first SIGTERM or Ctrl-C; a second Ctrl-C interrupts at once."""
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and stopping.is_set():
            raise KeyboardInterrupt
        stopping.set()

    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
