"""Turn published checkpoints into the ONNX files that the rest of bonafide reads.

One plain vision transformer covers the three networks of the catalogue: they differ in size, in
layer scale, in the order of the first norm and in the names that their checkpoints use. Low-rank
updates are added into the layers that they correct, and positions are interpolated to the side of
the input, both once, here.

Sources: A. Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021; M. Oquab et al., "DINOv2",
2023 (layer scale, interpolation of positions); A. Radford et al., "Learning Transferable Visual
Models From Natural Language Supervision", 2021 (norm before the blocks, x·sigmoid(1.702x)); E. J.
Hu et al., "LoRA", 2021, equation 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import DamagedWeights
from bonafide.networks.catalogue import Published, Transformer
from bonafide.train.export import Exported, export
from bonafide.train.recipe import Augment, Batch, Output, Recipe

Shapes = dict[str, tuple[int, ...]]

LORA_ALPHA = 1.0  # in the released checkpoint of DDA
_INTERPOLATION_OFFSET = 0.1  # DINOv2 adds it to the number of patches before it divides
_LORA_TARGETS = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
_UNUSED = {
    "timm": (),
    "dinov2_lora": (),
    "clip": (
        "text_model.",
        "text_projection.",
        "logit_scale",
        "vision_model.embeddings.position_ids",
    ),
}

# Beginning of our names → beginning of theirs; the first that fits counts.
_PREFIXES = {
    "timm": (("patches.", "vit.patch_embed.proj."), ("", "vit.")),
    "dinov2_lora": (
        ("patches.", "base_model.model.patch_embed.proj."),
        ("head.", "base_model.fc."),
        ("", "base_model.model."),
    ),
    "clip": (
        ("cls_token", "vision_model.embeddings.class_embedding"),
        ("pos_embed", "vision_model.embeddings.position_embedding.weight"),
        ("patches.", "vision_model.embeddings.patch_embedding."),
        ("norm_pre.", "vision_model.pre_layrnorm."),
        ("blocks.", "vision_model.encoder.layers."),
        ("norm.", "vision_model.post_layernorm."),
        ("projection.", "visual_projection."),
        ("head.", "fc."),
    ),
}


class _QuickGelu(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values * torch.sigmoid(1.702 * values)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        queries, keys, values = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in self.qkv(tokens).chunk(3, dim=2)
        )
        mixed = functional.scaled_dot_product_attention(queries, keys, values)
        gathered: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return gathered


class _Mlp(nn.Module):
    def __init__(self, width: int, activation: nn.Module) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.activation = activation
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        result: Tensor = self.fc2(self.activation(self.fc1(tokens)))
        return result


class _LayerScale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens * self.gamma


class _Block(nn.Module):
    def __init__(self, size: Transformer) -> None:
        super().__init__()
        scaled = size.layout == "dinov2_lora"
        self.norm1 = nn.LayerNorm(size.width, size.epsilon)
        self.attn = _Attention(size.width, size.heads)
        self.ls1 = _LayerScale(size.width) if scaled else nn.Identity()
        self.norm2 = nn.LayerNorm(size.width, size.epsilon)
        self.mlp = _Mlp(size.width, _QuickGelu() if size.layout == "clip" else nn.GELU())
        self.ls2 = _LayerScale(size.width) if scaled else nn.Identity()

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
        result: Tensor = tokens + self.ls2(self.mlp(self.norm2(tokens)))
        return result


class Network(nn.Module):
    """A vision transformer over float32 RGB (N, 3, side, side) in [0, 1] that ends in one logit."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, published: Published) -> None:
        super().__init__()
        size = published.transformer
        clip = size.layout == "clip"
        places = (published.reading.side // size.patch) ** 2 + 1
        self.patches = nn.Conv2d(3, size.width, size.patch, size.patch, bias=not clip)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, places, size.width))
        self.norm_pre = nn.LayerNorm(size.width, size.epsilon) if clip else nn.Identity()
        self.blocks = nn.Sequential(*(_Block(size) for _ in range(size.depth)))
        self.norm = nn.LayerNorm(size.width, size.epsilon)
        features = size.projection or size.width
        self.projection = (
            nn.Linear(size.width, features, bias=False) if size.projection else nn.Identity()
        )
        self.head = nn.Linear(features, 1)
        for name in ("mean", "deviation"):
            values = torch.tensor(getattr(published, name)).view(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, pixels: Tensor) -> Output:
        """One logit per picture, larger for generated; there is no map."""
        patches = self.patches((pixels - self.mean) / self.deviation).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1)
        tokens = self.blocks(self.norm_pre(tokens + self.pos_embed))
        logit: Tensor = self.head(self.projection(self.norm(tokens[:, 0])))
        return Output(logit[:, 0])


