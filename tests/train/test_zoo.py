"""Members learn, and an interrupted run ends where an uninterrupted one does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bonafide.train import autoencoders, zoo
from bonafide.train.autoencoders import Member

TINY = Member("tiny", factor=4, latent=4, enlarge="nearest", bottleneck="plain", width=8)
SHORT = zoo.Schedule(steps=12, batch=2, crop=32, warmup=2, checkpoint_every=5)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def crop(seed: int = 0, side: int = 64) -> np.ndarray:
    """Something with edges and colour."""
    rows, columns = np.mgrid[0:side, 0:side]
    random = np.random.default_rng(seed)
    waves = [np.sin(rows / random.uniform(2, 9) + columns / random.uniform(2, 9)) for _ in "rgb"]
    return (127 + 100 * np.stack(waves, axis=2)).astype(np.uint8)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return autoencoders.load(path).state_dict()


def same(first: Path, second: Path) -> bool:
    one, other = weights(first), weights(second)
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_member_overfits_one_crop(tmp_path: Path) -> None:
    losses: list[float] = []
    schedule = replace(SHORT, steps=120, checkpoint_every=1000)
    trained = zoo.train(
        TINY, [crop()], [crop()], tmp_path, schedule, lambda step, loss: losses.append(loss)
    )
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])
    assert trained.psnr > 20
    assert trained.psnr == pytest.approx(zoo.measure(autoencoders.load(trained.path), [crop()]))


@pytest.mark.parametrize("bottleneck", ["kl", "vq"])
def test_going_on_ends_where_going_through_does(tmp_path: Path, bottleneck: str) -> None:
    member = replace(TINY, bottleneck=bottleneck, codes=16, adversarial=True)
    crops = [crop(seed) for seed in range(3)]
    through = zoo.train(member, crops, crops[:1], tmp_path / "through", SHORT)

    def stop(step: int, loss: float) -> None:
        if step == 8:  # after the discriminator came in, between two checkpoints
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        zoo.train(member, crops, crops[:1], tmp_path / "stopped", SHORT, stop)
    assert (tmp_path / "stopped" / "tiny.checkpoint").exists()
    seen: list[int] = []
    again = zoo.train(
        member, crops, crops[:1], tmp_path / "stopped", SHORT, lambda step, _: seen.append(step)
    )
    assert seen[0] == 5
    assert same(through.path, again.path)
    assert [file.name for file in (tmp_path / "stopped").iterdir()] == ["tiny.pt"]


def test_a_finished_member_is_left_alone(tmp_path: Path) -> None:
    first = zoo.train(TINY, [crop()], [crop(1)], tmp_path, SHORT)
    before = first.path.read_bytes()
    seen: list[int] = []
    second = zoo.train(
        TINY, [crop()], [crop(1)], tmp_path, SHORT, lambda step, _: seen.append(step)
    )
    assert not seen
    assert first.path.read_bytes() == before
    assert second.psnr == pytest.approx(first.psnr)


def test_training_does_not_touch_the_callers_randomness(tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    zoo.train(TINY, [crop()], [crop()], tmp_path, replace(SHORT, steps=2))
    assert torch.equal(torch.rand(3), expected)


def test_the_seed_decides(tmp_path: Path) -> None:
    paths = [
        zoo.train(TINY, [crop()], [crop()], tmp_path / str(k), replace(SHORT, seed=seed)).path
        for k, seed in enumerate((0, 0, 1))
    ]
    assert same(paths[0], paths[1])
    assert not same(paths[0], paths[2])


def test_the_members_differ_in_every_axis() -> None:
    assert len({member.name for member in zoo.MEMBERS}) == len(zoo.MEMBERS)
    assert {member.factor for member in zoo.MEMBERS} == set(autoencoders.FACTORS)
    assert {member.enlarge for member in zoo.MEMBERS} == set(autoencoders.ENLARGERS)
    assert {member.bottleneck for member in zoo.MEMBERS} == set(autoencoders.BOTTLENECKS)
    assert {member.norm for member in zoo.MEMBERS} == set(autoencoders.NORMS)
    assert {member.activation for member in zoo.MEMBERS} == set(autoencoders.ACTIVATIONS)
    assert {member.adversarial for member in zoo.MEMBERS} == {True, False}
