"""VLFFD: forged faces that come with a sentence, and a detector that learns both.

What it is
    Of a forged face and its genuine twin, one region is pasted into the genuine one: the mouth,
    the nose, the eyes or the face. How the region differs is measured, and both go into a sentence.
    A model of pictures and text learns to match each such picture with its sentence, while its
    head tells genuine from forged on these and on the pictures as they were.

What the paper does
    A generator of mixed forgeries with prompts (PFIG): region and kind of flaw (colour, blur,
    structure, texture) from thresholds on measures. Coarse-and-fine co-training (C2F): fine mixes
    with their sentences and coarse originals with "real" and "fake" are trained together, by
    contrast between pictures and sentences. Of the rest only its abstract could be read.

What differs here
    Measures, thresholds, sentences and weights are our own. Regions are soft ellipses around the
    standard places of aligned faces. Each picture is told from all sentences that there are, not
    from those of its batch, so that two pictures with one sentence are no contradiction. Mixing is
    done in the step, on pairs from `--pairs`. The exported network is the picture tower and the
    head: sentences are for training, and `Network.told` names the best one in PyTorch.

Reference
    K. Sun, S. Chen, T. Yao et al., "Towards General Visual-Linguistic Face Forgery Detection",
    2023 (arXiv:2307.16545); A. Radford et al., "Learning Transferable Visual Models from Natural
    Language Supervision", ICML 2021; structure: Z. Wang et al., "Image Quality Assessment", IEEE
    TIP 13, 2004, equation 13.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoTokenizer, CLIPModel

from bonafide.errors import InvalidInput
from bonafide.networks.faces import TEMPLATE
from bonafide.subjects.faces import CROP_MARGIN
from bonafide.train import recipe
from bonafide.train.augment import Chain, Pixels, Step, crop, jpeg, mirror
from bonafide.train.backbones import CLIP, Normalise
from bonafide.train.recipe import Batch, Output, Recipe

REGIONS = ("mouth", "nose", "eyes", "face")
FLAWS = ("a different colour", "blur", "a broken structure", "an unnatural texture")
# Middle (share of the distance from eyes to mouth, from the eyes down) and reach (half width in
# distances between the eyes, half height in distances from eyes to mouth) of each region.
PLACES = {"mouth": (1.0, 0.6, 0.35), "nose": (0.5, 0.4, 0.4), "eyes": (0.0, 0.95, 0.3),
          "face": (0.55, 1.15, 1.35)}  # fmt: skip
COLOUR = 0.04  # distance of mean colours, of levels in [0, 1]
BLUR = 0.7  # share of the sharpness that is left
STRUCTURE = 0.7  # correlation of both
TEXTURE = 0.3  # change of the deviation, as a share
COARSE = ("a photo of a genuine face", "a photo of a forged face")


def _sentence(region: str, flaws: tuple[bool, ...]) -> str:
    shown = [name for name, there in zip(FLAWS, flaws, strict=True) if there]
    with_what = f" with {' and '.join(shown)}" if shown else ""
    return f"a photo of a face whose {region} was forged{with_what}"


# Those of coarse pictures first; then region after region, flaws counted in binary.
SENTENCES = COARSE + tuple(
    _sentence(region, flaws)
    for region in REGIONS
    for flaws in product((False, True), repeat=len(FLAWS))
)


def number_of(region: Tensor, flaws: Tensor) -> Tensor:
    """Which of `SENTENCES` tells of regions (N,) with flaws bool (N, 4): int64 (N,)."""
    weights = 2 ** torch.arange(len(FLAWS) - 1, -1, -1, device=flaws.device)
    number: Tensor = len(COARSE) + region * 2 ** len(FLAWS) + (flaws * weights).sum(1)
    return number


def masks(side: int, margin: float = CROP_MARGIN) -> Tensor:
    """Soft ellipses around the regions of an aligned face, float (4, side, side) in [0, 1]."""
    points = torch.from_numpy(((TEMPLATE - 0.5) / margin + 0.5) * side).float()
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    apart, down = float(points[1, 0] - points[0, 0]), float(mouth[1] - eyes[1])
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    made = []
    for region in REGIONS:
        along, wide, high = PLACES[region]
        middle = eyes + along * (mouth - eyes)
        away = ((columns - middle[0]) / (wide * apart)) ** 2
        away = away + ((rows - middle[1]) / (high * down)) ** 2
        made.append(torch.sigmoid(8 * (1 - away)))
    return torch.stack(made)


def flaws_of(real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
    """What is wrong with a region of a forged face, bool (N, 4) in the order of `FLAWS`.

    Args:
        real, fake: float (N, 3, H, W) in [0, 1], aligned.
        mask: float (N, H, W) in [0, 1], the region.
    """
    weight = mask / mask.sum((1, 2), keepdim=True)

    def mean(values: Tensor) -> Tensor:
        return (values * weight).sum((1, 2))

    colours = [(both * weight[:, None]).sum((2, 3)) for both in (real, fake)]
    grey, other = real.mean(1), fake.mean(1)
    first, second = grey - mean(grey)[:, None, None], other - mean(other)[:, None, None]
    spread, changed = mean(first**2).sqrt() + 1e-4, mean(second**2).sqrt() + 1e-4
    sharp, left = mean(_edges(grey) ** 2) + 1e-6, mean(_edges(other) ** 2) + 1e-6
    correlation = (mean(first * second) + 1e-5) / (spread * changed + 1e-5)
    return torch.stack(
        [
            (colours[0] - colours[1]).norm(dim=1) > COLOUR,
            left < BLUR * sharp,
            correlation < STRUCTURE,
            (changed - spread).abs() > TEXTURE * spread,
        ],
        1,
    )


def _edges(grey: Tensor) -> Tensor:
    kernel = grey.new_tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).view(1, 1, 3, 3)
    padded = functional.pad(grey[:, None], (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(padded, kernel)[:, 0]


def mixed(real: Tensor, fake: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
    """Genuine faces with one region of their forged twins, and the sentences that tell of it.

    Args:
        real, fake: float (N, 3, H, H) in [0, 1], aligned.
        region: int64 (N,), of `REGIONS`.

    Returns:
        Pictures (N, 3, H, H); numbers of `SENTENCES`, int64 (N,).
    """
    mask = masks(real.shape[-1]).to(real)[region]
    made = mask[:, None] * fake + (1 - mask[:, None]) * real
    return made, number_of(region, flaws_of(real, fake, mask))


class Network(nn.Module):
    """A model of pictures and text, and a head on its pictures.

    Args:
        model: CLIP with both towers.
        tokens: of all `SENTENCES`: `input_ids` and `attention_mask`, int64 (S, L) each.
    """

    ids: Tensor
    present: Tensor

    def __init__(self, model: CLIPModel, tokens: Mapping[str, Tensor]) -> None:
        super().__init__()
        config: Any = model.config
        self.model = model
        self.normalise = Normalise(CLIP)
        self.head = nn.Linear(config.vision_config.hidden_size, 1)
        self.register_buffer("ids", tokens["input_ids"])
        self.register_buffer("present", tokens["attention_mask"])

    def pooled(self, pixels: Tensor) -> Tensor:
        """float32 (N, 3, H, H) in [0, 1] → the class token, (N, width)."""
        seen = self.model.vision_model(self.normalise(pixels), interpolate_pos_encoding=True)
        return cast(Tensor, seen.pooler_output)

    def likeness(self, pooled: Tensor) -> Tensor:
        """(N, width) → how well each of `SENTENCES` fits, (N, S)."""
        text = self.model.text_model(input_ids=self.ids, attention_mask=self.present).pooler_output
        sentences = functional.normalize(self.model.text_projection(text), dim=1)
        pictures = functional.normalize(self.model.visual_projection(pooled), dim=1)
        likeness: Tensor = self.model.logit_scale.exp().clamp_max(100) * pictures @ sentences.mT
        return likeness

    def told(self, pixels: Tensor) -> list[str]:
        """The sentence that fits each picture best."""
        best = self.likeness(self.pooled(pixels)).argmax(1)
        return [SENTENCES[number] for number in best.tolist()]

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, H) in [0, 1] → `Output` without a map."""
        return Output(self.head(self.pooled(pixels)).squeeze(1))


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """Our own choice; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        backbone: a folder with CLIP and its tokenizer, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        sentences: weight of the contrast between pictures and sentences.
    """

    learning_rate: float = 1e-5
    weight_decay: float = 1e-2
    schedule: str = "cosine"
    backbone: str = "openai/clip-vit-base-patch16"
    download: bool = False
    sentences: float = 0.5


