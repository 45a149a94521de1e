"""Twins lie where the table says, through every kind of decoder, and again the same."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Pillow

torch = pytest.importorskip("torch")

from bonafide.cli.align import align
from bonafide.errors import InvalidInput
from bonafide.media.image import Image
from bonafide.train import originals, reconstruct, upscalers
from bonafide.train.reconstruct import Cropping, Pair

SMALL = Cropping(size=64, seed=3)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def picture(seed: int, height: int = 90, width: int = 120) -> np.ndarray:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 10, width // 10, 3), np.uint8)
    return np.asarray(Pillow.fromarray(coarse).resize((width, height), Pillow.Resampling.BICUBIC))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Six photographs of two sources, one of them too small, one unreadable, and a fake."""
    (tmp_path / "in").mkdir()
    rows = []
    for k in range(6):
        name = f"in/{k}.jpg"
        Pillow.fromarray(picture(k, 40 if k == 4 else 90)).save(tmp_path / name, quality=90)
        rows.append((name, "fake" if k == 5 else "real", f"source{k % 2}"))
    (tmp_path / "in/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    rows.append(("in/broken.jpg", "real", "source1"))
    path = tmp_path / "photos.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "source"), *rows])
    return path


def network(path: Path, factor: float) -> Path:
    """A network that repeats pixels `factor` times, or halves every value if that is 1."""
    from onnx import TensorProto, helper, save

    shapes = [[1, 3, "h", "w"], [1, 3, "H", "W"]]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip(("x", "y"), shapes, strict=True)
    ]
    if factor == 1:
        scale = helper.make_tensor("s", TensorProto.FLOAT, [1], [0.5])
        node = helper.make_node("Mul", ["x", "s"], ["y"])
    else:
        scale = helper.make_tensor("s", TensorProto.FLOAT, [4], [1, 1, factor, factor])
        node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="nearest",
                                coordinate_transformation_mode="asymmetric",
                                nearest_mode="floor")  # fmt: skip
    graph = helper.make_graph([node], "enlarge", ends[:1], ends[1:], [scale])
    opset = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


@pytest.fixture
def member_file(tmp_path: Path) -> Path:
    (tmp_path / "networks").mkdir()
    return network(tmp_path / "networks" / "tiny.onnx", 1)


def test_only_bona_fide_rows_are_taken_and_spread_over_sources(manifest: Path) -> None:
    found = originals.find(manifest)
    assert [one.name for one in found] == [*(f"in/{k}.jpg" for k in range(5)), "in/broken.jpg"]
    some = originals.spread(found, 1, seed=0)
    assert sorted(one.source for one in some) == ["source0", "source1"]
    assert originals.spread(found, 9, 0) == originals.spread(found, 9, 0)


def test_a_folder_is_as_good_as_a_manifest(manifest: Path) -> None:
    assert len(originals.find(manifest.parent)) == 7
    (manifest.parent / "nothing").mkdir()
    with pytest.raises(InvalidInput):
        originals.find(manifest.parent / "nothing")


def test_crops_lie_on_the_grid_or_not(manifest: Path) -> None:
    first = originals.find(manifest)[0]
    on = [originals.cut(first, 64, seed, on_grid=1.0) for seed in range(20)]
    off = [originals.cut(first, 64, seed, on_grid=0.0) for seed in range(20)]
    assert all(crop and crop.left % 8 == crop.top % 8 == 0 for crop in on)
    assert any(crop and crop.left % 8 for crop in off)


def test_the_table_tells_where_every_crop_lies(
    manifest: Path, member_file: Path, tmp_path: Path
) -> None:
    passages = [
        reconstruct.open_passage(words) for words in (str(member_file), "enlarge:bicubic:2")
    ]
    ticks: list[None] = []
    out = tmp_path / "out"
    found = originals.find(manifest)
    written = reconstruct.write_twins(found, passages, out, SMALL, lambda: ticks.append(None))
    assert len(ticks) == 6
    assert written.too_small == 1
    assert len(written.unreadable) == 1
    assert "broken.jpg" in written.unreadable[0]
    assert {pair.autoencoder for pair in written.pairs} == {"tiny", "bicubic-2"}
    assert tuple(reconstruct.read_pairs(out / "pairs.csv")) == written.pairs
    for pair in written.pairs:
        twin = np.asarray(Pillow.open(out / pair.path))
        whole = Image((manifest.parent / pair.original).read_bytes()).pixels
        crop = whole[pair.top : pair.top + pair.size, pair.left : pair.left + pair.size]
        passage = next(one for one in passages if one.name == pair.autoencoder)
        assert np.array_equal(twin, passage.send(crop))


