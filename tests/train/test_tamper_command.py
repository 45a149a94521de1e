"""`bonafide tamper` as a user meets it, and that `bonafide bench` reads what it writes."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Pillow
from skimage import data

from bonafide.bench.manifest import load
from bonafide.bench.protocol import load_protocol
from bonafide.cli.main import bonafide
from bonafide.errors import InvalidInput
from bonafide.train.tampering_fill import OnnxFiller
from bonafide.train.tampering_twins import Remembered


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("astronaut", "coffee", "chelsea", "rocket"):
        Pillow.fromarray(getattr(data, name)()).save(folder / f"{name}.jpg", quality=92)
    Pillow.fromarray(data.astronaut()[:50, :50]).save(folder / "small.png")
    return folder


@pytest.fixture
def grey(tmp_path: Path) -> Path:
    """A network that fills every hole with the middle of all levels."""
    onnx = pytest.importorskip("onnx")
    shape = ["n", 3, "h", "w"]
    nodes = [
        onnx.helper.make_node("Slice", ["shown", "first", "last", "axis"], ["colours"]),
        onnx.helper.make_node("Mul", ["colours", "nothing"], ["black"]),
        onnx.helper.make_node("Add", ["black", "half"], ["filled"]),
    ]
    values = [
        onnx.numpy_helper.from_array(np.array(value), name)
        for name, value in (("first", [0]), ("last", [3]), ("axis", [1]),
                            ("nothing", np.float32(0)), ("half", np.float32(0.5)))
    ]  # fmt: skip
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "grey",
        [onnx.helper.make_tensor_value_info("shown", kind, ["n", 4, "h", "w"])],
        [onnx.helper.make_tensor_value_info("filled", kind, shape)],
        values,
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 9
    path = tmp_path / "grey.onnx"
    onnx.save(model, path)
    return path


def tamper(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(bonafide, ["tamper", *map(str, arguments)], catch_exceptions=False)
    return done.exit_code, done.output


def test_from_a_folder_to_a_measured_manifest(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "edited"
    code, output = tamper(photographs, "--out", out, "--count", 24, "--side", 96, "--seed", 3)
    assert code == 0 and output.strip().endswith(str(out / "manifest.csv"))
    assert "small.png: smaller" in output
    manifest = load(out / "manifest.csv", load_protocol("edited"))
    assert len(manifest.samples) == 24 and manifest.left_out == 0
    for sample in manifest.samples:
        picture = Pillow.open(manifest.file(sample))
        assert picture.size == (96, 96) and sample.extra["steps"] and sample.group
        assert (manifest.mask(sample) is not None) == bool(sample.positive)
        if mask := manifest.mask(sample):
            marked = np.asarray(Pillow.open(mask))
            assert marked.shape == (96, 96) and set(np.unique(marked)) == {0, 255}
    assert {Pillow.open(manifest.file(one)).format for one in manifest.samples} >= {"JPEG", "PNG"}
    arguments = ["bench", "run", out / "manifest.csv", "--protocol", "edited", "--jobs", 1]
    arguments += ["--detectors", "ela", "--out", tmp_path / "run", "--repeats", 10, "--json"]
    measured = CliRunner().invoke(bonafide, [*map(str, arguments), "--quiet", "--no-audit"])
    assert json.loads(measured.stdout), measured.output


def test_equal_seeds_write_equal_files(photographs: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        tamper(photographs, "--out", tmp_path / name, "--count", 5, "--side", 64, "--quiet")
    first, second = (sorted((tmp_path / name).iterdir()) for name in ("one", "other"))
    assert [file.name for file in first] == [file.name for file in second]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True))


def test_networks_fill_holes(photographs: Path, grey: Path, tmp_path: Path) -> None:
    tamper(photographs, "--out", tmp_path, "--count", 40, "--side", 64, "--quiet",
           "--authentic", 0, "--inpainter", grey)  # fmt: skip
    assert "filled by grey" in (tmp_path / "manifest.csv").read_text()


def test_a_filler_changes_its_hole_alone_and_travels(grey: Path) -> None:
    pixels, mask = data.astronaut(), np.zeros((512, 512), bool)
    mask[200:250, 5:111] = True
    filled = pickle.loads(pickle.dumps(OnnxFiller(grey))).fill(pixels, mask)
    assert np.array_equal(filled[~mask], pixels[~mask])
    assert set(np.unique(filled[mask])) == {128}
    assert np.array_equal(OnnxFiller(grey).fill(pixels, mask & False), pixels)


def test_a_file_that_fills_nothing_is_said_so(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"nothing")
    with pytest.raises(InvalidInput, match=r"wrong\.onnx cannot be opened"):
        OnnxFiller(wrong)


def test_a_decoder_that_remembers_is_asked_once(tmp_path: Path) -> None:
    asked = []

    def inverted(pixels: np.ndarray) -> np.ndarray:
        asked.append(pixels.shape)
        return 255 - pixels

    pixels = data.coffee()[:64, :96]
    for _ in range(2):
        assert np.array_equal(Remembered(inverted, "inverted", tmp_path)(pixels), 255 - pixels)
    assert asked == [(64, 96, 3)]