class Method(Recipe):
    """Cross-entropy of genuine and forged, and of sentences, on originals and mixes."""

    id = "vlffd"
    title = "Mixed forgeries with sentences, coarse and fine together"
    paper = "K. Sun et al., Visual-Linguistic Face Forgery Detection, arXiv:2307.16545, 2023"
    needs_pairs = True
    any_size = False
    Settings = Settings

    def network(self) -> Network:
        """CLIP with a fresh head.

        Raises:
            InvalidInput: CLIP or its tokenizer is not on this machine.
        """
        name, local = self.settings.backbone, not self.settings.download
        try:
            model = CLIPModel.from_pretrained(name, local_files_only=local, dtype=torch.float32)
            reader: Any = AutoTokenizer.from_pretrained(name, local_files_only=local)
        except (OSError, ValueError) as error:
            why = str(error).splitlines()[0]
            advice = " (--set download=true allows fetching it from the hub)" if local else ""
            raise InvalidInput(f"backbone {name!r} cannot be loaded{advice}: {why}") from error
        longest = int(cast(Any, model.config).text_config.max_position_embeddings)
        tokens = reader(
            list(SENTENCES), padding=True, truncation=True, max_length=longest, return_tensors="pt"
        )
        return Network(model, tokens)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Both cross-entropies, on the batch and on a mix of each of its pairs."""
        tuned, wanted = cast(Network, network), self.settings
        real, fake = twins(batch)
        region = torch.randint(len(REGIONS), (len(real),), device=batch.pixels.device)
        made, told = mixed(batch.pixels[real], batch.pixels[fake], region)
        pooled = tuned.pooled(torch.cat([batch.pixels, made]))
        label = torch.cat([batch.label, torch.ones_like(told, dtype=batch.label.dtype)])
        sentence = torch.cat([(batch.label > 0.5).long(), told])
        logits = tuned.head(pooled).squeeze(1)
        parts = {
            "bce": functional.binary_cross_entropy_with_logits(logits, label),
            "sentences": wanted.sentences
            * functional.cross_entropy(tuned.likeness(pooled), sentence),
        }
        total = torch.stack(list(parts.values())).sum()
        return total, {name: float(part.detach()) for name, part in parts.items()}

    def augment(self) -> Chain[Pixels]:
        """Mirroring, the middle and JPEG; regions have to stay in their places."""
        side = self.settings.crop
        return Chain(
            (
                Step("mirror", 0.5, mirror),
                Step("crop", 1.0, partial(crop, side=side)),
                Step("jpeg", 0.5, partial(jpeg, low=40, high=100)),
            )
        )


def twins(batch: Batch) -> tuple[Tensor, Tensor]:
    """Rows of genuine pictures that have a twin in the batch, and the rows of those."""
    genuine = (batch.label < 0.5)[:, None] & (batch.label > 0.5)[None]
    paired = (batch.pair[:, None] == batch.pair[None]) & (batch.pair >= 0)[:, None]
    rows = (paired & genuine).nonzero()
    return rows[:, 0], rows[:, 1]
