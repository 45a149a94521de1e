"""A toy is learned; a training that was stopped ends as if it had not been."""

from __future__ import annotations

import csv
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
import toys

from bonafide.errors import BonafideError, InvalidInput, MissingExtra
from bonafide.train import checkpoints, data, logs, loop
from bonafide.train.activations import recomputed
from bonafide.train.data import Picture
from bonafide.train.processes import Precision
from bonafide.train.validation import auc_by_source, macro_auc

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toys")
    toys.write_manifest(folder)
    toys.write_pairs(folder)
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> data.TrainingData:
    return data.load(folder / "manifest.csv", toys.PROTOCOL, folder / "cache", held_out=0.3, jobs=1)


def weights(fitted: loop.Fitted) -> torch.Tensor:
    return torch.cat([value.double().flatten() for value in fitted.network.state_dict().values()])


def fit(
    found: data.TrainingData, out: Path, resume: bool = False, **settings: object
) -> loop.Fitted:
    return loop.fit(toys.Method(toys.Settings(**settings)), found, out, resume=resume)


def test_a_toy_is_learned_on_groups_that_were_held_out(
    found: data.TrainingData, tmp_path: Path
) -> None:
    fitted = fit(found, tmp_path)
    assert fitted.finished and fitted.progress.best_auc > 0.9
    assert set(fitted.by_source) == {picture.source for picture in found.validation}
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert list(rows[0]) == ["step", "seconds", "learning_rate", "loss", "bce", "validation_auc"]
    assert [row["step"] for row in rows if row["validation_auc"]] == ["30", "60"]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_pairs_alone_teach_it_as_well(folder: Path, tmp_path: Path) -> None:
    rows = (folder / "manifest.csv").read_text().splitlines()
    real = folder / "real.csv"
    real.write_text("\n".join([rows[0], *(row for row in rows if row.startswith("bona"))]))
    pairs = data.load(real, toys.PROTOCOL, folder / "cache", [folder / "pairs.csv"], 0.3, jobs=1)
    fitted = fit(pairs, tmp_path)
    assert fitted.progress.loss < 0.2 and fitted.progress.best_auc > 0.5


def test_going_on_equals_never_having_stopped(found: data.TrainingData, tmp_path: Path) -> None:
    straight = fit(found, tmp_path / "straight", steps=20, validate_every=5)
    fit(found, tmp_path / "halves", steps=10, validate_every=5)
    halves = fit(found, tmp_path / "halves", resume=True, steps=20, validate_every=5)
    assert torch.equal(weights(straight), weights(halves))
    first, second = (
        [{**row, "seconds": ""} for row in csv.DictReader((tmp_path / name / "log.csv").open())]
        for name in ("straight", "halves")
    )
    assert first == second
    again = fit(found, tmp_path / "halves", resume=True, steps=20, validate_every=5)
    assert torch.equal(weights(again), weights(halves))


def test_a_signal_stops_it_after_the_step_and_saves(
    found: data.TrainingData, tmp_path: Path
) -> None:
    def stop(progress: loop.Progress) -> None:
        if progress.step == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    recipe = toys.Method(toys.Settings(steps=12, validate_every=6))
    before = signal.getsignal(signal.SIGTERM)
    stopped = loop.fit(recipe, found, tmp_path / "a", watch=stop)
    assert not stopped.finished and stopped.progress.step in (7, 8)
    assert signal.getsignal(signal.SIGTERM) is before
    resumed = loop.fit(recipe, found, tmp_path / "a", resume=True)
    assert torch.equal(weights(resumed), weights(loop.fit(recipe, found, tmp_path / "b")))


