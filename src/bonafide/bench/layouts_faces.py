"""Layouts of sets of forged faces, and of faces presented to a camera a second time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from bonafide.bench.samples import Sample
from bonafide.bench.tree import (
    FAKE,
    PICTURES,
    REAL,
    SPLITS,
    VIDEOS,
    Groups,
    Layout,
    files,
    find,
    folders_of,
    split_of,
)
from bonafide.errors import InvalidInput
from bonafide.types import Question

_MEDIA = PICTURES | VIDEOS
_NO_SAMPLES = ("masks", "mask", "landmarks", "landmark")


def _face(path: PurePosixPath, fake: bool, video: str, **fields: Any) -> Sample:
    if not fake:
        fields.pop("generator", None)
    extra = fields.pop("extra", {}) | {"video": video}
    return Sample(
        path.as_posix(),
        "fake" if fake else "real",
        question=Question.FACE_FORGED.value,
        extra=extra,
        **fields,
    )


def _video_of(path: PurePosixPath) -> str:
    """The stem of a video, or the folder that holds its frames."""
    return path.stem if path.suffix.lower() in VIDEOS else path.parent.name


def _faceforensics(folder: Path) -> Iterator[Sample]:
    # original_sequences/{youtube,actors}/<compression>/{videos,frames}/…, and
    # manipulated_sequences/<method>/<compression>/…; video 000_003 shows 000 with the face of 003:
    # the two originals and all made of them are a group. frames/000_003/0001.png has its mask in
    # masks/000_003/0001.png. train.json, val.json and test.json, pairs of ids, are the split.
    splits = _faceforensics_splits(folder)
    groups = Groups()
    found: list[tuple[PurePosixPath, bool, str, str, list[str]]] = []
    for path in files(folder, _MEDIA):
        parts = folders_of(path)
        at = find(parts, ("original_sequences", "manipulated_sequences"))
        if at < 0 or len(parts) < at + 3 or find(parts, _NO_SAMPLES) >= 0:
            continue
        fake = parts[at].lower() == "manipulated_sequences"
        actors = parts[at + 1].lower() in ("actors", "deepfakedetection")
        numbers = re.findall(r"\d+", _video_of(path).split("__")[0])
        # Actors were all swapped with one another; the one on screen is as far as groups can go.
        names = [f"actor {numbers[0]}"] if actors and numbers else numbers or [_video_of(path)]
        groups.join(names)
        found.append((path, fake, parts[at + 1], parts[at + 2], names))
    for path, fake, method, compression, names in found:
        mask = PurePosixPath(*("masks" if part == "frames" else part for part in path.parts))
        yield _face(
            path,
            fake,
            _video_of(path),
            generator=method,
            group=groups.of(names[0]),
            split=splits.get(names[0], ""),
            mask=mask.as_posix() if fake and mask != path and (folder / mask).is_file() else None,
            extra={"compression": compression},
        )


def _faceforensics_splits(folder: Path) -> dict[str, str]:
    result: dict[str, str] = {}
    for file in files(folder, {".json"}):
        if file.stem in ("train", "val", "test"):
            try:
                pairs = json.loads((folder / file).read_text("utf-8"))
                result |= {str(one): SPLITS[file.stem] for pair in pairs for one in pair}
            except (OSError, ValueError, TypeError) as error:
                raise InvalidInput(f"{folder / file} is no list of pairs: {error}") from None
    return result


def _celebdf(folder: Path) -> Iterator[Sample]:
    # Celeb-real/[videos/]id0_0000.mp4, Celeb-synthesis/[videos/]id0_id1_0000.mp4 (id0 with the face
    # of id1), YouTube-real/[videos/]00000.mp4, or frames/<video>/*.png; a line "1 path" of
    # List_of_testing_videos.txt per tested video. The person on screen is the group.
    tested = set()
    for table in files(folder, {".txt"}):
        if table.stem.lower() == "list_of_testing_videos":
            lines = (folder / table).read_text("utf-8", errors="replace").splitlines()
            tested |= {
                tuple(PurePosixPath(line.split()[-1]).parts) for line in lines if line.split()
            }
    listed = {(parts[0].lower(), PurePosixPath(parts[-1]).stem) for parts in tested}
    for path in files(folder, _MEDIA):
        parts = folders_of(path)
        at = find(parts, ("celeb-real", "celeb-synthesis", "youtube-real"))
        if at < 0 or find(parts, _NO_SAMPLES) >= 0:
            continue
        source, video = parts[at].lower(), _video_of(path)
        person = video.split("_")[0]
        part = "test" if (source, video) in listed else "train"
        yield _face(
            path,
            source == "celeb-synthesis",
            video,
            generator="Celeb-DF",
            group=person if source != "youtube-real" else f"youtube {person}",
            split=part if listed else "",
        )


def _dfdc(folder: Path) -> Iterator[Sample]:
    # dfdc_train_part_<n>/*.mp4 with metadata.json {"name.mp4": {"label": "FAKE", "split": "train",
    # "original": "other.mp4"}}; frames lie in a folder of the video's name below. A fake and its
    # original are a group.
    for table in files(folder, {".json"}):
        if table.stem != "metadata":
            continue
        try:
            content = json.loads((folder / table).read_text("utf-8"))
            rows = {PurePosixPath(name).stem: dict(row) for name, row in content.items()}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise InvalidInput(f"{folder / table} is no metadata of DFDC: {error}") from None
        for path in files(folder / table.parent, _MEDIA):
            video = _video_of(path)
            row = rows.get(video)
            if row is None or find(folders_of(path), _NO_SAMPLES) >= 0:
                continue
            part = table.parent.name
            yield _face(
                table.parent / path,
                str(row.get("label", "")).upper() == "FAKE",
                video,
                generator="DFDC",
                group=PurePosixPath(str(row.get("original") or video)).stem,
                split=SPLITS.get(str(row.get("split", "")).lower(), ""),
                extra={"part": part} if part else {},
            )


def _df40(folder: Path) -> Iterator[Sample]:
    # [{train,test}/]<method>/{ff,cdf}/[frames/]<video>/*.png, all fake; nine methods bring folders
    # {real,fake} of their own; the other real frames are those of FaceForensics++ and Celeb-DF.
    # Videos are named after the ids that they show, as there.
    for path in files(folder, _MEDIA):
        parts = folders_of(path)
        if find(parts, _NO_SAMPLES) >= 0:
            continue
        names = [
            part
            for part in parts
            if part.lower() not in SPLITS and not re.fullmatch(r"df40(_\w+)?", part.lower())
        ]
        if not names:
            continue
        originals = (*REAL, "original_sequences", "celeb-real", "youtube-real")
        fake = find(parts, originals) <= find(parts, FAKE)
        domain = next((part.lower() for part in names if part.lower() in ("ff", "cdf")), "")
        if not domain and not fake:
            sources = {"original_sequences": "ff", "celeb-real": "cdf", "youtube-real": "cdf"}
            domain = next((sources[part.lower()] for part in names if part.lower() in sources), "")
        video = _video_of(path)
        person = re.match(r"(id)?\d+", video)
        group = f"{domain} {person.group(0)}" if domain and person else f"{names[0]} {video}"
        yield _face(
            path,
            fake,
            video,
            generator=names[0],
            group=group,
            split=split_of(parts),
            extra={"domain": domain} if domain else {},
        )


def _ocim(folder: Path) -> Iterator[Sample]:
    # The four sets of the cross-domain protocols, in folders whose names hold oulu, casia, replay
    # (or idiap) and msu. OULU-NPU: {Train,Dev,Test}_files/P_S_UU_T.avi, T = 1 live, 2–3 print, 4–5
    # replay. CASIA-FASD: {train,test}_release/<person>/{1,2,HR_1} live, {3…6,HR_2,HR_3} print,
    # {7,8,HR_4} replay. Replay-Attack: {train,devel,test}/{real,attack/{fixed,hand}}/…clientNNN….
    # MSU-MFSD: {real,attack}/…clientNNN…. Frames lie in a folder of the video's name. The person is
    # the group.
    readers = {"oulu": _oulu, "casia": _casia_fasd, "replay": _idiap, "idiap": _idiap, "msu": _msu}
    for path in files(folder, _MEDIA):
        parts = folders_of(path)
        found = [(name, part) for part in parts for name in readers if name in part.lower()]
        if not found:
            continue
        name = "replay" if found[0][0] == "idiap" else found[0][0]
        read = readers[name](tuple(part.lower() for part in parts), _video_of(path))
        if read is None:
            continue
        label, person, split = read
        yield Sample(
            path.as_posix(),
            label,
            question=Question.SPOOFED.value,
            group=f"{name} {person}",
            split=split,
            # Names of videos are those of others in another person's folder.
            extra={"dataset": name, "video": f"{name} {person} {_video_of(path)}"},
        )


_Read = tuple[str, str, str] | None  # label, person, split


def _oulu(parts: tuple[str, ...], video: str) -> _Read:
    named = re.fullmatch(r"\d_\d_(\d+)_([1-5])", video)
    if named is None:
        return None
    split = next((SPLITS[p.split("_")[0]] for p in parts if p.endswith("_files")), "")
    label = {"1": "live", "2": "print", "3": "print"}.get(named.group(2), "replay")
    return label, named.group(1), split


def _casia_fasd(parts: tuple[str, ...], video: str) -> _Read:
    at = next((i for i, part in enumerate(parts) if part.endswith("_release")), -1)
    if at < 0 or len(parts) <= at + 1 or not re.fullmatch(r"(hr_)?\d", video.lower()):
        return None
    split = SPLITS[parts[at].removesuffix("_release")]
    live, replay = ("1", "2", "hr_1"), ("7", "8", "hr_4")
    kind = video.lower()
    label = "live" if kind in live else "replay" if kind in replay else "print"
    # Numbers of persons start anew in each part.
    return label, f"{split} {parts[at + 1]}", split


def _idiap(parts: tuple[str, ...], video: str) -> _Read:
    client = re.search(r"client(\d+)", video)
    if client is None or not {"real", "attack"} & set(parts):
        return None
    label = "live"
    if "attack" in parts:
        label = "print" if "print" in video.lower() else "replay"
    return label, client.group(1), split_of(parts)


def _msu(parts: tuple[str, ...], video: str) -> _Read:
    client = re.search(r"client(\d+)", video)
    if client is None:
        return None
    label = "live"
    if "attack" in parts or video.lower().startswith("attack"):
        label = "print" if "printed" in video.lower() else "replay"
    return label, client.group(1), split_of(parts)


FACES = (
    Layout(
        "faceforensics",
        "FaceForensics++ (2019)",
        "{original,manipulated}_sequences/METHOD/COMPRESSION/{videos,frames}/…",
        Question.FACE_FORGED.value,
        _faceforensics,
    ),
    Layout(
        "celebdf",
        "Celeb-DF v1 and v2 (2020)",
        "{Celeb-real,Celeb-synthesis,YouTube-real}/*, List_of_testing_videos.txt",
        Question.FACE_FORGED.value,
        _celebdf,
    ),
    Layout(
        "dfdc",
        "Deepfake Detection Challenge (2020)",
        "dfdc_train_part_N/metadata.json and *.mp4",
        Question.FACE_FORGED.value,
        _dfdc,
    ),
    Layout(
        "df40",
        "DF40 (2024)",
        "METHOD/{ff,cdf}/[frames/]VIDEO/*.png",
        Question.FACE_FORGED.value,
        _df40,
    ),
    Layout(
        "ocim",
        "OULU-NPU, CASIA-FASD, Replay-Attack and MSU-MFSD",
        "OULU-NPU/…, CASIA-FASD/…, Replay-Attack/…, MSU-MFSD/…",
        Question.SPOOFED.value,
        _ocim,
    ),
)
