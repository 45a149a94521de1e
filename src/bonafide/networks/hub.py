"""Fetch published networks from the Hugging Face hub, convert them, and check that they work.

A network goes through three states. It is *fetched* when the files had the pinned checksums and the
published architecture, and ONNX Runtime agreed with PyTorch; *verified* when the self-check passed
on this machine: both are kept in a JSON record beside the ONNX file. It takes part in verdicts when
it is *calibrated*, which is done elsewhere.

The hub's own client does the transfer, so HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE and its caches mean
what they mean elsewhere.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from bonafide.errors import (
    DamagedWeights,
    InvalidInput,
    MissingExtra,
    MissingWeights,
    WeightsError,
)
from bonafide.files import atomic_write
from bonafide.media.source import open_media
from bonafide.networks import runtime
from bonafide.networks.catalogue import MODEL, Published, Recogniser, RemoteFile
from bonafide.networks.published import read
from bonafide.networks.recognisers import folder_of, record_of

_LEAST_STORED = 0.95  # share of the parameters that conversion leaves: updates are merged
_BYTES = 4  # of a number in the ONNX file


class Entry(Protocol):
    """What is fetched, as the messages name it."""

    @property
    def id(self) -> str:
        """Of the weights."""
        ...


Convert = Callable[[Published, Sequence[Path], Path], Any]  # published, its files, ONNX to write


@dataclass(frozen=True)
class Check:
    """One question of the self-check.

    Attributes:
        name: a few words.
        passed: whether the answer was right.
        detail: what was seen, one sentence.
    """

    name: str
    passed: bool
    detail: str


def state(published: Published) -> str:
    """Where a network stands: "not fetched", "fetched, not verified", "verified" or "your own"."""
    try:
        found = runtime.find(published.id)
        if found.origin == "own":
            return "your own"
        return "verified" if runtime.read_record(found)["verified"] else "fetched, not verified"
    except MissingWeights:
        return "not fetched"
    except WeightsError as error:
        return error.why


def check_extras() -> None:
    """Refuse before anything is downloaded if it could not be used.

    Raises:
        MissingExtra: the hub's client, PyTorch or the exporter is not installed.
    """
    if find_spec("huggingface_hub") is None:
        raise MissingExtra("hub", "fetching a network")
    for needed in ("torch", "onnx", "onnxscript", "safetensors"):
        if find_spec(needed) is None:
            raise MissingExtra("train", "converting a network")


def pull(published: Published, convert: Convert, say: Callable[[str], None]) -> Path:
    """Download, check, convert; the result still has to be verified.

    Args:
        published: what to fetch.
        convert: `train.published.convert`, which needs PyTorch.
        say: takes sentences about what happens.

    Returns:
        The ONNX file.

    Raises:
        MissingExtra: something is not installed.
        MissingWeights: the hub cannot be reached, does not have a file, or is not to be asked.
        DamagedWeights: a file is not the pinned one, or does not hold the network.
        BonafideError: ONNX Runtime and PyTorch differ.
    """
    target = runtime.user_folder() / f"{published.id}-{published.version}.onnx"
    record = target.with_suffix(".json")
    known = _trusted_before(record)
    paths, sources = [], []
    for file in published.files:
        path = download(published, file, say)
        digest = _checked(published, file, path, known, say)
        paths.append(path)
        sources.append(asdict(file) | {"sha256": digest})
    say("converting it to ONNX and comparing both on random pictures")
    target.parent.mkdir(parents=True, exist_ok=True)
    written = convert(published, paths, target)
    _write(
        record,
        {
            "id": published.id,
            "version": published.version,
            "licence": published.licence,
            "sha256": runtime.sha256(target),
            "difference": written.difference,
            "sources": sources,
            "pulled": _now(),
            "verified": False,
            "checks": [],
        },
    )
    return target


def pull_recogniser(entry: Recogniser, say: Callable[[str], None]) -> Path:
    """Download and check the files of a recogniser of speech; it can be used at once.

    Args:
        entry: what to fetch.
        say: takes sentences about what happens.

    Returns:
        Its folder.

    Raises:
        MissingExtra: the hub's client is not installed.
        MissingWeights: the hub cannot be reached, does not have a file, or is not to be asked.
        DamagedWeights: a file is not the pinned one.
    """
    if find_spec("huggingface_hub") is None:
        raise MissingExtra("hub", "fetching a network")
    folder = folder_of(entry)
    folder.mkdir(parents=True, exist_ok=True)
    sources = []
    for file in entry.files:
        path = download(entry, file, say)
        digest = _checked(entry, file, path, {}, say)
        with atomic_write(folder / file.path) as partial:
            shutil.copyfile(path, partial)
        sources.append(asdict(file) | {"sha256": digest})
    (whole,) = (source["sha256"] for source in sources if source["path"] == MODEL)
    about = {"id": entry.id, "version": entry.version, "licence": entry.licence, "sha256": whole}
    _write(record_of(folder), about | {"sources": sources, "pulled": _now()})
    return folder


def download(published: Entry, file: RemoteFile, say: Callable[[str], None]) -> Path:
    """Fetch one file through the hub's cache; an interrupted download goes on where it stopped.

    Raises:
        MissingWeights: it cannot be had; the message says why.
    """
    import huggingface_hub
    from huggingface_hub import errors

    say(f"fetching {file.path} of {file.repository}, {file.bytes / 1e6:,.0f} MB")
    try:
        path = huggingface_hub.hf_hub_download(
            file.repository,
            file.path,
            revision=file.revision,
            endpoint=os.environ.get("HF_ENDPOINT"),
            library_name="bonafide",
        )
    except errors.LocalEntryNotFoundError as error:
        offline = huggingface_hub.constants.HF_HUB_OFFLINE
        why = "HF_HUB_OFFLINE is set" if offline else "the hub cannot be reached"
        raise MissingWeights(
            published.id, f"{why} and {file.path} of {file.repository} is not in its cache"
        ) from error
    except Exception as error:  # the client's answers and its transport share no public class
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise MissingWeights(
            published.id, f"{file.path} of {file.repository} cannot be fetched: {first}"
        ) from error
    return Path(path)


def verify(
    published: Published,
    generated: Sequence[Path],
    photographs: Sequence[Path],
    samples: str = "the user's",
) -> tuple[Check, ...]:
    """Run the self-check of a network that is on this machine, and record the outcome.

    Args:
        published: which.
        generated: pictures known to be generated.
        photographs: pictures known to be photographs; both at least one.
        samples: whose pictures these are, for the record.

    Returns:
        Every question with its answer; the network is verified if all of them passed.

    Raises:
        WeightsError: there is no such network, or its file is damaged.
        MediaError: a picture cannot be read.
    """
    found = runtime.find(published.id)
    opened = runtime.open_session(found, verified=False)
    scores = [
        [read(opened, published.reading, _pixels(path)).logit for path in paths]
        for paths in (generated, photographs)
    ]
    checks = (
        _parameters(published, opened.weights),
        _finite([*scores[0], *scores[1]]),
        _order(*scores),
    )
    if found.origin == "pulled":
        known = runtime.read_record(found) | {
            "verified": all(check.passed for check in checks),
            "checks": [asdict(check) for check in checks],
            "samples": samples,
            "checked": _now(),
        }
        _write(found.record, known)
    return checks


def _checked(
    published: Entry,
    file: RemoteFile,
    path: Path,
    known: dict[str, str],
    say: Callable[[str], None],
) -> str:
    """The checksum of a downloaded file, which is not kept if it is not the expected one."""
    digest = runtime.sha256(path)
    expected = file.sha256 or known.get(f"{file.repository}/{file.path}")
    if expected is None:
        say(
            f"nobody wrote down the SHA-256 of {file.path}: this download, {digest}, is trusted "
            "and recorded, and any later one must equal it"
        )
    elif digest != expected:
        blob = path.resolve()  # the cache keeps links to one file per content
        path.unlink()
        blob.unlink(missing_ok=True)
        raise DamagedWeights(
            published.id,
            f"{file.path} of {file.repository} has the SHA-256 {digest}, not {expected}; it was "
            "deleted",
        )
    return digest


def _trusted_before(record: Path) -> dict[str, str]:
    """Checksums of an earlier download, by "repository/path"."""
    try:
        sources = json.loads(record.read_text())["sources"]
    except (OSError, ValueError, KeyError):
        return {}
    return {f"{source['repository']}/{source['path']}": source["sha256"] for source in sources}


def _pixels(path: Path) -> Any:
    media = open_media(path)
    if media.image is None:
        raise InvalidInput(f"{path}: the self-check reads still pictures only")
    return media.image.pixels


def _parameters(published: Published, weights: runtime.Weights) -> Check:
    stated = weights.metadata.get("parameters")
    size = weights.path.stat().st_size
    enough = size >= _LEAST_STORED * _BYTES * published.parameters
    return Check(
        "parameter count",
        stated == published.parameters and enough,
        f"The checkpoint held {stated or 0:,} numbers, {published.parameters:,} are published, and "
        f"the file has {size / 1e6:,.1f} MB.",
    )


def _finite(logits: Sequence[float]) -> Check:
    good = sum(map(math.isfinite, logits))
    return Check("finite logits", good == len(logits), f"{good} of {len(logits)} are finite.")


def _order(generated: Sequence[float], photographs: Sequence[float]) -> Check:
    high, low = (math.fsum(logits) / len(logits) for logits in (generated, photographs))
    return Check(
        "generated above photographic",
        high > low,  # also false where one of them is not a number
        f"Generated pictures score {high:+.3f} on average, photographs {low:+.3f}.",
    )


def _write(path: Path, value: dict[str, Any]) -> None:
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(value, indent=1, ensure_ascii=False))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
