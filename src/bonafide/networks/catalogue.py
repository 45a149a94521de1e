"""Published networks that bonafide can fetch: whose they are, where they lie, what they must hold.

Nothing of them is shipped. Revisions and checksums are those of the public repositories as seen in
November 2026 by several independent projects; `None` means that nobody could be found who wrote
the checksum down, and that `bonafide weights pull` trusts the first file that it gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

_CLIP_MEAN, _CLIP_DEVIATION = (
    (0.48145466, 0.4578275, 0.40821073),
    (
        0.26862954,
        0.26130258,
        0.27577711,
    ),
)
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class RemoteFile:
    """One file on the Hugging Face hub.

    Attributes:
        repository: "owner/name".
        revision: full commit.
        path: inside the repository.
        sha256: of the file, or None if it is not known: then the first download is trusted.
        bytes: size, for people.
    """

    repository: str
    revision: str
    path: str
    sha256: str | None
    bytes: int


@dataclass(frozen=True)
class Transformer:
    """Dimensions of a vision transformer that ends in one logit.

    Attributes:
        width: of a token.
        depth: number of blocks.
        heads: of attention; they divide `width`.
        patch: side of a patch, pixels.
        trained_side: side of the pictures that its table of positions was trained for, pixels.
        epsilon: of its layer norms.
        layout: how its checkpoint names things: "timm"; "dinov2_lora", the names of DINOv2 with
            a low-rank update beside each linear layer; "clip", those of CLIP's vision tower in
            transformers, and the head in a file of its own.
        projection: width of the linear projection before the head; 0 for none.
        rank: of the low-rank updates; 0 for none.
    """

    width: int
    depth: int
    heads: int
    patch: int
    trained_side: int
    epsilon: float
    layout: Literal["timm", "dinov2_lora", "clip"]
    projection: int = 0
    rank: int = 0


@dataclass(frozen=True)
class Reading:
    """How a picture is shown to a network.

    Attributes:
        side: of the squares that it reads, pixels.
        shorter: the shorter side of the picture is resized to this first, as the authors do; None
            for native resolution.
        most: squares per picture; more are thinned out evenly.
    """

    side: int
    shorter: int | None
    most: int


@dataclass(frozen=True)
class Published:
    """One published network.

    Attributes:
        id: of the weights and of the detector that reads them.
        version: of our conversion; changes when scores change.
        title: a few plain words.
        paper: full reference with year.
        licence: SPDX identifier that the publishers state for the weights.
        terms: who grants it, and what else a user should know, in sentences.
        files: what is fetched.
        transformer: the architecture.
        mean, deviation: per channel, of RGB in [0, 1].
        reading: how pictures are shown to it.
        parameters: numbers that the files must hold for it, all told.
        training_data: in words.
    """

    id: str
    version: str
    title: str
    paper: str
    licence: str
    terms: str
    files: tuple[RemoteFile, ...]
    transformer: Transformer
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    reading: Reading
    parameters: int
    training_data: str


_COMMUNITY_FORENSICS = Published(
    id="community_forensics",
    version="1",
    title="Community Forensics, ViT-S/16 at 384",
    paper='J. Park and A. Owens, "Community Forensics: Using Thousands of Generators to Train Fake '
    'Image Detectors", CVPR 2025',
    licence="MIT",
    terms="The authors release code and weights under the MIT licence. The pictures that it was "
    "trained on have licences of their own, which do not come with the weights.",
    files=(
        RemoteFile(
            "OwensLab/commfor-model-384",
            "6076002bf0d9dd37537f965ee2f06f826c333b61",
            "model.safetensors",
            "b89f36275f3bf5e2b040eee36597a8f19db051bff9a473a9cf7b2466284fb387",
            87_262_324,
        ),
    ),
    transformer=Transformer(384, 12, 6, 16, 384, 1e-6, "timm"),
    mean=_IMAGENET_MEAN,
    deviation=_IMAGENET_DEVIATION,
    reading=Reading(side=384, shorter=440, most=1),
    parameters=21_811_969,
    training_data="2.7 million pictures of 4,803 generators and as many real ones",
)

_DDA = Published(
    id="dda",
    version="1",
    title="Dual Data Alignment, DINOv2 ViT-L/14 with low-rank updates",
    paper='R. Chen et al., "Dual Data Alignment Makes AI-Generated Image Detector Easier '
    'Generalizable", NeurIPS 2025',
    licence="Apache-2.0",
    terms="The authors release the checkpoint under the Apache licence 2.0; DINOv2, which it "
    "contains, is released by Meta under the same licence.",
    files=(
        RemoteFile(
            "Junwei-Xi/Dual-Data-Alignment",
            "4390d9023899196b437480bb6a441915ef5d816c",
            "DDA_ckpt.pth",
            "b27a31d39374803ddeff02bfabb2be76e190b04300490cddfafb24f683f37e3e",
            1_255_621_296,
        ),
    ),
    transformer=Transformer(1024, 24, 16, 14, 518, 1e-6, "dinov2_lora", rank=8),
    mean=_CLIP_MEAN,
    deviation=_CLIP_DEVIATION,
    reading=Reading(side=336, shorter=None, most=9),
    parameters=307_515_393,
    training_data="pictures of MSCOCO and their aligned reconstructions by the autoencoder of "
    "Stable Diffusion 2.1",
)

_UNIVFD = Published(
    id="univfd",
    version="1",
    title="UnivFD, linear probe on CLIP ViT-L/14",
    paper='U. Ojha, Y. Li and Y. J. Lee, "Towards Universal Fake Image Detectors that Generalize '
    'Across Generative Models", CVPR 2023',
    licence="MIT",
    terms="The probe is released by its authors under the MIT licence, and CLIP by OpenAI under "
    "the MIT licence. The probe is fetched from a copy that others keep on the hub; its checksum "
    "is that of the authors' own file.",
    files=(
        RemoteFile(
            "openai/clip-vit-large-patch14",
            "32bd64288804d66eefd0ccbe215aa642df71cc41",
            "model.safetensors",
            "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb",
            1_710_540_580,
        ),
        RemoteFile(
            "siddharthksah/deepsafe-weights",
            "71706520a9e12494b3ebc24e6091f5b22b9efcaf",
            "universalfakedetect/fc_weights.pth",
            "477100745713bcc957beb2b40859536859b6483fd6301b3b9293151b194c7847",
            4_083,
        ),
    ),
    transformer=Transformer(1024, 24, 16, 14, 224, 1e-5, "clip", projection=768),
    mean=_CLIP_MEAN,
    deviation=_CLIP_DEVIATION,
    reading=Reading(side=224, shorter=None, most=16),
    parameters=303_966_977,
    training_data="the probe: 720,000 pictures of LSUN and of ProGAN trained on it; CLIP: 400 "
    "million captioned pictures of the web",
)

CATALOGUE: Mapping[str, Published] = {
    entry.id: entry for entry in (_COMMUNITY_FORENSICS, _DDA, _UNIVFD)
}

MODEL = "model.bin"  # of a recogniser of speech, as CTranslate2 reads it
_WHISPER_PAPER = (
    'A. Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", ICML 2023'
)
_WHISPER_TERMS = (
    "OpenAI releases code and weights under the MIT licence; SYSTRAN converted them and releases "
    "the result under the same licence."
)
_WHISPER_FILES = (
    ("tokenizer.json", 2_203_239,
     "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"),
    ("vocabulary.txt", 459_861,
     "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"),
)  # fmt: skip


@dataclass(frozen=True)
class Recogniser:
    """One recogniser of speech that can be fetched; the attributes are those of `Published`.

    Checksums are those that several independent projects wrote down.
    """

    id: str
    version: str
    title: str
    files: tuple[RemoteFile, ...]
    paper: str = _WHISPER_PAPER
    licence: str = "MIT"
    terms: str = _WHISPER_TERMS
    training_data: str = "680,000 hours of speech of the web in 99 languages, with its transcripts"


def _whisper(size: str, revision: str, *own: tuple[str, int, str]) -> Recogniser:
    repository = f"Systran/faster-whisper-{size}"
    files = tuple(
        RemoteFile(repository, revision, name, digest, count)
        for name, count, digest in (*own, *_WHISPER_FILES)
    )
    return Recogniser(f"transcribe_{size}", "1", f"Whisper {size}", files)


RECOGNISERS: Mapping[str, Recogniser] = {
    one.id: one
    for one in (
        _whisper(
            "base",
            "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
            ("config.json", 2_309,
             "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
            (MODEL, 145_217_532,
             "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"),
        ),
        _whisper(
            "tiny",
            "d90ca5fe260221311c53c58e660288d3deb8d356",
            ("config.json", 2_249,
             "a73a28cdfe1c43ccc7202fa333d1f89c202477271407ae9a7f19afa52039cac8"),
            (MODEL, 75_538_270,
             "dcb76c6586fc06cbdac6dd21f14cfd129cc4cdd9dce19bf4ffa62e59cbe6e6d1"),
        ),
    )
}  # fmt: skip
