"""VLFFD: regions, flaws and their sentences, and a model that names them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

import skimage.data
import toys
from torch import Tensor
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.networks.faces import TEMPLATE
from bonafide.subjects.faces import CROP_MARGIN
from bonafide.train import vlffd
from bonafide.train.loop import fit
from bonafide.train.recipe import Batch

torch.set_num_threads(1)
SIDE = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """CLIP of some thousand parameters, whose tokenizer knows the words of the sentences."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    path = tmp_path_factory.mktemp("clip")
    words = sorted({word for one in vlffd.SENTENCES for word in one.split()})
    special = ["<pad>", "<s>", "<unk>", "</s>"]
    known = {word: place for place, word in enumerate([*special, *words])}
    made = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 3)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        unk_token="<unk>",
    ).save_pretrained(path)  # fmt: skip
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = transformers.CLIPConfig(
        text_config={**sizes, "num_hidden_layers": 1, "vocab_size": len(known),
                     "max_position_embeddings": 40, "bos_token_id": 1, "eos_token_id": 3},
        vision_config={**sizes, "num_hidden_layers": 2, "image_size": SIDE, "patch_size": 8},
        projection_dim=16,
    )  # fmt: skip
    transformers.CLIPModel(config).save_pretrained(path)
    return str(path)


def method(folder: str, **changes: object) -> vlffd.Method:
    return vlffd.Method(vlffd.Settings(**{"backbone": folder, "crop": SIDE, "batch": 8, **changes}))


def face(side: int = 96) -> Tensor:
    pixels = skimage.data.astronaut()[60:188, 160:288]
    shown = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255
    return functional.interpolate(shown, (side, side), mode="area")


def test_full_size() -> None:
    config = transformers.CLIPConfig(
        text_config={"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12,
                     "num_attention_heads": 8, "vocab_size": 49408},
        vision_config={"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
                       "num_attention_heads": 12, "image_size": 224, "patch_size": 16},
        projection_dim=512,
    )  # fmt: skip
    empty = torch.zeros(66, 77, dtype=torch.int64)
    with torch.device("meta"):
        network = vlffd.Network(
            transformers.CLIPModel(config), {"input_ids": empty, "attention_mask": empty}
        )
    assert sum(w.numel() for w in network.parameters()) == 149_620_737 + 768 + 1


def test_each_region_and_flaw_has_its_sentence() -> None:
    assert len(vlffd.SENTENCES) == len(set(vlffd.SENTENCES)) == 2 + 4 * 16
    region = torch.tensor([0, 2, 3])
    flaws = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 1], [0, 1, 0, 0]]).bool()
    told = [vlffd.SENTENCES[n] for n in vlffd.number_of(region, flaws).tolist()]
    assert told == [
        "a photo of a face whose mouth was forged",
        "a photo of a face whose eyes was forged with a different colour and an unnatural texture",
        "a photo of a face whose face was forged with blur",
    ]


def test_regions_lie_where_landmarks_are() -> None:
    masks = vlffd.masks(128)
    points = np.rint(((TEMPLATE - 0.5) / CROP_MARGIN + 0.5) * 128).astype(int)
    expected = {"eyes": {0, 1}, "nose": {2}, "mouth": {3, 4}, "face": {0, 1, 2, 3, 4}}
    for mask, region in zip(masks, vlffd.REGIONS, strict=True):
        inside = {place for place, (x, y) in enumerate(points) if float(mask[y, x]) > 0.5}
        assert inside == expected[region], region
    assert float(masks[:, 0, 0].max()) < 1e-3


def test_flaws_are_told_apart() -> None:
    torch.manual_seed(0)
    real = face()
    mask = vlffd.masks(96)[3:]
    middle = (real * mask).sum((2, 3), keepdim=True) / mask.sum()
    fakes = {
        (): real.clone(),
        (0,): real + torch.tensor([0.1, 0, -0.05]).view(1, 3, 1, 1),
        (1,): functional.avg_pool2d(real, 3, 1, 1, count_include_pad=False),
        (3,): middle + 1.5 * (real - middle),
    }
    for expected, fake in fakes.items():
        found = vlffd.flaws_of(real, fake, mask)[0].nonzero()[:, 0].tolist()
        assert found == list(expected)
    assert bool(vlffd.flaws_of(real, real.flip(2), mask)[0, 2])  # another structure


def test_only_the_region_is_pasted() -> None:
    real, fake = face(), 1 - face()
    made, told = vlffd.mixed(real.repeat(4, 1, 1, 1), fake.repeat(4, 1, 1, 1), torch.arange(4))
    for row, mask in enumerate(vlffd.masks(96)):
        outside, inside = mask < 0.01, mask > 0.99
        torch.testing.assert_close(made[row, :, outside], real[0, :, outside], atol=0.02, rtol=0)
        if inside.any():
            torch.testing.assert_close(made[row, :, inside], fake[0, :, inside], atol=0.02, rtol=0)
    assert [(number - 2) // 16 for number in told.tolist()] == [0, 1, 2, 3]


def pairs(count: int, seed: int) -> Batch:
    """Smooth faces, and forged ones that are green or grainy."""
    random = torch.Generator().manual_seed(seed)
    real = 0.4 + 0.2 * torch.rand(count, 3, 2, 2, generator=random)
    real = functional.interpolate(real, (SIDE, SIDE), mode="bilinear")
    green = real + torch.tensor([-0.2, 0.3, -0.2]).view(1, 3, 1, 1)
    grainy = real + 0.25 * torch.randn(count, 3, SIDE, SIDE, generator=random)
    fake = torch.where((torch.arange(count) % 2 > 0).view(-1, 1, 1, 1), green, grainy).clamp(0, 1)
    label = torch.arange(2 * count) // count * 1.0
    return Batch(torch.cat([real, fake]), label, torch.arange(count).repeat(2), None, {})


def test_sentences_are_learned(folder: str) -> None:
    """Flaws of new pictures are named; where they lie takes a larger model than this one."""
    recipe = method(folder, learning_rate=8e-3, sentences=3.0)
    torch.manual_seed(0)
    network = recipe.network().train()
    with torch.no_grad():  # a pretrained one knows its places
        network.model.vision_model.embeddings.position_embedding.weight.mul_(20)
    optimiser = recipe.optimiser(network)
    for step in range(120):
        loss, parts = recipe.loss(network, pairs(8, step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert set(parts) == {"bce", "sentences"}
    shown = pairs(24, 999)
    made, told = vlffd.mixed(shown.pixels[:24], shown.pixels[24:], torch.arange(24) % 4)
    with torch.inference_mode():
        fits = network.likeness(network.pooled(made))
        assert len(network.told(made)) == 24
    flaws = (fits[:, 2:].argmax(1) % 16) == (told - 2) % 16
    assert float(flaws.float().mean()) > 0.7  # of 16 kinds
    near = (fits.topk(3, 1).indices == told[:, None]).any(1)
    assert float(near.float().mean()) > 0.3  # of 66 sentences


def test_a_missing_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be loaded"):
        method(str(tmp_path)).network()


def test_learns_from_pairs(folder: str, tmp_path: Path) -> None:
    recipe = method(folder, steps=30, learning_rate=3e-3)
    fitted = fit(recipe, toys.averaged_pairs(tmp_path), tmp_path / "out")
    assert fitted.progress.best_auc > 0.9
