"""IADG: kernels of each picture, styles of its class, covariances that style moves."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

import toys

from bonafide.errors import InvalidInput
from bonafide.train import depth_net, iadg
from bonafide.train.loop import fit
from bonafide.train.recipe import Batch

torch.set_num_threads(1)


def method(**changes: object) -> iadg.Method:
    given = {"width": 8, "crop": 24, "batch": 8, "styles": 4, "pool": 16, "refresh": 3}
    return iadg.Method(iadg.Settings(**{**given, **changes}))


def batch(count: int = 8, seed: int = 0) -> Batch:
    """Smooth pictures of many colours, every second one with a grain."""
    torch.manual_seed(seed)
    label = torch.arange(count) % 2.0
    base = torch.rand(count, 3, 2, 2).repeat_interleave(12, 2).repeat_interleave(12, 3)
    grain = 0.3 * (torch.rand(count, 3, 24, 24) - 0.5) * label.view(-1, 1, 1, 1)
    pixels = (base + grain).clamp(0, 1)
    return Batch(pixels, label, torch.full((count,), -1), None, {})


def test_full_size() -> None:
    with torch.device("meta"):
        network = iadg.Network(128, 128, 1024)
    sizes = {n: sum(w.numel() for w in m.parameters()) for n, m in network.named_children()}
    assert sizes["trunk"] == 1_727_960 and sizes["heads"] == 517_250
    assert sum(sizes.values()) == 5_603_482


def test_depth_is_that_of_a_face_or_none() -> None:
    depth = depth_net.wanted_depth(torch.tensor([0.0, 1.0]), 33, 33)
    assert float(depth[0, 16, 16]) == 1 and float(depth[0, 0, 0]) == 0
    assert float(depth[1].abs().sum()) == 0
    assert float(depth_net.depth_loss(depth, torch.tensor([0.0, 1.0]))) == 0


def test_each_picture_has_kernels_of_its_own() -> None:
    torch.manual_seed(0)
    layer = iadg.DynamicKernel(8).eval()
    features = torch.randn(3, 8, 6, 7)
    features += torch.tensor([0.0, 1.0, -1.0]).view(3, 1, 1, 1)
    kernels = layer.kernels(features[:, :4])
    assert not torch.allclose(kernels[0], kernels[1])
    layer.after = torch.nn.Identity()
    found = layer(features)
    for row in range(3):
        wanted = torch.nn.functional.conv2d(
            features[row : row + 1, :4], kernels[row][:, None], padding=1, groups=4
        )
        torch.testing.assert_close(found[row, :4], wanted[0])


def test_styles_are_of_the_own_class_and_within_its_span() -> None:
    torch.manual_seed(0)
    styles = iadg.Styles(2, 4, 16)
    label = torch.arange(12) % 2.0
    features = torch.rand(12, 2, 5, 5) + 10 * label.view(-1, 1, 1, 1)
    styles.note(features, label, 5)
    mean, deviation = styles.mixed(torch.tensor([0.0, 1.0] * 20))
    assert float(mean[::2].max()) < 1 and float(mean[1::2].min()) > 10
    assert float(deviation.min()) > 0
    painted = iadg.restyled(features, (mean[:12], deviation[:12]))
    torch.testing.assert_close(iadg.statistics(painted)[0], mean[:12], atol=1e-4, rtol=1e-4)


def test_the_farthest_are_chosen_and_chosen_again() -> None:
    rows = torch.tensor([[0.0], [1.0], [10.0], [5.0], [0.1]])
    assert iadg.farthest(rows, 3).tolist() == [0, 2, 3]
    assert sorted(iadg.farthest(torch.zeros(3, 2), 3).tolist()) == [0, 1, 2]
    styles = iadg.Styles(1, 2, 4)
    torch.manual_seed(0)
    label = torch.arange(4) % 2.0
    styles.note(torch.rand(4, 1, 3, 3), label, 3)
    kept = styles.base.clone()
    for _ in range(2):
        styles.note(torch.rand(4, 1, 3, 3) + 5, label, 3)
    assert torch.equal(styles.base, kept)  # not yet
    styles.note(torch.rand(4, 1, 3, 3) + 5, label, 3)
    assert not torch.equal(styles.base, kept)


def test_covariances_that_vary_most_are_counted_more_of_live_pictures() -> None:
    first = torch.tensor([[0.9, 0.5, 0.2, 0.1]] * 2)
    second = torch.tensor([[0.1, 0.4, 0.2, 0.1]] * 2)
    lost = iadg.whitening(first, second, torch.tensor([0.0, 1.0]), (0.5, 0.25))
    live, attack = (0.9 + 0.5) / 2 + (0.1 + 0.4) / 2, 0.9 + 0.1
    assert float(lost) == pytest.approx((live + attack) / 2)


def test_covariances_are_those_of_whitened_channels() -> None:
    torch.manual_seed(0)
    features = torch.rand(2, 3, 8, 8)
    wanted = torch.corrcoef(features[1].flatten(1))
    found = iadg.covariances(features)[1]
    expected = torch.stack([wanted[0, 1], wanted[0, 2], wanted[1, 2]])
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_style_moves_covariances_less_after_training() -> None:
    """What varies between the two views shrinks where it is suppressed, and not elsewhere."""
    ends = []
    for weight in (0.0, 5.0):
        torch.manual_seed(0)
        recipe = method(whitening=weight, learning_rate=5e-3)
        network, given = recipe.network().train(), batch()
        optimiser = recipe.optimiser(network)
        for _ in range(20):
            loss, _ = recipe.loss(network, given)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        network.eval()
        torch.manual_seed(1)
        with torch.inference_mode():
            features = network.features(given.pixels)
            views = [network.assembled(features, style)
                     for style in (None, network.styles.mixed(given.label))]  # fmt: skip
            pair = [iadg.covariances(view) for view in views]
        ends.append(float(iadg.whitening(*pair, given.label, (0.05, 0.05))))
    assert ends[1] < 0.7 * ends[0]


def test_settings_that_cannot_work_are_refused() -> None:
    for changes, why in (({"width": 7}, "even"), ({"styles": 20}, "pool=16")):
        with pytest.raises(InvalidInput, match=why):
            method(**changes).network()


def test_learns_grain(tmp_path: Path) -> None:
    recipe = method(steps=30, learning_rate=5e-3, validate_every=30)
    fitted = fit(recipe, toys.grain(tmp_path, 40), tmp_path / "out")
    assert fitted.progress.best_auc > 0.9
