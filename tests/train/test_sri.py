"""SRI-Net: gloss, light and texture are told apart, and their relation is learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

import localisers
import toys

from bonafide.errors import InvalidInput
from bonafide.train import sri
from bonafide.train.backbones import Backbone
from bonafide.train.loop import fit
from bonafide.train.recipe import Batch

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return localisers.resnet(tmp_path_factory.mktemp("resnet"))


def method(folder: str, **changes: object) -> sri.Method:
    given = {"backbone": folder, "crop": 64, "batch": 8, "width": 16, "heads": 2}
    return sri.Method(sri.Settings(**{**given, **changes}))


def skin(seed: int = 0) -> torch.Tensor:
    """A reddish surface with fine texture, (1, 3, 64, 64)."""
    random = torch.Generator().manual_seed(seed)
    colour = torch.tensor([0.7, 0.5, 0.4]).view(1, 3, 1, 1)
    return colour * (1 + 0.1 * torch.randn(1, 1, 64, 64, generator=random))


def stored(light: torch.Tensor) -> torch.Tensor:
    return light.clamp(0, 1) ** (1 / sri.GAMMA)


def spot(x: float, y: float, size: float = 2.0) -> torch.Tensor:
    down, across = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    return torch.exp(-((down - y) ** 2 + (across - x) ** 2) / (2 * size**2)).view(1, 1, 64, 64)


def ramp() -> torch.Tensor:
    return torch.linspace(0.3, 1.0, 64).view(1, 1, 1, 64)


def test_full_size() -> None:
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(transformers.ResNetConfig())
        network = sri.Network(Backbone(model), 256, 4, 20.0)
    counts = {n: sum(w.numel() for w in m.parameters()) for n, m in network.named_children()}
    assert counts["backbone"] == 23_508_032
    # Attention of 256, three norms, a layer there and back.
    look = 4 * 256 * 256 + 4 * 256 + 3 * 512 + 256 * 512 + 512 + 512 * 256 + 256
    assert counts["first"] == counts["second"] == look
    assert sum(counts.values()) == 26_255_297


def test_parts_make_the_picture_again() -> None:
    torch.manual_seed(0)
    pixels = torch.rand(2, 3, 40, 56)
    parts = sri.split(pixels, 4.0)
    again = parts.direct * parts.texture + parts.specular
    torch.testing.assert_close(again, sri.linear(pixels), atol=1e-5, rtol=1e-4)
    assert float(parts.specular.min()) >= 0 and float(parts.direct.min()) > 0


def test_light_goes_to_light_and_gloss_to_gloss() -> None:
    plain = sri.split(stored(skin()), 5.0)
    shaded = sri.split(stored(skin() * ramp()), 5.0)
    inside = (slice(None), slice(None), slice(12, 52), slice(12, 52))
    followed = (shaded.direct / plain.direct / ramp())[inside]
    assert float(followed.std() / followed.mean()) < 0.03
    torch.testing.assert_close(shaded.texture[inside], plain.texture[inside], atol=0.1, rtol=0)

    plain = sri.split(stored(skin()), 10.0)
    glossy = sri.split(stored(skin() + 0.25 * spot(30, 34)), 10.0)
    shown = spot(30, 34)[0, 0] > 0.6
    rise = glossy.specular - plain.specular
    assert float(rise[0, 0][shown].mean()) > 0.1  # of about 0.2 that was added
    change = (glossy.texture - plain.texture).abs().mean(1)[0]
    gained = (glossy.specular / glossy.direct - plain.specular / plain.direct)[0, 0]
    assert float(gained[shown].mean()) > 2 * float(change[shown].mean())


def test_colour_is_texture() -> None:
    """A red patch is no gloss: gloss has the colour of the light."""
    red = skin() + 0.25 * spot(30, 34) * torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    before, after = sri.split(stored(skin()), 5.0), sri.split(stored(red), 5.0)
    shown = spot(30, 34)[0, 0] > 0.6
    assert float((after.specular - before.specular)[0, 0][shown].mean()) < 0.02


def lit(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Faces lit from the left or right; where they are forged, gloss lies on the dark side."""
    random = np.random.default_rng(seed)
    shown, label = [], torch.arange(count) % 2.0
    for number in range(count):
        bright = bool(random.integers(2))
        light = ramp() if bright else ramp().flip(3)
        at = 46 if bright != bool(label[number]) else 18
        gloss = spot(at + random.uniform(-4, 4), random.uniform(20, 44), 4.0)
        shown.append(stored(0.8 * skin(int(random.integers(1000))) * light + 0.5 * gloss))
    return torch.cat(shown), label


def test_gloss_against_the_light_is_learned(folder: str) -> None:
    recipe = method(folder, learning_rate=3e-3, batch=16)
    torch.manual_seed(0)
    network = recipe.network().train()
    optimiser = recipe.optimiser(network)
    for step in range(60):
        pixels, label = lit(16, step)
        loss, _ = recipe.loss(network, Batch(pixels, label, torch.full((16,), -1), None, {}))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.eval()
    pixels, label = lit(32, 1000)
    with torch.inference_mode():
        right = (network(pixels).logit > 0) == (label > 0)
    assert float(right.float().mean()) > 0.85


def test_gloss_looks_at_light_and_texture(folder: str) -> None:
    """The first look depends on both causes, the second on the picture."""
    network = method(folder).network().eval()
    pixels, _ = lit(2, 0)
    before = network(pixels).logit
    for name in ("texture", "direct", "project"):
        layer = getattr(network, name)
        taken = layer.forward
        layer.forward = lambda given, run=taken: 0 * run(given)
        assert not torch.allclose(network(pixels).logit, before, atol=1e-6), name
        layer.forward = taken


def test_settings_that_cannot_work_are_refused(folder: str) -> None:
    with pytest.raises(InvalidInput, match="multiple of 4"):
        method(folder, width=18).network()


def test_learns_grain(folder: str, tmp_path: Path) -> None:
    recipe = method(folder, steps=20, learning_rate=5e-3)
    fitted = fit(recipe, toys.grain(tmp_path, 72), tmp_path / "out")
    assert fitted.progress.best_auc > 0.9
