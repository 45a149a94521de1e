"""Networks are found, checked, opened once, and read pictures of any size in little memory."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from bonafide.errors import DamagedWeights, InvalidInput, MissingWeights, UnverifiedWeights
from bonafide.networks import runtime
from bonafide.signals.tiles import Mosaic, grid

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Empty folders in all three places, and no network open from an earlier test."""
    monkeypatch.delenv("BONAFIDE_WEIGHTS", raising=False)
    monkeypatch.setenv("BONAFIDE_THREADS", "1")
    monkeypatch.setattr(runtime, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(runtime, "user_folder", lambda: tmp_path / "pulled")
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "SHA256SUMS").write_text("")
    runtime._sessions.clear()
    yield
    runtime._sessions.clear()


def ship(write_network: Write, folder: Path, name: str, **changes: Any) -> Path:
    path = write_network(folder / f"{name}.onnx", **changes)
    with (folder / "SHA256SUMS").open("a") as sums:
        sums.write(f"{runtime.sha256(path)}  {path.name}\n")
    return path


def record(path: Path, **changes: Any) -> None:
    known = {"sha256": runtime.sha256(path), "verified": True} | changes
    path.with_suffix(".json").write_text(json.dumps(known))


def test_a_missing_network_says_how_to_get_it() -> None:
    with pytest.raises(MissingWeights, match="bonafide weights pull some_net"):
        runtime.session("some_net")


@pytest.mark.parametrize("name", ["../etc", "", "a*b", "A", "a-b"])
def test_a_name_cannot_lead_elsewhere(name: str) -> None:
    with pytest.raises(MissingWeights):
        runtime.session(name)


