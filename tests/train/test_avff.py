"""AVFF: masks that complete each other, nothing of what is hidden, and guesses that are learned."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import lip_toys

from bonafide.bench.metrics import roc_auc
from bonafide.errors import InvalidInput
from bonafide.train import avff, export, speaking
from bonafide.train.checkpoints import CHECKPOINT
from bonafide.train.recipe import Batch

torch.set_num_threads(1)
FRAMES = 16


def method(**changes: object) -> avff.Method:
    given = {"frames": FRAMES, "width": 32, "heads": 2, "layers": 1, "slices": 4, "batch": 8}
    return avff.Method(avff.Settings(**{**given, **changes}))


def test_full_size() -> None:
    with torch.device("meta"):
        network = avff.Network(avff.Settings())
    width, norm = 256, 512
    attention = 4 * width * (width + 1)
    wide = 2 * width * (width + 1) + width * (2 * width + 1)
    layer = attention + wide + 2 * norm
    lips = (64 * 125 + 64 + 128) + (64 * 128 * 9 + 3 * 128) + (128 * 256 * 9 + 3 * 256)
    lips += 256 * 256 * 9 + 3 * 256
    speech = (80 * 256 * 5 + 3 * 256) + (256 * 256 * 4 + 3 * 256) + (256 * 256 * 3 + 3 * 256)
    encoders = 2 * (4 * layer + norm)
    guesses = 2 * (width + norm + attention + norm + wide)
    drawers = 2 * (layer + norm) + 257 * (576 + 320)
    head = 2 * 1024 + 1025 * 256 + 257
    count = sum(weights.numel() for weights in network.parameters())
    assert count == lips + speech + encoders + guesses + drawers + head == 8_354_817


def test_what_is_seen_is_not_heard_and_the_other_way_round() -> None:
    torch.manual_seed(0)
    seen = avff.complementary(50, 16, 8)
    assert seen.shape == (50, 16) and (seen.sum(1) == 8).all()
    pairs = seen.unflatten(1, (8, 2))
    assert torch.equal(pairs[..., 0], pairs[..., 1])  # slices are whole
    assert len({tuple(row.tolist()) for row in seen}) > 20


def test_nothing_of_what_is_hidden_reaches_the_encoders() -> None:
    recipe = method()
    network = recipe.network().eval()
    given = lip_toys.batch(recipe, 2, 0).pixels
    seen = avff.complementary(2, FRAMES, 4)
    shown = speaking.taken_apart(given)
    mouth = torch.where(seen[:, :, None, None], shown.mouth, torch.rand_like(shown.mouth))
    heard = (~seen).repeat_interleave(speaking.HEARD, 1)
    sound = torch.where(heard, shown.sound, torch.rand_like(shown.sound) - 0.5)
    with torch.inference_mode():
        plain = network.hidden(shown, seen)
        other = network.hidden(speaking.Shown(mouth, sound), seen)
        moved = network.hidden(speaking.Shown(shown.mouth * 0.5, shown.sound), seen)
    for one, two in zip(plain, other, strict=True):
        assert one.shape == (2, FRAMES // 2, 32)
        torch.testing.assert_close(one, two)
    assert not torch.allclose(plain[0], moved[0])


def test_guesses_of_one_side_come_from_the_other() -> None:
    recipe = method()
    network = recipe.network().eval()
    shown = speaking.taken_apart(lip_toys.batch(recipe, 2, 0).pixels)
    seen = avff.complementary(2, FRAMES, 4)
    with torch.inference_mode():
        video, _ = network.hidden(shown, seen)
        moments = network.place.expand(2, -1, -1)
        asked = moments[seen].unflatten(0, (2, -1))
        plain = network.to_audio(video, asked)
        assert plain.shape == (2, FRAMES // 2, 32)
        assert not torch.allclose(plain, network.to_audio(video.flip(0), asked), atol=1e-4)


def test_contrast_is_small_where_sides_agree() -> None:
    torch.manual_seed(0)
    rows = torch.randn(6, 32)
    agree = float(avff.contrast(rows, 2 * rows, 0.05))
    assert agree < 0.05 < float(avff.contrast(rows, rows.roll(1, 0), 0.05))


def test_two_stages(tmp_path: Path) -> None:
    """First the sound of a stretch is found among others, then a flaw of the mouth is told."""
    first = method(learning_rate=2e-3, contrast=0.05)
    torch.manual_seed(0)
    network = first.network().train()
    optimiser = first.optimiser(network)
    found = []
    for step in range(100):
        loss, parts = first.loss(network, lip_toys.batch(first, 16, step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(parts)
    assert set(found[0]) == {"head", "contrast", "mouth", "sound"}
    assert found[-1]["mouth"] < 0.5 * found[0]["mouth"]
    network.eval()
    fresh = speaking.taken_apart(lip_toys.batch(first, 32, 999).pixels[::2])
    with torch.inference_mode():
        guessed = network.guessed(fresh, avff.complementary(16, FRAMES, 4))
    one, other = (torch.nn.functional.normalize(part, dim=1) for part in guessed[:2])
    fits = torch.eye(16).bool().flatten().tolist()
    assert roc_auc(fits, (one @ other.mT).flatten().tolist()) > 0.75
    torch.save({"network": network.state_dict()}, tmp_path / CHECKPOINT)

    second = method(learning_rate=1e-4, old=str(tmp_path))
    torch.manual_seed(0)
    tuned = second.network().train()
    for name, weight in network.state_dict().items():
        assert torch.equal(tuned.state_dict()[name], weight)
    optimiser = second.optimiser(tuned)
    assert {group["lr"] for group in optimiser.param_groups} == {1e-4, 50e-4}
    for step in range(30):
        loss, parts = second.loss(tuned, flickering(second, step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert set(parts) == {"bce"}
    shown = flickering(second, 999)
    with torch.inference_mode():
        right = (tuned.eval()(shown.pixels).logit > 0) == (shown.label > 0)
    assert float(right.float().mean()) > 0.8


def flickering(recipe: avff.Method, seed: int) -> Batch:
    """Genuine stretches; every second one is darker in every second frame."""
    given = lip_toys.batch(recipe, 32, seed)
    shown = given.pixels[::2].clone()
    shown[1::2, ::2, : speaking.PIXELS] *= 0.7
    return Batch(shown, torch.arange(16) % 2.0, torch.full((16,), -1), None, {})


def test_the_first_stage_moves_nothing_for_the_head() -> None:
    recipe = method()
    network = recipe.network()
    batch = lip_toys.batch(recipe, 4, 0)
    forged = batch.label > 0
    alone = type(batch)(batch.pixels[forged], batch.label[forged], batch.pair[forged], None, {})
    loss, parts = recipe.loss(network, alone)
    loss.backward()
    assert set(parts) == {"head"}
    moved = {name.split(".")[0] for name, w in network.named_parameters() if w.grad is not None}
    assert moved == {"head"}


def test_onnx_says_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe = method()
    shown = lip_toys.batch(recipe, 3, 5).pixels.numpy()
    done = export.export(recipe, recipe.network(), tmp_path / "avff.onnx", crops=shown)
    assert done.difference < 1e-3 and done.compared[1] == (3, FRAMES, speaking.WIDTH)


def test_settings_that_cannot_work_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="divide frames"):
        method(slices=6).network()
    with pytest.raises(InvalidInput, match="multiple of heads"):
        method(heads=5).network()
    with pytest.raises(InvalidInput, match="no training"):
        method(old=str(tmp_path)).network()
