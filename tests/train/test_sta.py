"""StA: what adapters see, what stays frozen, and that the order of frames is learned."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

import clip_toys

from bonafide.errors import InvalidInput
from bonafide.train import clips, sta
from bonafide.train.backbones import Backbone, load_backbone
from bonafide.train.loop import fit

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return clip_toys.clip_vit(tmp_path_factory.mktemp("backbone"))


def method(folder: str, **changes: object) -> sta.Method:
    given = {"backbone": folder, "crop": 28, "batch": 8, "inner": 8, "frames": clip_toys.FRAMES}
    return sta.Method(sta.Settings(**{**given, **changes}))


def test_full_size() -> None:
    config = transformers.CLIPVisionConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
        image_size=224, patch_size=14,
    )  # fmt: skip
    with torch.device("meta"):
        backbone = Backbone(transformers.AutoModel.from_config(config))
        network = sta.Network(backbone, 8, 512, 2)
    trained = sum(w.numel() for w in network.parameters() if w.requires_grad)
    ends = 1024 * 512 + 512 + 512 * 1024 + 1024
    streams = 512 * (9 + 25 + 49) + 512 * (3 + 5 + 7) + 6 * 512
    attention = 4 * (512 * 512 + 512)
    assert trained == 23 * (ends + streams + attention) + 1024 + 1 == 49_542_657


def test_starts_as_the_backbone_was(folder: str) -> None:
    network = method(folder).network().eval()
    pixels = clip_toys.ramps(2, 0).pixels
    frames = clips.frames_of(pixels, clip_toys.FRAMES)
    with torch.inference_mode():
        torch.testing.assert_close(
            network.backbone(frames).pooled, load_backbone(folder)(frames).pooled
        )


def test_each_stream_mixes_its_own_axis(folder: str) -> None:
    adapter = next(sta.adapters(method(folder).network()))
    torch.manual_seed(0)
    patches = torch.randn(clip_toys.FRAMES, 16, 16)
    changed = patches.clone()
    changed[3, 5] += 1  # one patch of one frame, in row 1 and column 1
    with torch.inference_mode():
        before, after = adapter.streams(patches), adapter.streams(changed)
    spatial, temporal = (
        (new - old).abs().sum(1)[0] > 1e-7 for old, new in zip(before, after, strict=True)
    )
    assert spatial[3].all() and not spatial[[0, 1, 2, 4, 5, 6, 7]].any()
    assert temporal[:7, 1, 1].all() and int(temporal.sum()) == 7  # three frames to either side


def test_adapters_and_the_head_alone_are_trained(folder: str) -> None:
    recipe = method(folder)
    network = recipe.network().train()
    frozen = {n: w.clone() for n, w in network.named_parameters() if not w.requires_grad}
    optimiser = recipe.optimiser(network)
    for seed in range(2):
        loss, _ = recipe.loss(network, clip_toys.ramps(4, seed))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    moved = {n for n, w in network.named_parameters() if w.grad is not None}
    assert moved == {n for n, w in network.named_parameters() if "adapter." in n or "head." in n}
    now = dict(network.named_parameters())
    assert frozen and all(torch.equal(now[name], weight) for name, weight in frozen.items())


def test_the_order_of_frames_is_learned(folder: str) -> None:
    """Without adapters the order cannot matter: the mean over frames forgets it."""
    recipe = method(folder, learning_rate=2e-2, weight_decay=0.0, crop=14)
    torch.manual_seed(0)
    network = recipe.network().train()
    shown = clip_toys.ramps(16, 99, 14).pixels
    frames = shown.unflatten(1, (clip_toys.FRAMES, 3))
    backwards = frames.flip(1).flatten(1, 2)
    with torch.inference_mode():
        torch.testing.assert_close(network(shown).logit, network(backwards).logit)
    optimiser = recipe.optimiser(network)
    for step in range(50):
        loss, _ = recipe.loss(network, clip_toys.ramps(8, step, 14))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.inference_mode():
        right = (network(shown).logit > 0) == (clip_toys.ramps(16, 99, 14).label > 0)
        assert not torch.allclose(network(shown).logit, network(backwards).logit, atol=0.1)
    assert float(right.float().mean()) > 0.85


def test_backbones_without_blocks_are_refused(folder: str) -> None:
    with pytest.raises(InvalidInput, match="multiple of heads"):
        method(folder, inner=9).network()
    with pytest.raises(InvalidInput, match="no blocks"):
        sta.Network(load_backbone(clip_toys.clip_vit(Path(folder) / "one", blocks=1)), 8, 8, 2)


def test_trains_on_genuine_clips_alone(folder: str, tmp_path: Path) -> None:
    table = clip_toys.write_crops(tmp_path, videos=4, forged=False)
    data = clips.load(table, clip_toys.PROTOCOL, tmp_path / "cache", clip_toys.FRAMES, 0.0, jobs=1)
    fitted = fit(method(folder, steps=2, held_out=0.0, batch=4), data, tmp_path / "out")
    assert fitted.finished