class _Conversion(Recipe):
    """What `export` has to know of a network that was trained elsewhere."""

    def __init__(self, published: Published) -> None:
        super().__init__(replace(Recipe.Settings(), crop=published.reading.side))
        self.published = published
        # Of this instance, since one class stands for every network of the catalogue.
        self.id, self.title, self.paper = (  # type: ignore[misc]
            published.id,
            published.title,
            published.paper,
        )

    def network(self) -> nn.Module:
        return Network(self.published)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        raise NotImplementedError("published networks are not trained here")

    def augment(self) -> Augment:
        raise NotImplementedError("published networks are not trained here")


def convert(published: Published, paths: Sequence[Path], target: Path) -> Exported:
    """Write the published files as one ONNX file with its card, checked against PyTorch.

    Args:
        published: what they are.
        paths: one per file of the catalogue's entry, in its order.
        target: of the ONNX file; it appears whole or not at all.

    Raises:
        DamagedWeights: the files do not hold the published architecture.
        BonafideError: the network cannot be exported, or gives other results in ONNX Runtime.
    """
    network = load(published, paths)
    facts = {
        "recipe": "published",
        "settings": asdict(published.transformer),
        "preprocessing": asdict(published.reading),
        "training_data": [],
        "licence": published.licence,
        "parameters": published.parameters,
        "sources": [asdict(file) for file in published.files],
    }
    return export(_Conversion(published), network, target, version=published.version, facts=facts)


def load(published: Published, paths: Sequence[Path]) -> Network:
    """The network with the numbers of its published files, ready to run.

    Args:
        published: what it is.
        paths: one per file of the catalogue's entry, in its order.

    Raises:
        DamagedWeights: a name or a shape differs from what the public code defines.
    """
    checkpoint = read_checkpoint(published, paths)
    network = Network(published)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(_assembled(published, name, tuple(parameter.shape), checkpoint))
    return network.eval()