def test_an_interrupted_run_goes_on(manifest: Path, member_file: Path, tmp_path: Path) -> None:
    found, out = originals.find(manifest), tmp_path / "out"
    passage = reconstruct.open_passage(str(member_file))
    sent = []

    def dying(pixels: np.ndarray) -> np.ndarray:
        if len(sent) == 2:
            raise KeyboardInterrupt
        sent.append(pixels)
        return passage.send(pixels)

    mortal = reconstruct.Passage(passage.name, passage.multiple, dying)
    with pytest.raises(KeyboardInterrupt):
        reconstruct.write_twins(found, [mortal], out, SMALL)
    made = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    assert len(made) == 2
    first = reconstruct.write_twins(found, [passage], out, SMALL)
    assert all(path.stat().st_mtime_ns == then for path, then in made.items())
    bytes_ = (out / "pairs.csv").read_bytes()
    assert reconstruct.write_twins(found, [passage], out, SMALL) == first
    assert (out / "pairs.csv").read_bytes() == bytes_
    more = reconstruct.write_twins(found, [reconstruct.open_passage("enlarge:edges:2")], out, SMALL)
    assert set(first.pairs) < set(more.pairs)


def test_pairs_survive_the_table(tmp_path: Path) -> None:
    pairs = [Pair("a/1.png", 'odd, "name".jpg', 3, 8, 256, "Tiny, autoencoder")]
    reconstruct.write_pairs(tmp_path / "pairs.csv", pairs)
    assert reconstruct.read_pairs(tmp_path / "pairs.csv") == pairs
    (tmp_path / "other.csv").write_text("path,label\na,b\n")
    with pytest.raises(InvalidInput):
        reconstruct.read_pairs(tmp_path / "other.csv")


@pytest.mark.parametrize("kernel", upscalers.KERNELS)
def test_kernels_keep_size_and_enlarge_flat_pictures_to_flat_ones(kernel: str) -> None:
    passage = reconstruct.open_passage(f"enlarge:{kernel}:4")
    pixels = picture(0, 80, 120)
    result = passage.send(pixels)
    assert result.shape == pixels.shape
    assert 0 < np.abs(result.astype(int) - pixels).mean() < 40
    flat = np.full((16, 16, 3), 77, np.uint8)
    assert np.array_equal(passage.send(flat), flat)


def test_edges_are_followed_and_known_pixels_kept() -> None:
    rows, columns = np.mgrid[0:32, 0:32]
    diagonal = np.repeat(np.where(rows > columns, 255, 0).astype(np.uint8)[..., None], 3, axis=2)
    fine = upscalers.enlarged(diagonal, 2, "edges")
    assert np.array_equal(fine[::2, ::2], diagonal)
    grey = [
        ((image > 20) & (image < 235)).sum()
        for image in (fine, upscalers.enlarged(diagonal, 2, "bilinear"))
    ]
    assert grey[0] < 0.7 * grey[1]


@pytest.mark.parametrize(
    "words",
    ["", "x", "enlarge:magic:2", "enlarge:bicubic:1", "enlarge:edges:3", "missing.onnx",
     "enlarge:missing.onnx:2", "diffusers:NoSuchClass:x", "diffusers:AutoencoderKL"],
)  # fmt: skip
def test_words_without_meaning_are_refused(words: str) -> None:
    if "NoSuchClass" in words:
        pytest.importorskip("diffusers")
    with pytest.raises(InvalidInput):
        reconstruct.open_passage(words)


