"""Fixtures that several test files share."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# A machine that is busy is no reason for a test to fail.
settings.register_profile("bonafide", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bonafide")


def data_folder() -> Path | None:
    """Where labelled real media lie, None if there are none on this machine."""
    named = os.environ.get("BONAFIDE_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    return folder if (folder / "forensic_media.csv").is_file() else None


def absent(what: str, why: str) -> None:
    """Skip a test that needs something, or fail it where `BONAFIDE_REQUIRE` says it must be there.

    Args:
        what: "chromium", "postgresql" or "pdftotext", as listed in `BONAFIDE_REQUIRE`.
        why: said in either case.
    """
    if what in os.environ.get("BONAFIDE_REQUIRE", "").split(","):
        pytest.fail(f"BONAFIDE_REQUIRE asks for {what}: {why}")
    pytest.skip(why)


@pytest.fixture(scope="session")
def poor_contrast() -> str:
    """A script for a page: the texts on it that are hard to read."""
    return (Path(__file__).parent / "poor_contrast.js").read_text("utf-8")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of labelled media; tests that ask for it are skipped where it is absent."""
    folder = data_folder()
    if folder is None:
        pytest.skip("labelled media are absent: set BONAFIDE_DATA to their folder")
    return folder


CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium, where there is one; with it ends the event loop of its driver."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        absent("chromium", "no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield chromium
        chromium.close()


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def _memory() -> Path | None:
    """A file system in memory, where there is enough of it: a database a test is a lot of disk."""
    folder = Path("/dev/shm")
    roomy = folder.is_dir() and shutil.disk_usage(folder).free > 4 * 1024**3
    return folder if roomy else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a fresh PostgreSQL server, ending before the name of a database.

    It is started for the tests and thrown away.
    """
    pytest.importorskip("psycopg")
    binaries = _binaries()
    if binaries is None:
        absent(
            "postgresql",
            "PostgreSQL's server is not installed (Debian: apt-get install postgresql)",
        )
    # The server refuses to run as root.
    user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="bonafide-postgres-", dir=_memory()))
    if user:
        shutil.chown(folder, **user)

    def call(*arguments: str) -> None:
        subprocess.run(arguments, check=True, capture_output=True, timeout=120, cwd=folder, **user)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = str(folder / "data")
    call(str(binaries / "initdb"), "-D", data, "-U", "tests", "-A", "trust", "-E", "UTF8", "-N")
    options = (
        f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} "
        "-c fsync=off -c max_connections=60 -c shared_buffers=16MB"
    )
    control = str(binaries / "pg_ctl")
    call(control, "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql://tests@127.0.0.1:{port}/"
    finally:
        call(control, "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def write_network() -> Callable[..., Path]:
    """A function that writes a tiny network; tests that ask for it are skipped without onnx."""
    pytest.importorskip("onnx")
    return _write_network


def _write_network(path: Path, metadata: dict[str, Any] | None = None, **changes: Any) -> Path:
    """A network whose logit is the mean of the pixels and whose map is that of 8×8 patches.

    Args:
        path: to write; "<id>-<version>.onnx".
        metadata: put in instead of the id and version of the file's name.
        changes: "input": name of the input; "logit": a constant added to it.
    """
    from onnx import TensorProto, helper, save

    name, _, version = path.stem.rpartition("-")
    source = changes.get("input", "pixels")
    pool = {"kernel_shape": [8, 8], "strides": [8, 8]}
    nodes = [
        helper.make_node("ReduceMean", [source, "colours"], ["grey"], keepdims=1),
        helper.make_node("AveragePool", ["grey"], ["patches"], **pool),
        helper.make_node("Squeeze", ["patches", "colours"], ["map"]),
        helper.make_node("ReduceMean", ["map", "places"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", "bias"], ["logit"]),
    ]
    constants = [
        helper.make_tensor("colours", TensorProto.INT64, [1], [1]),
        helper.make_tensor("places", TensorProto.INT64, [2], [1, 2]),
        helper.make_tensor("bias", TensorProto.FLOAT, [1], [changes.get("logit", 0.0)]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [
            helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["n"]),
            helper.make_tensor_value_info("map", TensorProto.FLOAT, ["n", "i", "j"]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    card = {"id": name, "version": version} if metadata is None else metadata
    helper.set_model_props(model, {"bonafide": json.dumps(card)})
    path.parent.mkdir(parents=True, exist_ok=True)
    save(model, path)
    return path
