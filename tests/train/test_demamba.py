"""DeMamba: the scan against its definition, zones, orders, ablations, and a toy problem."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

import clip_toys

from bonafide.errors import InvalidInput
from bonafide.train import demamba
from bonafide.train.backbones import Backbone
from bonafide.train.recipe import Batch

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return clip_toys.clip_vit(tmp_path_factory.mktemp("backbone"))


def method(folder: str, **changes: object) -> demamba.Method:
    given = {"backbone": folder, "crop": 28, "frames": clip_toys.FRAMES}
    return demamba.Method(demamba.Settings(**{**given, **changes}))


def test_the_scan_is_its_definition() -> None:
    torch.manual_seed(0)
    count, length, width, states = 2, 13, 5, 3
    inputs = torch.randn(count, length, width, dtype=torch.float64, requires_grad=True)
    step = torch.rand(count, length, width, dtype=torch.float64)
    decay = -torch.rand(width, states, dtype=torch.float64)
    into, out = torch.randn(2, count, length, states, dtype=torch.float64)
    state, expected = torch.zeros(count, width, states, dtype=torch.float64), []
    for t in range(length):
        kept = torch.exp(step[:, t, :, None] * decay)
        state = kept * state + step[:, t, :, None] * into[:, t, None] * inputs[:, t, :, None]
        expected.append((state * out[:, t, None]).sum(-1))
    slow = torch.stack(expected, 1)
    fast = demamba.selective_scan(inputs, step, decay, into, out)
    torch.testing.assert_close(fast, slow)
    slopes = [torch.autograd.grad(found.sin().sum(), inputs)[0] for found in (slow, fast)]
    torch.testing.assert_close(*slopes)


def test_one_direction_sees_nothing_that_follows() -> None:
    torch.manual_seed(0)
    tokens = torch.randn(1, 10, 8)
    changed = tokens.clone()
    changed[0, 6] = torch.randn(8)
    one, two = demamba.Block(8, False), demamba.Block(8, True)
    with torch.inference_mode():
        for block, first in ((one, 6), (two, 0)):
            moved = (block(changed) - block(tokens)).abs().sum(2)[0] > 1e-7
            assert moved.nonzero()[0].item() == first and bool(moved[first:].all())


def test_zones_hold_their_own_cells_in_every_frame() -> None:
    cells = torch.arange(2 * 4 * 4.0).view(1, 2, 1, 4, 4)  # two frames of 4×4 cells
    zones = demamba.zones_of(cells, 2)[0, :, :, 0]
    assert zones[1].tolist() == [2, 3, 6, 7, 18, 19, 22, 23]
    assert zones[2].tolist() == [8, 9, 12, 13, 24, 25, 28, 29]


def test_a_continuous_walk_makes_no_jump() -> None:
    frames, zone = 3, 3
    for continuous, longest in ((True, 1), (False, 5)):
        order = demamba.walk(frames, zone, continuous)
        assert sorted(order.tolist()) == list(range(frames * zone * zone))
        place = torch.stack([order // 9, order % 9 // 3, order % 3], 1)
        assert int(place.diff(dim=0).abs().sum(1).max()) == longest


def test_a_zone_sees_no_other(folder: str) -> None:
    network = method(folder).network().eval()
    maps = torch.randn(1, clip_toys.FRAMES, 16, 4, 4)
    changed = maps.clone()
    changed[0, 3, :, 0, 3] = torch.randn(16)  # zone 1 of four
    with torch.inference_mode():
        moved = (network.followed(changed) - network.followed(maps)).abs().sum(2)[0] > 1e-7
    assert moved.tolist() == [False, True, False, False]


def test_full_size_and_ablations() -> None:
    config = transformers.CLIPVisionConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
        image_size=224, patch_size=16,
    )  # fmt: skip

    def counted(**changes: object) -> tuple[int, int]:
        with torch.device("meta"):
            backbone = Backbone(transformers.AutoModel.from_config(config))
            network = demamba.Network(backbone, demamba.Settings(**changes))
        own = sum(w.numel() for n, w in network.named_parameters() if "backbone" not in n)
        return own, sum(w.numel() for w in network.parameters() if w.requires_grad)

    width, inner = 768, 1536
    scan = inner * 5 + inner * (48 + 32) + 48 * inner + inner + inner * 16 + inner
    block = 2 * width + width * 2 * inner + 2 * scan + inner * width
    head = 4 * width + 2 * width * width + width + width + 1
    assert counted() == (block + head, 85_799_424 + block + head)
    assert counted(frozen=True)[1] == block + head
    assert counted(both_ways=False)[0] == block + head - scan
    assert counted(features="local")[0] == block + head - width * width - 2 * width
    assert counted(features="global")[0] == head - width * width - 2 * width
    assert counted(zone=0, scan="sweep")[0] == block + head


def train(recipe: demamba.Method, steps: int) -> float:
    """Share of clips judged rightly after some steps."""
    torch.manual_seed(0)
    network = recipe.network().train()
    optimiser = recipe.optimiser(network)
    for step in range(steps):
        loss, _ = recipe.loss(network, clip_toys.ramps(8, step, 14))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    shown: Batch = clip_toys.ramps(16, 99, 14)
    with torch.inference_mode():
        return float(((network(shown.pixels).logit > 0) == (shown.label > 0)).float().mean())


def test_the_order_of_frames_is_learned_by_the_scan(folder: str) -> None:
    assert train(method(folder, learning_rate=2e-2, crop=14), 40) > 0.85
    network = method(folder, features="global", crop=14).network().eval()
    shown = clip_toys.ramps(4, 0, 14).pixels
    with torch.inference_mode():  # frames without a scan are a bag
        backwards = shown.unflatten(1, (-1, 3)).flip(1).flatten(1, 2)
        torch.testing.assert_close(network(shown).logit, network(backwards).logit)


def test_the_rate_falls_twice(folder: str) -> None:
    recipe = method(folder, steps=30)
    assert [recipe.rate(step) for step in (0, 19, 20, 24, 25)] == [1, 1, 0.1, 0.1, 0.01]


def test_settings_that_cannot_work_are_refused(folder: str) -> None:
    with pytest.raises(InvalidInput, match="scan must be"):
        method(folder, scan="random")
    for changes in ({"zone": 3}, {"crop": 30}):
        with pytest.raises(InvalidInput, match="divide"):
            method(folder, **changes).network()