def test_a_size_that_does_not_fit_is_refused(manifest: Path, member_file: Path) -> None:
    passage = reconstruct.open_passage(str(member_file))
    with pytest.raises(InvalidInput, match="32 divides"):
        reconstruct.write_twins([], [passage], manifest.parent / "out", Cropping(size=66))


def tiny_hub_model(name: str, folder: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    blocks = {"in_channels": 3, "out_channels": 3, "latent_channels": 4}
    if name == "AutoencoderTiny":
        model = diffusers.AutoencoderTiny(
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            num_encoder_blocks=(1, 1),
            num_decoder_blocks=(1, 1),
            **blocks,
        )
    else:
        kinds = {
            "down_block_types": ("DownEncoderBlock2D",) * 2,
            "up_block_types": ("UpDecoderBlock2D",) * 2,
            "block_out_channels": (8, 8),
            "norm_num_groups": 4,
        }
        model = getattr(diffusers, name)(**kinds, **blocks)
    model.save_pretrained(folder)


@pytest.mark.parametrize("name", ["AutoencoderKL", "AutoencoderTiny", "VQModel"])
def test_autoencoders_of_diffusers_by_class_and_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "repository" / "vae"
    tiny_hub_model(name, folder)
    passage = reconstruct.open_passage(f"diffusers:{name}:{folder.parent}#vae")
    assert passage.name == f"{name}-repository-vae"
    pixels = picture(1, 64, 64)
    result = passage.send(pixels)
    assert result.shape == pixels.shape
    assert result.dtype == np.uint8
    assert np.array_equal(passage.send(pixels), result)
    again = reconstruct.open_passage(f"diffusers:{name}:{folder}")
    assert np.array_equal(again.send(pixels), result)
    with pytest.raises(InvalidInput, match="cannot be loaded"):
        reconstruct.open_passage(f"diffusers:{name}:{tmp_path / 'elsewhere'}")


def test_an_autoencoder_of_transformers(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from transformers.models.janus.configuration_janus import JanusVQVAEConfig
    from transformers.models.janus.modeling_janus import JanusVQVAE

    config = JanusVQVAEConfig(
        embed_dim=4,
        num_embeddings=16,
        latent_channels=8,
        base_channels=32,
        channel_multiplier=[1, 1],
        num_res_blocks=1,
        num_patches=32,
    )
    torch.manual_seed(0)
    JanusVQVAE(config).save_pretrained(tmp_path / "janus")
    passage = reconstruct.open_passage(f"transformers:JanusVQVAE:{tmp_path / 'janus'}")
    assert passage.send(picture(1, 64, 64)).shape == (64, 64, 3)


def test_a_super_resolution_network(tmp_path: Path) -> None:
    double = network(tmp_path / "double.onnx", 2)
    passage = reconstruct.open_passage(f"enlarge:{double}:2")
    assert passage.name == "double-2"
    pixels = picture(2, 64, 64)
    expected = reconstruct.open_passage("enlarge:nearest:2").send(pixels)
    assert np.array_equal(passage.send(pixels), expected)
    triple = network(tmp_path / "triple.onnx", 3)
    wrong = reconstruct.open_passage(f"enlarge:{triple}:2")
    with pytest.raises(InvalidInput, match="enlarge by 2"):
        wrong.send(pixels)
    with pytest.raises(InvalidInput, match="size it takes"):
        reconstruct.open_passage(str(double)).send(pixels)


def test_the_command_sends_pictures_through_a_folder_of_networks(
    manifest: Path, member_file: Path, tmp_path: Path
) -> None:
    arguments = [
        str(manifest), "--size", "64", "--through", "enlarge:lanczos:2",
        "--through", str(member_file.parent), "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    result = CliRunner().invoke(align, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    makers = {pair.autoencoder for pair in reconstruct.read_pairs(tmp_path / "out/pairs.csv")}
    assert makers == {"lanczos-2", "tiny"}


@pytest.mark.parametrize("arguments", [[], ["--through", "enlarge:lanczos:2"], ["--out", "x"]])
def test_half_a_request_is_a_usage_error(manifest: Path, arguments: list[str]) -> None:
    assert CliRunner().invoke(align, [str(manifest), *arguments]).exit_code == 2
