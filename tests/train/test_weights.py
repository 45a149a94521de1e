"""Networks are fetched from a hub, refused when they are not what they should be, and checked.

The hub is a real HTTP server on this machine that answers as the Hugging Face hub does: metadata
on HEAD, a redirect to another host for the content, ranges, error codes.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Pillow

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("huggingface_hub")

import torch
from checkpoints import tiny, write_checkpoint
from huggingface_hub import constants

from bonafide import registry
from bonafide.cli.weights import weights
from bonafide.errors import BonafideError, DamagedWeights, MissingWeights
from bonafide.media.source import open_media
from bonafide.networks import hub, recognisers, runtime
from bonafide.networks.catalogue import CATALOGUE, RECOGNISERS, Published, Recogniser
from bonafide.testing import check_finding, measure
from bonafide.train.published import convert
from bonafide.types import Status

Offered = TypeVar("Offered", Published, Recogniser)


class Hub:
    """A hub that serves files from memory and remembers what it was asked."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}  # "owner/name/resolve/revision/path" → content
        self.asked: list[tuple[str, str, str | None]] = []  # method, path, range
        self.cut_after: int | None = None  # bytes after which the next download breaks off
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                outer.answer(self)

            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def offer(self, entry: Offered, paths: list[Path]) -> Offered:
        """Serve the files of an entry; return the entry with their checksums and sizes."""
        files = []
        for file, path in zip(entry.files, paths, strict=True):
            data = path.read_bytes()
            self.files[f"{file.repository}/resolve/{file.revision}/{file.path}"] = data
            digest = hashlib.sha256(data).hexdigest()
            files.append(replace(file, sha256=digest, bytes=len(data)))
        return replace(entry, files=tuple(files))

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.lstrip("/")
        self.asked.append((request.command, path, request.headers.get("Range")))
        if path.startswith("content/"):
            self._content(request, path.removeprefix("content/"))
        elif path in self.files:
            data = self.files[path]
            digest = hashlib.sha256(data).hexdigest()
            # Another host name, as large files lie on one.
            where = f"http://localhost:{self.server.server_port}/content/{digest}"
            self._reply(request, 302, {
                "Location": where,
                "X-Repo-Commit": path.split("/")[3],
                "X-Linked-Etag": f'"{digest}"',
                "X-Linked-Size": str(len(data)),
                "ETag": '"of-the-pointer"',
            })  # fmt: skip
        else:
            known = any(name.startswith("/".join(path.split("/")[:2]) + "/") for name in self.files)
            code = "EntryNotFound" if known else "RepoNotFound"
            self._reply(request, 404, {"X-Error-Code": code, "X-Error-Message": code})

    def _content(self, request: BaseHTTPRequestHandler, digest: str) -> None:
        (data,) = {d for d in self.files.values() if hashlib.sha256(d).hexdigest() == digest}
        asked = request.headers.get("Range")
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        span = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if asked else {}
        cut, self.cut_after = self.cut_after, None
        body = data[start:]
        request.send_response(206 if asked else 200)
        for name, value in (
            {"Content-Length": str(len(body)), "ETag": f'"{digest}"'} | span
        ).items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body[:cut])
        if cut is not None:
            request.close_connection = True

    @staticmethod
    def _reply(request: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
        request.send_response(status)
        for name, value in ({"Content-Length": "0"} | headers).items():
            request.send_header(name, value)
        request.end_headers()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub, and empty caches and folders on this side."""
    torch.set_num_threads(1)
    server = Hub()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("BONAFIDE_THREADS", "1")
    monkeypatch.delenv("BONAFIDE_WEIGHTS", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(runtime, "user_folder", lambda: tmp_path / "pulled")
    runtime._sessions.clear()
    yield server
    server.server.shutdown()
    server.server.server_close()
    runtime._sessions.clear()


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Path]:
    """Two pictures that any network tells apart somehow."""
    paths = tmp_path / "flat.png", tmp_path / "noise.png"
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    for path, pixels in zip(paths, (np.full_like(noise, 200), noise), strict=True):
        Pillow.fromarray(pixels).save(path)
    return paths


def offered(served: Hub, name: str, folder: Path) -> Published:
    entry = tiny(name)
    return served.offer(entry, write_checkpoint(entry, folder / "published"))


def run(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(weights, [str(one) for one in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit | BonafideError)
    return done.exit_code, done.output + (str(done.exception) if done.exception else "")


def nothing(_: object) -> None:
    pass


def test_from_the_hub_to_a_finding(
    served: Hub,
    tmp_path: Path,
    pictures: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = offered(served, "univfd", tmp_path)
    monkeypatch.setitem(CATALOGUE, "univfd", entry)  # type: ignore[arg-type]
    card = registry.card("univfd")
    detector, media = registry.load(card.id), open_media(pictures[1])
    assert hub.state(entry) == "not fetched"
    assert "bonafide weights pull univfd" in measure(detector, media, card).why

    status, said = run("pull", "univfd")
    assert status == 2 and "--yes" in said and "MIT" in said
    assert served.asked == []  # the licence comes before the first byte
    status, said = run("pull", "univfd", "--yes")
    assert status == 0, said
    assert said.index("Licence of the weights: MIT") < said.index("fetching model.safetensors")
    assert "not verified yet" in said
    record = json.loads((tmp_path / "pulled" / "univfd-1.json").read_text())
    assert [source["sha256"] for source in record["sources"]] == [f.sha256 for f in entry.files]
    assert record["verified"] is False and record["difference"] < 1e-3
    assert hub.state(entry) == "fetched, not verified"
    finding = measure(detector, media, card)
    assert finding.status is Status.NOT_APPLICABLE and "weights verify univfd" in finding.why

    # The numbers are random, so exactly one order of the two pictures is right.
    orders = [run("verify", "univfd", "--generated", one, "--photograph", other)
              for one, other in (pictures, pictures[::-1])]  # fmt: skip
    assert sorted(status for status, _ in orders) == [0, 1]
    (right,) = (index for index, (status, _) in enumerate(orders) if status == 0)
    assert "FAILED  generated above photographic" in orders[1 - right][1]
    hub.verify(entry, [pictures[right]], [pictures[1 - right]])
    assert hub.state(entry) == "verified"
    finding = measure(detector, media, card)
    check_finding(card.id, card, media, finding)
    assert finding.status is Status.OK and finding.score is not None
    assert (finding.facts["squares"], finding.facts["origin"]) == (16, "pulled")


def test_a_download_that_breaks_off_goes_on_where_it_stopped(
    served: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 250)  # the client counts whole chunks
    entry = offered(served, "community_forensics", tmp_path)
    served.cut_after = 1000
    path = hub.download(entry, entry.files[0], nothing)
    assert runtime.sha256(path) == entry.files[0].sha256
    ranges = [span for _, where, span in served.asked if where.startswith("content/")]
    assert len(ranges) == 2 and ranges[0] is None
    assert str(ranges[1]).startswith("bytes=1000-")


def test_a_file_with_another_checksum_is_not_kept(served: Hub, tmp_path: Path) -> None:
    entry = offered(served, "community_forensics", tmp_path)
    (file,) = entry.files
    pinned = replace(entry, files=(replace(file, sha256="0" * 64),))
    for _ in range(2):  # the second time it is fetched again, not taken from the cache
        served.asked.clear()
        with pytest.raises(DamagedWeights, match="it was deleted"):
            hub.pull(pinned, convert, nothing)
        assert any(where.startswith("content/") for _, where, _ in served.asked)
        kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
        assert not [path for path in kept if path.stat().st_size == file.bytes]
    assert not list((tmp_path / "pulled").glob("*"))


def test_the_first_download_is_trusted_where_no_checksum_is_known(
    served: Hub, tmp_path: Path
) -> None:
    entry = offered(served, "community_forensics", tmp_path)
    (file,) = entry.files
    unpinned = replace(entry, files=(replace(file, sha256=None),))
    said: list[str] = []
    hub.pull(unpinned, convert, said.append)
    assert any("nobody wrote down the SHA-256" in sentence for sentence in said)
    other = write_checkpoint(entry, tmp_path / "other", seed=1)
    moved = replace(unpinned, files=(replace(file, sha256=None, revision="f" * 40),))
    served.offer(moved, other)
    with pytest.raises(DamagedWeights, match="it was deleted"):
        hub.pull(moved, convert, nothing)


def test_another_architecture_leaves_nothing_behind(served: Hub, tmp_path: Path) -> None:
    entry = tiny("dda")
    paths = write_checkpoint(entry, tmp_path / "published")
    torch.save({"model": {"base_model.fc.weight": torch.zeros(1, 16)}}, paths[0])
    with pytest.raises(DamagedWeights, match="not the published architecture"):
        hub.pull(served.offer(entry, paths), convert, nothing)
    assert not list((tmp_path / "pulled").glob("*"))


def test_what_the_hub_does_not_have_is_named(served: Hub, tmp_path: Path) -> None:
    entry = offered(served, "community_forensics", tmp_path)
    (file,) = entry.files
    with pytest.raises(MissingWeights, match=r"other\.bin of OwensLab/commfor-model-384 cannot"):
        hub.download(entry, replace(file, path="other.bin"), nothing)
    with pytest.raises(MissingWeights, match="nobody/nothing"):
        hub.download(entry, replace(file, repository="nobody/nothing"), nothing)


def test_offline_and_unreachable(
    served: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = offered(served, "community_forensics", tmp_path)
    (file,) = entry.files
    monkeypatch.setattr(time, "sleep", nothing)  # between the client's many attempts
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(MissingWeights, match="the hub cannot be reached"):
        hub.download(entry, file, nothing)
    monkeypatch.setenv("HF_ENDPOINT", served.address)
    hub.download(entry, file, nothing)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    served.asked.clear()
    assert hub.download(entry, file, nothing).is_file()  # what is in the cache stays usable
    with pytest.raises(MissingWeights, match="HF_HUB_OFFLINE is set"):
        hub.download(entry, replace(file, path="other.bin"), nothing)
    assert served.asked == []


def test_the_command_line_follows_the_environment(served: Hub, tmp_path: Path) -> None:
    (file,) = CATALOGUE["community_forensics"].files
    name = f"{file.repository}/resolve/{file.revision}/{file.path}"
    served.files[name] = b"not the published file"
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "XDG_DATA_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "bonafide", "weights", "pull", "community_forensics", "--yes"],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "SHA-256" in done.stderr and "Traceback" not in done.stderr
    assert (tmp_path / "hf").is_dir() and name in [where for _, where, _ in served.asked]


def test_the_self_check_finds_what_is_wrong(
    served: Hub,
    tmp_path: Path,
    pictures: tuple[Path, Path],
    write_network: Callable[..., Path],
) -> None:
    path = write_network(tmp_path / "pulled" / "dda-1.onnx", logit=float("nan"))
    record = {"sha256": runtime.sha256(path), "verified": True}
    path.with_suffix(".json").write_text(json.dumps(record))
    status, said = run("verify", "dda", "--generated", pictures[0], "--photograph", pictures[1])
    assert status == 1
    for check in ("parameter count", "finite logits", "generated above photographic"):
        assert f"FAILED  {check}" in said
    assert hub.state(CATALOGUE["dda"]) == "fetched, not verified"


def test_stand_ins_are_made_and_named(
    served: Hub, tmp_path: Path, write_network: Callable[..., Path]
) -> None:
    pytest.importorskip("skimage")
    entry = CATALOGUE["dda"]
    card = {"id": "dda", "version": "1", "parameters": entry.parameters}
    path = write_network(tmp_path / "pulled" / "dda-1.onnx", card)
    path.with_suffix(".json").write_text(
        json.dumps({"sha256": runtime.sha256(path), "verified": False})
    )
    status, said = run("verify", "dda")
    assert "no generator made any of them" in said
    assert status == 1 and "FAILED  parameter count" in said  # the file is far too small
    assert json.loads(path.with_suffix(".json").read_text())["samples"] == "stand-ins"


def test_the_list_and_the_licences(served: Hub) -> None:
    status, said = run("list")
    assert status == 0
    for entry in CATALOGUE.values():
        assert entry.id in said and entry.licence in said
        status, terms = run("licence", entry.id)
        assert status == 0
        for file in entry.files:
            assert all(part in terms for part in (file.repository, file.path, file.revision))
    status, said = run("list", "--json")
    assert {entry["state"] for entry in json.loads(said)} == {"not fetched"}
    assert run("pull", "no_such")[0] == 2


def test_a_recogniser_of_speech_is_fetched_as_it_is(
    served: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = RECOGNISERS["transcribe_tiny"]
    (tmp_path / "published").mkdir()
    paths = [tmp_path / "published" / file.path for file in entry.files]
    for path in paths:
        path.write_bytes(path.name.encode() * 50)
    offered = served.offer(entry, paths)
    monkeypatch.setitem(RECOGNISERS, entry.id, offered)  # type: ignore[arg-type]
    status, said = run("pull", entry.id)
    assert status == 2 and "--yes" in said and served.asked == []
    status, said = run("pull", entry.id, "--yes")
    assert status == 0 and "Licence of the weights: MIT" in said, said
    folder = tmp_path / "pulled" / "transcribe_tiny-1"
    assert {one.name for one in folder.iterdir()} == {file.path for file in entry.files}
    record = json.loads((tmp_path / "pulled" / "transcribe_tiny-1.json").read_text())
    assert record["sha256"] == runtime.sha256(folder / "model.bin")
    assert recognisers.find() == (offered, folder) and recognisers.state(offered) == "fetched"
    assert recognisers.ingredients() == {"weights.transcribe_tiny": record["sha256"]}
    damaged = replace(
        offered, files=tuple(replace(file, sha256="0" * 64) for file in offered.files)
    )
    with pytest.raises(DamagedWeights, match="it was deleted"):
        hub.pull_recogniser(damaged, nothing)