def process(folder: Path, out: Path, *rest: str, torchrun: int = 0) -> subprocess.Popen[bytes]:
    start = [sys.executable]
    if torchrun:
        start += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(torchrun)]
    return subprocess.Popen(
        [*start, toys.__file__, str(folder), str(out), *rest],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def test_killed_and_resumed(found: data.TrainingData, folder: Path, tmp_path: Path) -> None:
    running = process(folder, tmp_path / "a", "100000")
    deadline = time.monotonic() + 120
    while not (tmp_path / "a" / loop.CHECKPOINT).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    running.kill()
    running.wait()
    done = int(checkpoints.load(tmp_path / "a" / loop.CHECKPOINT)["progress"]["step"])
    resumed = fit(found, tmp_path / "a", resume=True, steps=done + 5, validate_every=5)
    straight = fit(found, tmp_path / "b", steps=done + 5, validate_every=5)
    assert resumed.progress.step == done + 5
    assert torch.equal(weights(resumed), weights(straight))


def test_two_processes_train_what_one_trains_that_accumulates(folder: Path, tmp_path: Path) -> None:
    running = process(folder, tmp_path / "two", "10", torchrun=2)
    running.wait(timeout=900)
    assert running.returncode == 0
    first, second = ((tmp_path / "two" / f"rank {rank}").read_text() for rank in range(2))
    assert first == second and first.startswith("10 ")
    running = process(folder, tmp_path / "one", "10", "accumulate=2")
    running.wait(timeout=900)
    assert running.returncode == 0
    two, one = (checkpoints.load(tmp_path / name / loop.CHECKPOINT) for name in ("two", "one"))
    learned = [name for name in one["network"] if name.endswith(("weight", "bias"))]
    assert len(learned) == 6
    for name in learned:  # with batch norm and dropout; running statistics are the first process's
        assert torch.allclose(two["network"][name], one["network"][name], rtol=0, atol=1e-6), name
    assert two["progress"]["loss"] == pytest.approx(one["progress"]["loss"], abs=1e-6)
    rows = [list(csv.DictReader((tmp_path / name / "log.csv").open())) for name in ("two", "one")]
    losses = [[float(row["loss"]) for row in own] for own in rows]
    assert losses[0] == pytest.approx(losses[1], abs=3e-6)  # written with six decimals


def test_parts_of_a_batch_add_up(found: data.TrainingData, tmp_path: Path) -> None:
    """Without batch statistics and chance, parts change nothing but the order of sums."""

    class Plain(toys.Method):
        def network(self) -> torch.nn.Module:
            network = super().network()
            network.layers[1] = torch.nn.Identity()
            network.layers[3] = torch.nn.Identity()
            return network

    whole, parts = (
        loop.fit(
            Plain(toys.Settings(steps=6, accumulate=accumulate, ema=0)),
            found,
            tmp_path / str(accumulate),
        )
        for accumulate in (1, 4)
    )  # fmt: skip
    assert torch.allclose(weights(whole), weights(parts), rtol=0, atol=1e-5)
    assert not torch.equal(weights(whole), weights(parts))


def test_blocks_that_are_run_twice_learn_the_same(found: data.TrainingData, tmp_path: Path) -> None:
    class Blocks(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = torch.nn.ModuleList(
                torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3), torch.nn.Dropout(0.2))
                for _ in range(3)
            )
            self.normed = torch.nn.ModuleList([torch.nn.BatchNorm2d(3)])
            self.runs = 0

        def forward(self, pixels: torch.Tensor) -> toys.Output:
            for block in (*self.blocks, *self.normed):
                pixels = block(pixels)
            return toys.Output(pixels.mean((1, 2, 3)))

    class Method(toys.Method):
        def network(self) -> torch.nn.Module:
            return Blocks()

    plain, twice = (
        loop.fit(
            Method(toys.Settings(steps=4, ema=0)), found, tmp_path / str(checkpointing),
            machine=loop.Machine(checkpointing=checkpointing),
        )
        for checkpointing in (False, True)
    )  # fmt: skip
    assert torch.equal(weights(plain), weights(twice))
    with recomputed(plain.network) as count:
        assert count == 3  # not the one with batch statistics
    assert "forward" not in vars(plain.network.blocks[0])


def test_patience_ends_it(found: data.TrainingData, tmp_path: Path) -> None:
    fitted = fit(found, tmp_path, steps=500, learning_rate=0.0, validate_every=3, patience=2)
    assert fitted.early and fitted.finished and fitted.progress.stale == 2
    assert fitted.progress.step == fitted.progress.best_step + 2 * 3


def test_a_folder_holds_one_training(found: data.TrainingData, tmp_path: Path) -> None:
    fit(found, tmp_path, steps=2)
    with pytest.raises(InvalidInput, match="--resume"):
        fit(found, tmp_path, steps=2)
    with pytest.raises(InvalidInput, match="settings differ"):
        fit(found, tmp_path, resume=True, steps=4, learning_rate=1e-3)