def test_the_nearest_place_wins_and_is_named(
    write_network: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(write_network(tmp_path / "pulled" / "net-1.onnx"))
    assert runtime.session("net").weights.origin == "pulled"
    ship(write_network, tmp_path / "shipped", "net-1")
    assert runtime.session("net").weights.origin == "shipped"
    monkeypatch.setenv("BONAFIDE_WEIGHTS", str(tmp_path / "own"))
    assert runtime.session("net").weights.origin == "shipped"
    write_network(tmp_path / "own" / "net-3fold.onnx")
    weights = runtime.session("net").weights
    assert (weights.origin, weights.version) == ("own", "3fold")
    assert weights.metadata == {"id": "net", "version": "3fold"}
    assert weights.sha256 == runtime.sha256(weights.path)


def test_the_highest_version_wins(write_network: Write, tmp_path: Path) -> None:
    for version in ("2", "10", "9.1"):
        ship(write_network, tmp_path / "shipped", f"net-{version}")
    ship(write_network, tmp_path / "shipped", "net_large-11")
    assert runtime.find("net").version == "10"


def test_a_shipped_file_must_be_the_pinned_one(write_network: Write, tmp_path: Path) -> None:
    path = ship(write_network, tmp_path / "shipped", "net-1")
    write_network(path, logit=1.0)
    with pytest.raises(DamagedWeights, match="SHA-256"):
        runtime.session("net")
    write_network(tmp_path / "shipped" / "other-1.onnx")
    with pytest.raises(DamagedWeights, match="other"):
        runtime.session("other")


def test_a_pulled_file_needs_its_record_and_a_passed_check(
    write_network: Write, tmp_path: Path
) -> None:
    path = write_network(tmp_path / "pulled" / "net-1.onnx")
    with pytest.raises(DamagedWeights, match="no record"):
        runtime.session("net")
    record(path, verified=False)
    with pytest.raises(UnverifiedWeights, match="bonafide weights verify net"):
        runtime.session("net")
    assert runtime.open_session(runtime.find("net"), verified=False).weights.id == "net"
    record(path, sha256="0" * 64)
    with pytest.raises(DamagedWeights, match="SHA-256"):
        runtime.session("net")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"metadata": {"id": "else", "version": "1"}}, "is the file of else 1"),
        ({"metadata": {"version": "1"}}, "has no card that names the network"),
        ({"input": "images"}, "must have the input pixels, and has the input images"),
        (
            {"metadata": {"id": "net", "version": "1", "inputs": ["pixels", "residual"]}},
            "must have the inputs pixels and residual, and has the input pixels",
        ),
        ({"metadata": {"id": "net", "version": "1", "inputs": "pixels"}}, "that names the inputs"),
    ],
)
def test_a_file_that_contradicts_its_name_is_refused(
    write_network: Write, tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    ship(write_network, tmp_path / "shipped", "net-1", **changes)
    with pytest.raises(DamagedWeights, match=why):
        runtime.session("net")


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pulled" / "net-1.onnx"
    path.parent.mkdir()
    path.write_bytes(b"not a network")
    record(path)
    with pytest.raises(DamagedWeights, match="cannot be opened"):
        runtime.session("net")


def write_pair(path: Path) -> Path:
    """A network of two inputs and two outputs: sum and difference of pixels and residual."""
    from onnx import TensorProto, helper, save

    def image(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, "h", "w"])

    graph = helper.make_graph(
        [
            helper.make_node("Add", ["pixels", "residual"], ["sum"]),
            helper.make_node("Sub", ["pixels", "residual"], ["difference"]),
        ],
        "pair",
        [image("pixels"), image("residual")],
        [image("sum"), image("difference")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    card = {"id": "pair", "version": "1", "inputs": ["pixels", "residual"]}
    helper.set_model_props(model, {"bonafide": json.dumps(card)})
    path.parent.mkdir(parents=True, exist_ok=True)
    save(model, path)
    return path


def test_several_inputs_and_outputs_go_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx")
    monkeypatch.setenv("BONAFIDE_WEIGHTS", str(tmp_path / "own"))
    write_pair(tmp_path / "own" / "pair-1.onnx")
    opened = runtime.session("pair")
    assert opened.weights.inputs == ("pixels", "residual")
    pixels, residual = (np.full((1, 3, 4, 4), value, np.float32) for value in (0.75, 0.5))
    by_name = {"residual": residual, "pixels": pixels}
    for outputs in (opened.run(pixels, residual=residual), opened.run(**by_name)):
        assert set(outputs) == {"sum", "difference"}
        assert (outputs["sum"] == 1.25).all() and (outputs["difference"] == 0.25).all()


def test_other_inputs_than_the_network_has_are_refused(
    write_network: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BONAFIDE_WEIGHTS", str(tmp_path / "own"))
    write_network(tmp_path / "own" / "net-1.onnx")
    write_pair(tmp_path / "own" / "pair-1.onnx")
    pixels = np.zeros((1, 3, 8, 8), np.float32)
    with pytest.raises(TypeError, match="net has the input pixels, not the inputs pixels and mask"):
        runtime.session("net").run(pixels, mask=pixels)
    with pytest.raises(TypeError, match="pair has the inputs pixels and residual, not the input"):
        runtime.session("pair").run(pixels)
    with pytest.raises(TypeError, match="not the inputs none"):
        runtime.session("net").run()


def test_a_network_is_opened_once_and_shared_by_threads(
    write_network: Write, tmp_path: Path
) -> None:
    ship(write_network, tmp_path / "shipped", "net-1")
    found: list[Any] = []
    pixels = np.full((2, 3, 16, 16), 0.5, np.float32)

    def use() -> None:
        opened = runtime.session("net")
        found.append((opened, float(opened.run(pixels)["logit"][1])))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(opened) for opened, _ in found}) == 1
    assert {value for _, value in found} == {0.5}


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork_the_child_opens_its_own(
    write_network: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BONAFIDE_THREADS", "2")  # with one thread there is nothing to lose
    ship(write_network, tmp_path / "shipped", "net-1")
    opened = runtime.session("net")
    before = opened._opened
    pixels = np.full((4, 3, 64, 64), 0.25, np.float32)
    opened.run(pixels)
    held = threading.Lock()
    held.acquire()
    holder = threading.Thread(target=_hold, args=(held,))
    holder.start()  # another thread is inside the locks while the process forks

    def child(queue: Any) -> None:
        again = runtime.session("net")
        queue.put((float(again.run(pixels)["logit"][0]), again._opened is before))

    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    try:
        assert queue.get(timeout=10) == (0.25, False)
    finally:
        held.release()
        holder.join()
        process.join(5)
        process.kill()
    assert opened._opened is before


def _hold(until: threading.Lock) -> None:
    with runtime._lock, until:
        pass


@pytest.mark.parametrize("value", ["0", "many", "-1"])
def test_threads_that_cannot_be(
    write_network: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    ship(write_network, tmp_path / "shipped", "net-1")
    monkeypatch.setenv("BONAFIDE_THREADS", value)
    with pytest.raises(InvalidInput, match="BONAFIDE_THREADS"):
        runtime.session("net")


def test_a_device_that_is_not_there(
    write_network: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    ship(write_network, tmp_path / "shipped", "net-1")
    monkeypatch.setenv("BONAFIDE_DEVICE", "abacus")
    with pytest.raises(InvalidInput, match="abacus"):
        runtime.session("net")
    monkeypatch.setenv("BONAFIDE_DEVICE", "cuda")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(InvalidInput, match="onnxruntime-gpu"):
            runtime.session("net")


def test_a_picture_is_read_tile_by_tile_and_its_map_put_together(
    write_network: Write, tmp_path: Path
) -> None:
    ship(write_network, tmp_path / "shipped", "net-1")
    pixels = np.zeros((100, 150, 3), np.uint8)
    pixels[40:64, 80:120] = 255
    mosaic = Mosaic(100, 150, 32, 16)
    logits = []
    tiles = grid(100, 150, 32, 16)
    for tile, outputs in runtime.over_tiles(runtime.session("net"), pixels, tiles, 32, batch=5):
        logits.append(float(outputs["logit"]))
        mosaic.paste(tile, outputs["map"])
    drawn = mosaic.mean()
    assert len(logits) == len(tiles)
    assert (drawn.shape, drawn.dtype) == ((100, 150), np.float32)
    assert drawn[48:56, 90:110].min() > 0.9
    assert drawn[:32].max() == 0.0 and drawn[:, :64].max() == 0.0


_MEASURE = """
import sys, resource
import numpy as np
from bonafide.networks import runtime
from bonafide.signals.tiles import grid
opened = runtime.session("net")
side = int(sys.argv[1])
row = np.zeros((1, side, 3), np.uint8)
pixels = np.broadcast_to(row, (side, side, 3))  # a picture without memory of its own
tiles = grid(side, side, 512)
count = sum(1 for _ in runtime.over_tiles(opened, pixels, tiles, 512, batch=4))
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
def test_memory_does_not_grow_with_the_picture(write_network: Write, tmp_path: Path) -> None:
    import subprocess

    write_network(tmp_path / "own" / "net-1.onnx")
    environment = {**os.environ, "BONAFIDE_WEIGHTS": str(tmp_path / "own")}

    def peak(side: int) -> tuple[int, int]:
        done = subprocess.run(
            [sys.executable, "-c", _MEASURE, str(side)],
            env=environment, capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        tiles, mebibytes = done.stdout.split()
        return int(tiles), int(mebibytes)

    few, small = peak(1024)
    many, large = peak(7168)  # 51 megapixels
    assert (few, many) == (4, 196)
    assert large - small < 16
