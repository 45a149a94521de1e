"""X-AVDT: shares over sounds as a volume, triplets of a batch, and forged sound that is told."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import lip_toys

from bonafide.errors import InvalidInput
from bonafide.train import export, x_avdt
from bonafide.train.sequences import far_apart

torch.set_num_threads(1)
FRAMES = 16


def method(**changes: object) -> x_avdt.Method:
    given = {
        "frames": FRAMES,
        "width": 16,
        "channels": 32,
        "heads": 2,
        "near": 3,
        "throughout": 1.0,
    }
    return x_avdt.Method(x_avdt.Settings(**{**given, **changes}))


def test_full_size() -> None:
    with torch.device("meta"):
        network = x_avdt.Network(x_avdt.Settings())
    sizes = {n: sum(w.numel() for w in m.parameters()) for n, m in network.named_children()}

    def block(given: int, made: int) -> int:
        inner = made // 2
        grouped = inner * inner // 4 * 27 + inner
        return (
            given * inner + inner + 4 * inner + grouped + inner * made + made + given * made + made
        )

    assert sizes["cues"] == block(11, 128) + 2 * block(128, 128)
    assert sizes["mouth"] == block(2, 64) + block(64, 128) + 2 * block(128, 128)
    assert sizes["attention"] == 4 * 128 * 129 and sizes["head"] == 257
    assert sum(sizes.values()) == 1_939_649


def test_cues_are_shares_of_the_sounds_around_each_moment() -> None:
    torch.manual_seed(0)
    places, sounds = torch.randn(2, 10, 8, 3, 3), torch.randn(2, 10, 8)
    found = x_avdt.heard_by(places, sounds, far_apart(10, 2), 2)
    assert found.shape == (2, 5, 10, 3, 3)
    torch.testing.assert_close(found.sum(1), torch.ones(2, 10, 3, 3))
    assert float(found[:, :2, 0].abs().max()) == 0  # nothing comes before the first moment
    changed = sounds.clone()
    changed[0, 5] += 1
    moved = (x_avdt.heard_by(places, changed, far_apart(10, 2), 2) - found).abs() > 1e-7
    assert moved[0].amax((0, 2, 3)).nonzero()[:, 0].tolist() == [3, 4, 5, 6, 7]


def test_what_goes_with_a_later_sound_says_so() -> None:
    torch.manual_seed(0)
    sounds = torch.randn(1, 12, 32)
    places = sounds.roll(-1, 1)[..., None, None].expand(-1, -1, -1, 3, 3)
    found = x_avdt.heard_by(places, sounds, far_apart(12, 2), 2)
    assert (found[0, :, 2:10].argmax(0) == 3).all()  # one frame later


def test_triplets_ask_the_other_class_to_be_farther() -> None:
    label = torch.tensor([0.0, 0, 1, 1])
    good = torch.tensor([[1.0, 0], [1, 0.01], [-1, 0], [-1, 0.01]])
    assert float(x_avdt.triplets(good, label, 0.3)) == 0
    assert float(x_avdt.triplets(good[[0, 2, 1, 3]], label, 0.3)) > 2
    assert float(x_avdt.triplets(good, torch.zeros(4), 0.3)) == 0


def test_forged_sound_is_told() -> None:
    recipe = method(learning_rate=3e-3, weight_decay=0.0)
    assert lip_toys.share_right(recipe, lip_toys.trained(recipe, 120)) > 0.8


def test_onnx_says_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe = method()
    shown = lip_toys.batch(recipe, 3, 5).pixels.numpy()
    done = export.export(recipe, recipe.network(), tmp_path / "x_avdt.onnx", crops=shown)
    assert done.difference < 1e-3


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(InvalidInput, match="multiple of 32"):
        method(channels=40).network()
    with pytest.raises(InvalidInput, match="less than frames"):
        method(near=16).network()