def expected_shapes(published: Published) -> Shapes:
    """Name → shape of everything that the published files hold for the network."""
    size = published.transformer
    with torch.device("meta"):
        own = {name: tuple(value.shape) for name, value in Network(published).named_parameters()}
    shapes: Shapes = {}
    for name, shape in own.items():
        sources = _sources(size.layout, name)
        for source in sources:
            shapes[source] = (shape[0] // len(sources), *shape[1:])
        shapes |= _low_rank_shapes(size, name, shape)
    places = (size.trained_side // size.patch) ** 2 + 1
    if size.layout == "clip":
        shapes[_sources("clip", "cls_token")[0]] = (size.width,)
        shapes[_sources("clip", "pos_embed")[0]] = (places, size.width)
    else:
        shapes[_sources(size.layout, "pos_embed")[0]] = (1, places, size.width)
    if size.layout == "dinov2_lora":
        shapes["base_model.model.mask_token"] = (1, size.width)
    return shapes


def read_checkpoint(published: Published, paths: Sequence[Path]) -> dict[str, Tensor]:
    """What the published files hold for the network, checked, by its published names.

    Nothing that they hold is executed: safetensors hold numbers only, and pickled checkpoints are
    read by PyTorch's restricted loader.

    Raises:
        DamagedWeights: a file cannot be read, or a name or shape is not as published.
    """
    try:
        found = dict(_stored(published, paths))
    except Exception as error:  # the loaders share no class of errors
        raise DamagedWeights(published.id, f"the checkpoint cannot be read: {error}") from error
    expected = expected_shapes(published)
    missing = sorted(set(expected) - set(found))
    strange = sorted(set(found) - set(expected))
    reshaped = sorted(
        name for name in set(expected) & set(found) if tuple(found[name].shape) != expected[name]
    )
    for what, names in (("lacks", missing), ("also holds", strange), ("reshapes", reshaped)):
        if names:
            raise DamagedWeights(
                published.id,
                f"the checkpoint {what} {names[0]}"
                + (f" and {len(names) - 1} more" if len(names) > 1 else "")
                + ": it is not the published architecture",
            )
    return found


def _stored(published: Published, paths: Sequence[Path]) -> Iterator[tuple[str, Tensor]]:
    from safetensors import safe_open

    layout = published.transformer.layout
    if layout == "dinov2_lora":
        yield from torch.load(paths[0], map_location="cpu", weights_only=True)["model"].items()
        return
    with safe_open(paths[0], framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 (it is no dictionary)
            if not name.startswith(_UNUSED[layout]):
                yield name, file.get_tensor(name)
    if layout == "clip":
        head = torch.load(paths[1], map_location="cpu", weights_only=True)
        yield from ((f"fc.{name}", value) for name, value in head.items())


def _sources(layout: str, name: str) -> list[str]:
    """Published names of the tensors that one parameter of `Network` is made of."""
    for own, published in _PREFIXES[layout]:
        if name.startswith(own):
            name = published + name.removeprefix(own)
            break
    if layout == "clip" and ".layers." in name:
        name = (
            name.replace(".norm", ".layer_norm")
            .replace(".attn.proj.", ".self_attn.out_proj.")
            .replace(".attn.", ".self_attn.")
        )
        if ".qkv." in name:
            return [name.replace(".qkv.", f".{part}_proj.") for part in "qkv"]
    if layout == "dinov2_lora" and any(f".{target}." in name for target in _LORA_TARGETS):
        module, _, kind = name.rpartition(".")
        name = f"{module}.original_layer.{kind}"
    return [name]


def _low_rank_shapes(size: Transformer, name: str, shape: tuple[int, ...]) -> Shapes:
    update = _low_rank_names(size, name)
    if update is None:
        return {}
    return {update[0]: (size.rank, shape[1]), update[1]: (shape[0], size.rank)}


def _low_rank_names(size: Transformer, name: str) -> tuple[str, str] | None:
    """Names of A and B of the update beside the weight `name` of `Network`, if it has one."""
    (source,) = _sources(size.layout, name)[:1]
    if not size.rank or not source.endswith(".original_layer.weight"):
        return None
    module = source.removesuffix("original_layer.weight")
    return f"{module}lora.lora_A", f"{module}lora.lora_B"


def _assembled(
    published: Published, name: str, shape: tuple[int, ...], checkpoint: Mapping[str, Tensor]
) -> Tensor:
    size = published.transformer
    value = torch.cat([checkpoint[source].float() for source in _sources(size.layout, name)])
    update = _low_rank_names(size, name)
    if update is not None:
        down, up = (checkpoint[part].float() for part in update)
        value = value + LORA_ALPHA / size.rank * (up @ down)
    if name == "pos_embed" and size.trained_side != published.reading.side:
        value = _interpolated(value, published)
    return value.reshape(shape)


def _interpolated(positions: Tensor, published: Published) -> Tensor:
    """Positions (1, 1 + n², width) for another side, bicubic, as DINOv2 does it when it runs."""
    size = published.transformer
    before = size.trained_side // size.patch
    after = published.reading.side // size.patch
    table = positions[:, 1:].reshape(1, before, before, size.width).permute(0, 3, 1, 2)
    scale = (after + _INTERPOLATION_OFFSET) / before
    table = functional.interpolate(table, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([positions[:, :1], table.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)
