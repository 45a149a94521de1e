"""Names come one at a time from folders, lists, tables and addresses."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from bonafide import Settings
from bonafide.batch.names import expand
from bonafide.batch.results import Form
from bonafide.batch.run import local, run
from bonafide.errors import InvalidInput, SourceError
from bonafide.media.limits import Limits
from bonafide.media.source import open_source


def names(*given: str, column: str = "path") -> list[str]:
    return list(expand(given, column, Limits()))


def test_a_folder_without_what_is_hidden(tmp_path: Path) -> None:
    for name in ("a.png", "b/c.png", ".hidden/d.png", "b/.e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert sorted(names(str(tmp_path))) == [str(tmp_path / "a.png"), str(tmp_path / "b/c.png")]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_that_lead_nowhere_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "through").symlink_to("a.png/b")
    expected = [str(tmp_path / name) for name in ("a.png", "circle", "through")]
    assert sorted(names(str(tmp_path))) == expected
    assert list(expand([str(tmp_path)], "path", Limits(), ordered=True)) == expected
    assert names("x" * 5_000) == ["x" * 5_000]


def test_the_folder_of_the_results_is_passed_over(tmp_path: Path) -> None:
    for name in ("a.png", "results/reports.jsonl", "more/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = expand([str(tmp_path)], "path", Limits(), without=str(tmp_path / "more/../results"))
    assert sorted(found) == [str(tmp_path / "a.png"), str(tmp_path / "more" / "b.png")]


def test_a_folder_that_lies_too_deep_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for file in (tmp_path / "a" / "1.png", tmp_path / "a" / "b" / "2.png"):
        file.write_bytes(b"x")
    expected = [str(tmp_path / "a" / "1.png"), str(tmp_path / "a" / "b")]
    for ordered in (True, False):
        found = list(expand([str(tmp_path)], "path", Limits(nesting=1), ordered))
        assert found == expected
    with pytest.raises(SourceError, match="a folder"):
        open_source(expected[1])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe, file = tmp_path / "pipe", tmp_path / "file"
    os.mkfifo(pipe)
    file.write_text("a.png\n")


def test_a_list_keeps_odd_names(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_bytes(b"\xef\xbb\xbfa b.png\r\n\n\xff.png\ns3://bucket/key\n")
    assert names(f"@{file}") == ["a b.png", os.fsdecode(b"\xff.png"), "s3://bucket/key"]


def test_names_in_tables_start_from_the_table(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("\ufefffile,label\nx/a.png,1\n/b.png,2\n", encoding="utf-8")
    assert names(f"@{table}", column="file") == [str(tmp_path / "x/a.png"), "/b.png"]
    with pytest.raises(InvalidInput, match="file, label with --column"):
        names(f"@{table}")


def test_a_parquet_table(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"path": ["a.png", None, "b.png"], "n": [1, 2, 3]}), table)
    assert names(f"@{table}") == [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    parquet.write_table(pyarrow.table({"path": [b"a.png"], "n": [["a.png"]]}), table)
    assert names(f"@{table}") == [str(tmp_path / "a.png")]
    with pytest.raises(InvalidInput, match="does not hold text"):
        names(f"@{table}", column="n")
    table.write_bytes(b"PAR1 is not enough")
    with pytest.raises(InvalidInput, match="not a readable Parquet"):
        names(f"@{table}")


def test_a_list_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        names(f"@{tmp_path / 'none'}")
    long = tmp_path / "long"
    long.write_bytes(b"x" * 70_000)
    with pytest.raises(InvalidInput, match="no list"):
        names(f"@{long}")


def test_a_list_is_read_as_it_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_bytes(b"a.png\n" * 10 + b"y" * 70_000)
    assert list(islice(expand([f"@{file}"], "path", Limits()), 10)) == ["a.png"] * 10


def test_folders_patterns_and_files_behind_an_address() -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for name in ("/names/a.png", "/names/b/c.png", "/names/.d.png"):
        memory.pipe(name, b"12345")
    both = ["memory:///names/a.png", "memory:///names/b/c.png"]
    assert [name.replace("memory:///", "memory://") for name in names("memory://names")] == [
        name.replace("memory:///", "memory://") for name in both
    ]
    assert len(names("memory://names/*.png")) == 2
    deep = list(expand(["memory://names"], "path", Limits(nesting=0)))
    assert [name.rpartition("/")[2] for name in deep] == ["b", "a.png"]
    assert open_source("memory://names/a.png").open().read() == b"12345"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket on a server on this machine that speaks S3."""
    server = pytest.importorskip("moto.server", reason="moto is not installed")
    s3fs = pytest.importorskip("s3fs")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    system: Any = s3fs.S3FileSystem(use_listings_cache=False)
    system.mkdir("pictures")
    yield "s3://pictures"
    running.stop()


def test_a_bucket(bucket: str, pictures: Path, tmp_path: Path) -> None:
    import s3fs

    system = s3fs.S3FileSystem(use_listings_cache=False)
    system.pipe("pictures/a/1.png", b"one")
    system.pipe("pictures/2.png", b"two")
    assert sorted(names(bucket)) == ["s3://pictures/2.png", "s3://pictures/a/1.png"]
    assert names("s3://pictures/a/*.png") == ["s3://pictures/a/1.png"]
    assert open_source("s3://pictures/2.png").open().read() == b"two"

    from bonafide.media import remote

    before = remote.stamp("s3://pictures/2.png")
    assert before == remote.stamp("s3://pictures/2.png")
    system.pipe("pictures/2.png", b"TWO")
    assert before != remote.stamp("s3://pictures/2.png")

    # This process has spoken to the bucket; its children, forked from it, do so too.
    system.put(str(pictures / "00.png"), "pictures/b/00.png")
    tally = run(names("s3://pictures/b"), Settings(only=("ela",)), tmp_path, Form.JSONL, local(1))
    assert (tally.examined, tally.failed) == (1, 0)
