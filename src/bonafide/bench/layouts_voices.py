"""Layouts of sets that ask whether speech is synthetic, and of sets that forge picture and sound.

A set that forges both has two layouts: one asks about faces, one about voices. Where a set tells
which part of a clip is forged, the column `intervals` holds it, as `interval_metrics` reads it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from bonafide.bench.interval_metrics import written
from bonafide.bench.samples import Sample
from bonafide.bench.tree import SPLITS, VIDEOS, Layout, files, folders_of, real_or_fake, split_of
from bonafide.errors import InvalidInput
from bonafide.types import Question

SOUNDS = frozenset((".aac", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav"))
_VOICE, _FACE = Question.VOICE_CLONED.value, Question.FACE_FORGED.value


def _sample(path: PurePosixPath, fake: bool, question: str = _VOICE, **fields: Any) -> Sample:
    if not fake:
        fields.pop("generator", None)
    forged = "fake" if question == _FACE else "synthetic_speech"
    real = "real" if question == _FACE else "bona_fide"
    return Sample(path.as_posix(), forged if fake else real, question=question, **fields)


def _by_stem(folder: Path) -> dict[str, PurePosixPath]:
    return {path.stem: path for path in files(folder, SOUNDS)}


def _rows(folder: Path, table: PurePosixPath, least: int) -> Iterator[list[str]]:
    """Lines of a table that is separated by spaces, split."""
    with (folder / table).open(encoding="utf-8", errors="replace") as file:
        for line in file:
            columns = line.split()
            if len(columns) >= least:
                yield columns


def _asvspoof5(folder: Path) -> Iterator[Sample]:
    # ASVspoof5.{train,dev.track_1,eval.track_1}.tsv: speaker, file, gender, codec, its quality, its
    # seed, attack as tagged, attack, "bonafide" or "spoof"; flac_*/<file>.flac.
    found = _by_stem(folder)
    for table in files(folder, {".tsv"}):
        words = table.stem.lower().split(".")
        if words[0] != "asvspoof5":
            continue
        split = next((SPLITS.get(word, "") for word in words[1:] if word in SPLITS), "test")
        for row in _rows(folder, table, 9):
            if row[1] in found and row[8] in ("bonafide", "spoof"):
                yield _sample(
                    found[row[1]], row[8] == "spoof", group=row[0], generator=row[7],
                    split=split, extra={"codec": "" if row[3] == "-" else row[3]},
                )  # fmt: skip


def _asvspoof2021(folder: Path) -> Iterator[Sample]:
    # keys/{LA,DF}/CM/trial_metadata.txt: speaker, file, codec, transmission or source, attack,
    # "bonafide" or "spoof", trimming, "progress", "eval" or "hidden"; flac/<file>.flac.
    found = _by_stem(folder)
    for table in files(folder, {".txt"}):
        if table.name != "trial_metadata.txt":
            continue
        for row in _rows(folder, table, 8):
            if row[1] in found and row[5] in ("bonafide", "spoof"):
                yield _sample(
                    found[row[1]], row[5] == "spoof", group=row[0], generator=row[4],
                    split="calibrate" if row[7] == "progress" else "test",
                    extra={"codec": row[2], "channel": row[3], "part": row[7]},
                )  # fmt: skip


def _in_the_wild(folder: Path) -> Iterator[Sample]:
    # meta.csv: file, speaker, "bona-fide" or "spoof".
    for table in files(folder, {".csv"}):
        if table.name != "meta.csv":
            continue
        for row in _dicts(folder / table):
            path = table.parent / row.get("file", "")
            if path.suffix.lower() in SOUNDS and (folder / path).is_file():
                fake = row.get("label", "").replace("-", "").lower() == "spoof"
                yield _sample(path, fake, group=row.get("speaker", ""))


def _wavefake(folder: Path) -> Iterator[Sample]:
    # generated_audio/<corpus>_<vocoder>/*.wav beside LJSpeech-1.1/wavs/*.wav and jsut*/**/*.wav. A
    # sentence and all its copies are a group.
    for path in files(folder, SOUNDS):
        parts = [part.lower() for part in folders_of(path)]
        made = next((part for part in parts if part.startswith(_MADE)), None)
        sentence = path.stem.removesuffix("_gen").removesuffix("_generated")
        if made is not None:
            name = made.removeprefix("ljspeech_").removeprefix("jsut_")
            yield _sample(path, True, generator=name, group=sentence)
        elif any(part.startswith(("ljspeech-", "jsut")) for part in parts):
            yield _sample(path, False, group=sentence)


_MADE = ("ljspeech_", "jsut_multi", "jsut_parallel", "common_voices_prompts")


def _fake_or_real(folder: Path) -> Iterator[Sample]:
    # for-{original,norm,2sec,rerec}/{training,validation,testing}/{real,fake}/*.wav
    for path in files(folder, SOUNDS):
        parts = folders_of(path)
        fake = real_or_fake(parts)
        if fake is not None and split_of(parts):
            version = next((part for part in parts if part.lower().startswith("for-")), "")
            yield _sample(path, fake, split=split_of(parts), extra={"version": version})


def _lavdf(folder: Path, question: str) -> Iterator[Sample]:
    # metadata.json or metadata.min.json: [{"file", "split", "modify_video", "modify_audio",
    # "fake_periods", "original"}]. A clip and what was made of it are a group.
    changed = "modify_video" if question == _FACE else "modify_audio"
    for table in files(folder, {".json"}):
        if not table.stem.startswith("metadata"):
            continue
        for row in _entries(folder / table):
            path = table.parent / str(row.get("file", ""))
            if (folder / path).is_file() and path.suffix.lower() in VIDEOS:
                fake = bool(row.get(changed))
                yield _sample(
                    path, fake, question, group=str(row.get("original") or row["file"]),
                    split=SPLITS.get(str(row.get("split", "")), ""),
                    extra=_intervals(row.get("fake_periods") if fake else None),
                )  # fmt: skip
        return  # the short table repeats the long one


def _deepfake1m(folder: Path, question: str) -> Iterator[Sample]:
    # {train,val}_metadata.json: [{"file", "original", "split", "modify_type", "audio_model",
    # "visual_fake_segments", "audio_fake_segments"}]; files below train/ and val/.
    kind = "visual" if question == _FACE else "audio"
    for table in files(folder, {".json"}):
        split = table.stem.removesuffix("_metadata")
        if split == table.stem:
            continue
        for row in _entries(folder / table):
            name = str(row.get("file", ""))
            places = (table.parent / split / name, table.parent / name)
            path = next((place for place in places if (folder / place).is_file()), None)
            if path is None:
                continue
            fake = row.get("modify_type") in (f"{kind}_modified", "both_modified")
            maker = row.get("audio_model" if kind == "audio" else "video_model")
            yield _sample(
                path, fake, question, group=str(row.get("original") or name),
                generator=str(maker or ""), split=SPLITS.get(split, ""),
                extra=_intervals(row.get(f"{kind}_fake_segments") if fake else None),
            )  # fmt: skip


def _fakeavceleb(folder: Path, question: str) -> Iterator[Sample]:
    # {Real,Fake}Video-{Real,Fake}Audio/<origin>/<gender>/<id>/*.mp4; the person is the group. The
    # method stands in meta_data.csv, in the row of the file's name and folder.
    methods = {
        (row.get("type", ""), row.get("source", ""), row.get("path", "")): row.get("method", "")
        for table in files(folder, {".csv"})
        if table.name == "meta_data.csv"
        for row in _dicts(folder / table)
    }
    for path in files(folder, VIDEOS):
        parts = folders_of(path)
        types = [part for part in parts if part.endswith(("RealAudio", "FakeAudio"))]
        if not types:
            continue
        fake = types[0].startswith("Fake") if question == _FACE else types[0].endswith("FakeAudio")
        person = parts[-1]
        method = methods.get((types[0], person, path.name), "")
        yield _sample(path, fake, question, group=person, generator=method)


def _dicts(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        for row in csv.DictReader(file):
            yield {key: value or "" for key, value in row.items() if isinstance(key, str)}


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text("utf-8"))
        return [row for row in rows if isinstance(row, dict) and "file" in row]
    except (OSError, ValueError, TypeError) as error:
        raise InvalidInput(f"{path} is no list of clips: {error}") from None


def _intervals(spans: Any) -> dict[str, str]:
    try:
        return {"intervals": written([(float(one), float(two)) for one, two in spans or ()])}
    except (TypeError, ValueError):
        raise InvalidInput(f"{spans!r} are no intervals") from None


VOICES = (
    Layout("asvspoof5", "ASVspoof 5 (2024)", "ASVspoof5.*.tsv and flac_*/*.flac", _VOICE,
           _asvspoof5),
    Layout("asvspoof2021", "ASVspoof 2021, LA and DF",
           "keys/{LA,DF}/CM/trial_metadata.txt and */flac/*.flac", _VOICE, _asvspoof2021),
    Layout("in_the_wild", "In-the-Wild (2022)", "meta.csv and *.wav", _VOICE, _in_the_wild),
    Layout("wavefake", "WaveFake (2021)", "generated_audio/CORPUS_VOCODER/*.wav, "
           "LJSpeech-1.1/wavs/*.wav, jsut*/**/*.wav", _VOICE, _wavefake),
    Layout("fake_or_real", "Fake-or-Real (2019)",
           "for-VERSION/{training,validation,testing}/{real,fake}/*.wav", _VOICE, _fake_or_real),
    Layout("lavdf", "LAV-DF (2022), faces", "metadata.json and {train,dev,test}/*.mp4", _FACE,
           partial(_lavdf, question=_FACE)),
    Layout("lavdf_voices", "LAV-DF (2022), voices", "metadata.json and {train,dev,test}/*.mp4",
           _VOICE, partial(_lavdf, question=_VOICE)),
    Layout("avdeepfake1m", "AV-Deepfake1M and 1M++ (2024, 2025), faces",
           "{train,val}_metadata.json and {train,val}/**/*.mp4", _FACE,
           partial(_deepfake1m, question=_FACE)),
    Layout("avdeepfake1m_voices", "AV-Deepfake1M and 1M++ (2024, 2025), voices",
           "{train,val}_metadata.json and {train,val}/**/*.mp4", _VOICE,
           partial(_deepfake1m, question=_VOICE)),
    Layout("fakeavceleb", "FakeAVCeleb (2021), faces",
           "{Real,Fake}Video-{Real,Fake}Audio/ORIGIN/GENDER/ID/*.mp4, meta_data.csv", _FACE,
           partial(_fakeavceleb, question=_FACE)),
    Layout("fakeavceleb_voices", "FakeAVCeleb (2021), voices",
           "{Real,Fake}Video-{Real,Fake}Audio/ORIGIN/GENDER/ID/*.mp4, meta_data.csv", _VOICE,
           partial(_fakeavceleb, question=_VOICE)),
)  # fmt: skip
