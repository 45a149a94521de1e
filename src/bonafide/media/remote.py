"""Files behind addresses such as s3://bucket/key, by way of fsspec. Web addresses are not fetched.

Importing this loads neither fsspec nor a network library.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, BinaryIO

from bonafide.errors import BonafideError, MissingExtra, SourceError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_WEB = ("http", "https")


def is_url(name: str) -> bool:
    """Whether `name` begins with a protocol."""
    return _URL.match(name) is not None


@contextmanager
def opened(url: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """One file as a stream of bytes, and its size where that is known.

    Raises:
        SourceError: it is not there or cannot be read.
        MissingExtra: fsspec, or what it needs for this protocol, is not installed.
    """
    system, path = open_system(url)
    with _plainly(url, "it cannot be read"):
        known = system.info(path)
        if known["type"] == "directory":
            raise SourceError(url, "this is a folder")
        with system.open(path, "rb") as file:
            yield file, known["size"]


def stamp(url: str) -> str | None:
    """A text that changes when the file does, None if it cannot be had.

    Raises:
        MissingExtra: as for `opened`.
    """
    system, path = open_system(url)
    try:
        return str(system.ukey(path))
    except Exception:
        return None


def expand(url: str, depth: int) -> Iterator[str]:
    """Addresses of the files below a folder, of what a pattern matches, or `url` itself.

    Holds one remote folder's names at a time, for a pattern all that match. Hidden files are left
    out as they are in local folders; folders that lie too deep are yielded themselves, so that they
    are reported.

    Raises:
        SourceError: the folder cannot be listed.
        MissingExtra: as for `opened`.
    """
    system, path = open_system(url)
    with _plainly(url, "it cannot be listed"):
        if any(sign in path for sign in "*?["):
            found = [found for found in system.glob(path) if not system.isdir(found)]
            yield from (system.unstrip_protocol(one) for one in found or [path])
        elif system.isdir(path):
            for root, folders, files in system.walk(path, maxdepth=depth + 1, detail=True):
                for hidden in [name for name in folders if name.startswith(".")]:
                    del folders[hidden]  # walk reads this again to go on
                if root.rstrip("/").count("/") - path.rstrip("/").count("/") == depth:
                    yield from (
                        system.unstrip_protocol(found["name"]) for found in folders.values()
                    )
                for name in sorted(files):
                    if name and not name.startswith("."):
                        yield system.unstrip_protocol(files[name]["name"])
        else:
            yield url


def entries(url: str, depth: int) -> Iterator[tuple[str, bool]]:
    """Addresses right below a folder and whether each is a folder; as `expand`, one level of it.

    Of S3 one page of a thousand keys is held at a time; other systems tell a folder as a whole.

    Raises:
        SourceError: the folder cannot be listed.
        MissingExtra: as for `opened`.
    """
    system, path = open_system(url)
    with _plainly(url, "it cannot be listed"):
        if any(sign in path for sign in "*?["):
            for found in expand(url, depth):
                yield found, False
        elif depth < 0 or not system.isdir(path):
            yield url, False
        else:
            for name, is_folder in _level(system, path):
                if name and not name.startswith("."):
                    yield system.unstrip_protocol(f"{path.rstrip('/')}/{name}"), is_folder


def _level(system: Any, path: str) -> Iterator[tuple[str, bool]]:
    """Names in a folder, and whether each is one."""
    if not hasattr(system, "call_s3"):
        for entry in system.ls(path, detail=True):
            yield entry["name"].rstrip("/").rpartition("/")[2], entry["type"] == "directory"
        return
    bucket, key, _ = system.split_path(path)
    prefix = f"{key.rstrip('/')}/" if key else ""
    asked = {"Bucket": bucket, "Prefix": prefix, "Delimiter": "/"}
    while True:
        page = system.call_s3("list_objects_v2", **asked)
        for found in page.get("CommonPrefixes", ()):
            yield found["Prefix"].removeprefix(prefix).rstrip("/"), True
        for found in page.get("Contents", ()):
            yield found["Key"].removeprefix(prefix), False
        if not page.get("IsTruncated"):
            return
        asked["ContinuationToken"] = page["NextContinuationToken"]


def open_system(url: str) -> tuple[Any, str]:
    """The fsspec file system that `url` lies on, and its path there.

    Raises:
        SourceError: a web address, a chain of protocols, or a protocol that fsspec does not know.
        MissingExtra: fsspec, or what it needs for this protocol, is not installed.
    """
    protocol = url.partition("://")[0].lower()
    if protocol in _WEB:
        raise SourceError(url, "addresses are not fetched; download the file and give its path")
    if "::" in url:
        raise SourceError(url, "chains of protocols are not followed")
    system = _system(protocol)
    with _plainly(url, "it is no address"):
        return system, system._strip_protocol(url)


def _system(protocol: str) -> Any:
    """The file system; fsspec keeps one per process and thread, which outlives no fork."""
    if find_spec("fsspec") is None:
        raise MissingExtra("remote", f"reading {protocol}:// addresses")
    import fsspec

    try:
        # Listings that are kept would grow with every folder of a long batch.
        return fsspec.filesystem(protocol, use_listings_cache=False)
    except ImportError as error:
        raise MissingExtra("remote", f"reading {protocol}:// addresses ({error})") from error
    except ValueError as error:
        raise SourceError(f"{protocol}://", f"it cannot be read: {_said(error)}") from error


@contextmanager
def _plainly(url: str, what: str) -> Iterator[None]:
    """Errors of the many libraries below fsspec, which share no ancestor, as one sentence."""
    try:
        yield
    except BonafideError:
        raise
    except Exception as error:
        raise SourceError(url, f"{what}: {_said(error)}") from error


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