def test_what_cannot_be_trained_is_refused(found: data.TrainingData, tmp_path: Path) -> None:
    class Pairs(toys.Method):
        needs_pairs = True

    with pytest.raises(InvalidInput, match="bonafide align"):
        loop.fit(Pairs(toys.Settings()), found, tmp_path)
    with pytest.raises(InvalidInput, match="schedule"):
        fit(found, tmp_path, schedule="linear")
    with pytest.raises(InvalidInput, match="precision"):
        Precision("float16", torch.device("cpu"))
    with pytest.raises(BonafideError, match="learning_rate"):
        fit(found, tmp_path, learning_rate=1e30, steps=50)


def test_bfloat16_trains_on_a_cpu(found: data.TrainingData, tmp_path: Path) -> None:
    recipe = toys.Method(toys.Settings(steps=4, clip=1.0, schedule="cosine", warmup=2))
    fitted = loop.fit(recipe, found, tmp_path, machine=loop.Machine("bfloat16"))
    assert fitted.precision == "bfloat16" and math.isfinite(fitted.progress.loss)


def test_rates_warm_up_and_fall() -> None:
    settings = toys.Settings(steps=110, warmup=10, schedule="cosine")
    rates = [loop.rate_of(settings, step) for step in range(110)]
    assert rates[:10] == sorted(rates[:10]) and rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True) and 0 < rates[-1] < 0.01
    assert loop.rate_of(toys.Settings(), 7) == 1.0


def test_every_pair_of_sources_counts_alike() -> None:
    def pictures(side: bool, source: str, count: int) -> list[Picture]:
        return [Picture("", side, source, source, Path())] * count

    shown = [*pictures(True, "a", 99), *pictures(True, "b", 1), *pictures(False, "c", 3)]
    scores = [0.0] * 99 + [2.0] + [1.0] * 3
    assert macro_auc(shown, scores) == 0.5
    assert auc_by_source(shown, scores) == {"a": 0.0, "b": 1.0, "c": 0.5}


def test_rows_of_lost_steps_are_dropped(tmp_path: Path) -> None:
    log = logs.Log(tmp_path, 0)
    for step in (5, 10, 15):
        log.write(step, 1.0, 0.1, 0.5, {"a": 0.25}, None)
    log.close()
    with (tmp_path / "log.csv").open("a") as stream:
        stream.write("20,1.")  # cut by a kill
    logs.Log(tmp_path, 10).write(15, 2.0, 0.1, 0.4, {"a": 0.2}, 0.75)
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [row["step"] for row in rows] == ["5", "10", "15"]
    assert rows[-1]["validation_auc"] == "0.7500"


def test_trackers_go_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate import tracking

    written: list[tuple[object, ...]] = []

    class Board:
        def __init__(self, name: str, *place: object, **options: object) -> None:
            written.append((name, options))

        def start(self) -> None:
            written.append(("start",))

        def log(self, values: dict[str, float], step: int) -> None:
            written.append((step, values["loss"]))

        def finish(self) -> None:
            written.append(("finish",))

    monkeypatch.setattr(logs, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"bonafide\[track\]"):
        logs.Log(tmp_path, 0, ("wandb",))
    with pytest.raises(InvalidInput, match="tensorboard, wandb"):
        logs.Log(tmp_path, 0, ("paper",))
    monkeypatch.setattr(logs, "find_spec", lambda name: name)
    monkeypatch.setattr(tracking, "TensorBoardTracker", Board)
    log = logs.Log(tmp_path, 10, ("tensorboard",))
    log.write(15, 2.0, 0.1, 0.4, {"a": 0.2}, 0.75)
    log.close()
    assert written == [("tensorboard", {"purge_step": 11}), ("start",), (15, 0.4), ("finish",)]


def test_averages_follow(found: data.TrainingData, tmp_path: Path) -> None:
    plain = fit(found, tmp_path / "a", ema=0.0, steps=6)
    averaged = fit(found, tmp_path / "b", ema=0.9, steps=6)
    assert not torch.equal(weights(plain), weights(averaged))
    assert np.isfinite(weights(averaged).numpy()).all()
    assert not averaged.network.training


def test_it_runs_outside_the_main_thread(found: data.TrainingData, tmp_path: Path) -> None:
    ended: list[loop.Fitted] = []
    thread = threading.Thread(target=lambda: ended.append(fit(found, tmp_path, steps=2)))
    thread.start()
    thread.join()
    assert ended[0].finished
