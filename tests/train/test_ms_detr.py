"""MS-DETR: intervals, matching, denoising queries, and a stretch that is found."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

import clip_toys

from bonafide.bench.segments import ClipIntervals, average_precision
from bonafide.errors import InvalidInput
from bonafide.train import intervals, ms_detr
from bonafide.train.backbones import Backbone
from bonafide.train.clips import OwnForgeries
from bonafide.train.recipe import Batch

torch.set_num_threads(1)
FRAMES = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return clip_toys.clip_vit(tmp_path_factory.mktemp("backbone"), side=14)


def method(folder: str, **changes: object) -> ms_detr.Method:
    given = {"backbone": folder, "crop": 14, "frames": FRAMES, "width": 32, "heads": 2,
             "layers": 1, "queries": 4, "dropout": 0.0}  # fmt: skip
    return ms_detr.Method(ms_detr.Settings(**{**given, **changes}))


def batch(count: int, seed: int) -> Batch:
    """Clips of one light, in every second of which a stretch is lighter."""
    random = np.random.default_rng(seed)
    pixels = random.normal(0.45, 0.03, (count, FRAMES, 3, 14, 14))
    shares = np.zeros((count, 1, FRAMES), np.float32)
    for number in range(1, count, 2):
        length = int(random.integers(3, 9))
        begin = int(random.integers(FRAMES - length + 1))
        shares[number, 0, begin : begin + length] = 1
    pixels = pixels + 0.3 * shares[:, 0, :, None, None, None]
    shown = torch.from_numpy(pixels.clip(0, 1)).float().flatten(1, 2)
    forged = torch.from_numpy(shares)
    return Batch(shown, forged.amax((1, 2)), torch.full((count,), -1), forged, {})


def test_full_size() -> None:
    config = transformers.CLIPVisionConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
        image_size=224, patch_size=16,
    )  # fmt: skip
    with torch.device("meta"):
        backbone = Backbone(transformers.AutoModel.from_config(config))
        network = ms_detr.Network(backbone, ms_detr.Settings())
    trained = sum(w.numel() for w in network.parameters() if w.requires_grad)
    attention, norm = 4 * 256 * 256 + 4 * 256, 512
    layer = 256 * 1024 + 1024 + 1024 * 256 + 256
    into = 2 * (2 * 768 + 768 * 256 + 256) + 2 * attention
    encoder = 2 * (attention + layer + 2 * norm) + norm
    decoder = 2 * (2 * attention + layer + 3 * norm) + norm
    out = 10 * 256 + (3 * 256 + 257 * 256) + (257 * 256 + 257 * 2) + 257
    assert trained == into + encoder + decoder + out


def test_overlap_is_generalised_iou() -> None:
    one = torch.tensor([[0.5, 0.2], [0.5, 0.2], [0.2, 0.2]])
    other = torch.tensor([[0.5, 0.2], [0.6, 0.2], [0.8, 0.2]])
    found = intervals.overlap(one, other)
    # Equal; half shared, hull .3; apart, hull .8 of which .4 is empty.
    torch.testing.assert_close(found, torch.tensor([1.0, 1 / 3, -0.5]))


def test_stretches_are_read_from_frames() -> None:
    shares = torch.tensor([[0, 1, 1, 0, 0, 0, 0, 1.0], [0.2] * 8, [1.0] * 8])
    found = intervals.stretches(shares)
    torch.testing.assert_close(found[0], torch.tensor([[2 / 8, 2 / 8], [7.5 / 8, 1 / 8]]))
    assert found[1].shape == (0, 2) and found[2].tolist() == [[0.5, 1.0]]
    torch.testing.assert_close(
        intervals.bounds(found[0]), torch.tensor([[1 / 8, 3 / 8], [7 / 8, 1.0]])
    )


def test_matching_is_one_to_one(folder: str) -> None:
    truth = torch.tensor([[0.3, 0.2], [0.8, 0.1]])
    intervals = torch.tensor([[0.31, 0.2], [0.8, 0.12], [0.3, 0.2], [0.1, 0.1]])
    rows, own = method(folder).matched(intervals, torch.zeros(4), truth)
    assert dict(zip(rows.tolist(), own.tolist(), strict=True)) == {1: 1, 2: 0}


def test_near_noise_is_restored_and_far_noise_refused(folder: str) -> None:
    recipe = method(folder)
    torch.manual_seed(0)
    truths = [torch.tensor([[0.5, 0.2]]), torch.zeros(0, 2)]
    shown = torch.cat(
        [made[:1] for made in (recipe.noised(truths) for _ in range(50)) if made is not None]
    )
    near, far = (intervals.overlap(shown[:, place], truths[0]) for place in (0, 1))
    assert shown.shape[1:] == (2, 2) and float(near.min()) > 0.4 > float(far.mean())
    assert recipe.noised([truths[1]]) is None


def test_denoising_queries_are_alone(folder: str) -> None:
    network = method(folder).network().eval()
    memory = torch.randn(1, FRAMES, 32)
    noised = torch.rand(1, 4, 2)
    changed = noised.clone()
    changed[0, 1] = 0.9
    with torch.inference_mode():
        free = network.decode(memory)[1]
        one, other = (network.decode(memory, given)[1] for given in (noised, changed))
    torch.testing.assert_close(one[:, :4], free)
    moved = (one - other).abs()[0] > 1e-6
    assert moved.tolist() == [False] * 5 + [True] + [False] * 2


def test_a_stretch_of_a_clip_is_forged(folder: str) -> None:
    recipe = method(folder)
    assert isinstance(recipe, OwnForgeries)
    clip = np.random.default_rng(0).integers(0, 256, (64, 64, 3 * FRAMES)).astype(np.uint8)
    for seed in range(5):
        made, share = recipe.forge(clip, np.random.default_rng(seed))
        changed = (made != clip).reshape(64, 64, FRAMES, 3).any((0, 1, 3))
        assert changed.tolist() == (share > 0).tolist()
        assert 2 <= share.sum() <= 0.6 * FRAMES + 1
        assert len(intervals.stretches(torch.from_numpy(share)[None])[0]) == 1


def test_stretches_are_found(folder: str) -> None:
    recipe = method(folder, learning_rate=3e-3)
    torch.manual_seed(0)
    network = recipe.network().train()
    optimiser = recipe.optimiser(network)
    frozen = {n: w.clone() for n, w in network.backbone.named_parameters()}
    for step in range(120):
        loss, parts = recipe.loss(network, batch(12, step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert {"kind", "distance", "iou", "noised_kind", "noised_distance", "noised_iou"} == set(parts)
    assert all(torch.equal(w, frozen[n]) for n, w in network.backbone.named_parameters())
    network.eval()
    shown = batch(24, 999)
    with torch.inference_mode():
        output = network(shown.pixels)
    assert output.segments is not None and output.segments.shape == (24, 4, 3)
    clips = []
    for found, share in zip(output.segments.tolist(), shown.replaced[:, 0], strict=True):
        truth = intervals.bounds(intervals.stretches(share[None])[0]).tolist()
        clips.append(
            ClipIntervals(
                [(begin, end) for begin, end in truth],
                [(begin, end) for begin, end, _ in found], [one[2] for one in found],
            )
        )  # fmt: skip
    assert average_precision(clips, 0.5) > 0.4  # 0.65 where it was written
    right = (output.logit > 0) == (shown.label > 0)
    assert float(right.float().mean()) > 0.9


def test_settings_that_cannot_work_are_refused(folder: str) -> None:
    with pytest.raises(InvalidInput, match="multiple of heads"):
        method(folder, heads=3).network()
