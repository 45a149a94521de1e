"""DiMoDif: disagreement within a short time, levels of intervals, and a stretch that is found."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import lip_toys

from bonafide.bench.metrics import roc_auc
from bonafide.bench.segments import ClipIntervals, average_precision
from bonafide.errors import InvalidInput
from bonafide.train import avff, dimodif, export, intervals
from bonafide.train.checkpoints import CHECKPOINT

torch.set_num_threads(1)
FRAMES = 32


def method(**changes: object) -> dimodif.Method:
    given = {"frames": FRAMES, "width": 32, "heads": 2, "levels": 3, "near": 3, "throughout": 0.0}
    return dimodif.Method(dimodif.Settings(**{**given, **changes}))


def test_full_size() -> None:
    with torch.device("meta"):
        network = dimodif.Network(dimodif.Settings())
    sizes = {n: sum(w.numel() for w in m.parameters()) for n, m in network.named_children()}
    assert sizes["apart"] == 2 * (512 + 257 * 256 + 4 * 256 * 257 + 769 * 256)
    assert sizes["first"] == 513 * 256 * 3 + 256
    assert sizes["pyramid"] == 4 * (256 * 256 * 3 + 256)
    heads = 257 + (256 * 3 + 1) + 2 * (256 * 3 + 1) + 513
    assert sum(sizes[name] for name in ("frame", "sure", "reach", "head")) == heads
    assert sum(sizes.values()) == 3_769_477


def test_sides_look_at_each_other_within_a_short_time() -> None:
    torch.manual_seed(0)
    layer = dimodif.Disagreement(16, 2, 20, 3).eval()
    video, audio = torch.randn(2, 20, 16), torch.randn(2, 20, 16)
    changed = audio.clone()
    changed[0, 10] = torch.randn(16)
    with torch.inference_mode():
        moved = (layer(video, changed) - layer(video, audio)).abs().amax(2) > 1e-6
    assert moved[0].nonzero()[:, 0].tolist() == list(range(7, 14)) and not moved[1].any()


def test_moments_that_do_not_fit_are_not_drawn_together() -> None:
    torch.manual_seed(0)
    layer = dimodif.Disagreement(16, 2, 8, 3)
    video = torch.randn(1, 8, 16, requires_grad=True)
    fits = torch.tensor([[True] * 5 + [False] * 3])
    layer.contrast(video, torch.randn(1, 8, 16), fits, 0.1).backward()
    assert video.grad is not None
    assert (video.grad[0].abs().sum(1) > 0).tolist() == fits[0].tolist()


def test_distance_overlap() -> None:
    one = torch.tensor([[0.5, 0.2], [0.5, 0.2], [0.2, 0.2], [0.5, 0.4]])
    other = torch.tensor([[0.5, 0.2], [0.6, 0.2], [0.8, 0.2], [0.5, 0.2]])
    # Equal; half shared, hull .3; apart by .6 in a hull of .8; one inside, middles equal.
    wanted = torch.tensor([1.0, 1 / 3 - 1 / 9, -9 / 16, 0.5])
    torch.testing.assert_close(intervals.distance_overlap(one, other), wanted)


def test_distance_overlap_draws_intervals_that_do_not_touch_together() -> None:
    near = torch.tensor([0.2, 0.1], requires_grad=True)
    intervals.distance_overlap(near, torch.tensor([0.7, 0.1])).backward()
    assert near.grad is not None and float(near.grad[0]) > 0


def test_an_interval_is_learned_on_the_level_of_its_length() -> None:
    widths = torch.tensor([2, 4, 7, 8, 15, 16, 32]) / 32
    assert dimodif.level_of(widths, 3, 32).tolist() == [0, 0, 0, 1, 1, 2, 2]
    shares = torch.zeros(2, 32)
    shares[0, 4:8] = 1
    shares[0, 16:28] = 1
    right, true = method().wanted_proposals(shares, [32, 16, 8])
    assert right[0].nonzero()[:, 0].tolist() == [4, 5, 6, 7, *range(32 + 8, 32 + 14)]
    assert not right[1].any()
    torch.testing.assert_close(true[0, 5], torch.tensor([6 / 32, 4 / 32]))
    torch.testing.assert_close(true[0, 32 + 9], torch.tensor([22 / 32, 12 / 32]))


def test_forged_stretches_are_found() -> None:
    recipe = method(learning_rate=3e-3)
    network = lip_toys.trained(recipe, 100)
    shown = lip_toys.batch(recipe, 40, 999)
    assert shown.replaced is not None
    with torch.inference_mode():
        output = network(shown.pixels)
        _, frames = network.judge(network.levels(*network.sides(shown.pixels))[0])
    truth = shown.replaced[:, 0]
    assert roc_auc((truth > 0.5).flatten().tolist(), frames.flatten().tolist()) > 0.8
    assert output.segments is not None and output.segments.shape == (40, 32 + 16 + 8, 3)
    clips = []
    for found, share in zip(output.segments.tolist(), truth, strict=True):
        true = intervals.bounds(intervals.stretches(share[None])[0]).tolist()
        clips.append(
            ClipIntervals(
                [(begin, end) for begin, end in true],
                [(begin, end) for begin, end, _ in found], [one[2] for one in found],
            )
        )  # fmt: skip
    assert average_precision(clips, 0.5) > 0.25


def test_encoders_of_another_training_stay_frozen(tmp_path: Path) -> None:
    other = avff.Method(avff.Settings(frames=16, width=32, heads=2, layers=1, slices=4)).network()
    torch.save({"network": other.state_dict()}, tmp_path / CHECKPOINT)
    recipe = method(old=str(tmp_path))
    network = recipe.network()
    assert torch.equal(network.lips.front[0].weight, other.lips.front[0].weight)
    loss, parts = recipe.loss(network, lip_toys.batch(recipe, 4, 0))
    loss.backward()
    assert set(parts) == {"bce", "frame", "sure", "interval", "near"}
    still = {name.split(".")[0] for name, w in network.named_parameters() if w.grad is None}
    assert still == {"lips", "speech"}
    with pytest.raises(InvalidInput, match="another method or backbone"):
        method(old=str(tmp_path), width=16).network()


def test_onnx_says_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe = method()
    shown = lip_toys.batch(recipe, 3, 5).pixels.numpy()
    done = export.export(recipe, recipe.network(), tmp_path / "dimodif.onnx", crops=shown)
    assert done.difference < 1e-3


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(InvalidInput, match="halved"):
        method(frames=30).network()
    with pytest.raises(InvalidInput, match="multiple of heads"):
        method(heads=5).network()
