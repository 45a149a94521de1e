"""Templates that show nothing without their key, and reports that name enrolled persons."""

from __future__ import annotations

import io
import json
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Pillow
from skimage import data

from bonafide.cli.main import bonafide
from bonafide.detectors.provenance import protected_person
from bonafide.errors import InvalidInput
from bonafide.media.context import Context
from bonafide.media.source import open_media
from bonafide.persons import protect, store
from bonafide.types import Measurement, NotApplicable

WOMAN = data.astronaut()


def unit(seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=128)
    return (values / np.linalg.norm(values)).astype(np.float32)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BONAFIDE_PERSONS", str(tmp_path / "persons"))
    monkeypatch.setenv("BONAFIDE_PERSON_KEYS", str(tmp_path / "keys"))
    return tmp_path


def run(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(bonafide, args)
    return done.exit_code, done.output if done.exit_code == 0 else str(done.exception)


def photo(path: Path, pixels: np.ndarray) -> str:
    Pillow.fromarray(pixels).save(path)
    return str(path)


def measured(content: bytes) -> list[Measurement]:
    found = protected_person.Detector().measure(Context(open_media(content)))
    assert not isinstance(found, NotApplicable), found
    return list(found)


def test_protection_keeps_who_is_alike() -> None:
    key = bytes(range(32))
    near, far = [], []
    for seed in range(60):
        one, noise = unit(seed), unit(seed + 1000)
        again = (one + 0.7 * noise) / np.linalg.norm(one + 0.7 * noise)
        kept = protect.protect(one, key)
        near.append(protect.likeness(kept, protect.protect(again.astype(np.float32), key)))
        far.append(protect.likeness(kept, protect.protect(unit(seed + 2000), key)))
    assert np.mean(near) > 0.7 and abs(np.mean(far)) < 0.1
    assert min(near) > max(far) - 0.2


def test_templates_of_two_keys_have_nothing_in_common() -> None:
    one = unit(0)
    alike = [
        protect.likeness(
            protect.protect(one, bytes([number] * 32)),
            protect.protect(one, bytes([number + 100] * 32)),
        )
        for number in range(40)
    ]
    assert abs(np.mean(alike)) < 0.1 and max(alike) < 0.6


def test_half_of_each_group_is_dropped_and_the_rest_follows_from_the_key() -> None:
    key = bytes(32)
    rotation, directions, kept = protect._secrets(key)
    assert np.allclose(rotation @ rotation.T, np.eye(128), atol=1e-9)
    assert kept.shape == (8, 8) and all(len(set(row)) == 8 for row in kept.tolist())
    assert np.allclose(np.linalg.norm(directions, axis=1), 1)
    # What a key gives stays, or templates are lost.
    assert np.round(rotation[0, :3], 4).tolist() == [-0.0142, 0.0775, -0.0237]
    assert protect.protect(unit(0), key).shape == (64,)
    with pytest.raises(ValueError, match="32 bytes"):
        protect.protect(unit(0), b"short")


def test_a_key_is_kept_apart_and_readable_by_its_owner_alone(folders: Path) -> None:
    person = store.keep("Ada L.", [unit(0), unit(0)])
    assert person.key_file.parent == folders / "keys" != person.card.parent
    assert person.key_file.stat().st_mode & 0o777 == 0o600
    secret = store.key_of(person)
    assert secret.hex() not in person.card.read_text() and len(secret) == 32
    assert store.named("ada l.") == person == store.enrolled()[0]
    with pytest.raises(InvalidInput, match="enrolled already"):
        store.keep("ada l.", [unit(1)])
    other = store.keep("ada l.", [unit(1)], replace=True)
    assert other.key != person.key
    person.key_file.write_bytes(secret)
    with pytest.raises(InvalidInput, match="another enrolment"):
        store.key_of(other)
    store.remove(other)
    assert not other.card.exists() and not other.key_file.exists()


@pytest.mark.parametrize("damage", ["", "{}", '{"name": 3}', "[1]", "NaN"])
def test_a_damaged_card_is_an_error_that_names_it(folders: Path, damage: str) -> None:
    card = store.keep("ada", [unit(0)]).card
    card.write_text(damage)
    with pytest.raises(InvalidInput, match=r"ada\.json is no person's card"):
        store.enrolled()


def test_values_outside_their_range_are_refused(folders: Path) -> None:
    card = store.keep("ada", [unit(0)]).card
    told = json.loads(card.read_text())
    for value in (float("nan"), 7.0):
        card.write_text(json.dumps({**told, "template": [value] * 64}))
        with pytest.raises(InvalidInput, match="do not fit"):
            store.enrolled()


def test_from_photographs_to_a_report(folders: Path) -> None:
    """A mirrored, smaller, darker copy is found; the file without a face is named."""
    used = photo(folders / "a.png", WOMAN)
    other = photo(folders / "b.png", data.coffee())
    status, text = run("person", "enroll", "Eileen", used, other)
    assert status == 0 and "not used: b.png: no face was found" in text
    assert "Eileen  1 photograph" in run("person", "list")[1]
    listed = json.loads(CliRunner().invoke(bonafide, ("person", "list", "--json")).stdout)
    assert listed[0]["key_present"] and "template" not in listed[0]

    changed = (WOMAN[:400, ::-1] * 0.7).astype(np.uint8)
    out = io.BytesIO()
    Pillow.fromarray(changed).resize((360, 280)).save(out, "JPEG", quality=80)
    whole, person = measured(out.getvalue())
    assert person.where.subject == "person 1" and person.facts["name"] == "Eileen"
    assert "looks like “Eileen” in identity" in person.summary
    assert "nothing of whether it is genuine" in whole.summary
    assert set(whole.facts) <= set(protected_person.CARD.facts)
    assert whole.regions[0].name == "person 1: Eileen"

    (folders / "keys" / "eileen.key").unlink()
    found = protected_person.Detector().measure(Context(open_media(out.getvalue())))
    assert isinstance(found, NotApplicable) and "key" in found.why
    assert "its key is missing" in run("person", "list")[1]
    assert run("person", "remove", "eileen") == (0, "eileen is no longer enrolled\n")
    assert "nobody is enrolled as eileen" in run("person", "remove", "eileen")[1]


def test_somebody_else_is_not_named(folders: Path) -> None:
    store.keep("somebody", [unit(3)])
    (whole,) = measured(Path(photo(folders / "a.png", WOMAN)).read_bytes())
    assert whole.summary.startswith("No face looks like the enrolled person")


def test_persons_of_a_video_are_named(folders: Path) -> None:
    assert run("person", "enroll", "Eileen", photo(folders / "a.png", WOMAN))[0] == 0
    out = io.BytesIO()
    small = np.asarray(Pillow.fromarray(WOMAN).resize((320, 320)))
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 320, 320, "yuv420p"
        for step in range(5):
            moved = np.ascontiguousarray(np.roll(small, step, 0))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        container.mux(stream.encode())
    _, person = measured(out.getvalue())
    assert person.where.track == "video" and person.facts["name"] == "Eileen"


def test_without_a_usable_photograph_nobody_is_enrolled(folders: Path) -> None:
    status, text = run("person", "enroll", "x", photo(folders / "b.png", data.coffee()))
    assert status and "no photograph of x can be used" in text
    assert store.enrolled() == []
    two = np.concatenate([WOMAN[:, ::-1], WOMAN], axis=1)
    assert "shows 2 faces" in run("person", "enroll", "x", photo(folders / "c.png", two))[1]


def test_without_persons_it_says_so() -> None:
    found = protected_person.Detector().measure(Context(open_media(_png())))
    assert isinstance(found, NotApplicable) and "nobody is enrolled" in found.why


def test_rates_fall_with_likeness_and_grow_with_comparisons() -> None:
    rates = [protected_person.false_match_rate(level, 1) for level in (0.0, 0.4, 0.6, 0.9)]
    assert rates == sorted(rates, reverse=True) and rates[0] == 1.0
    assert protected_person.false_match_rate(0.6, 4) == pytest.approx(4 * rates[2], rel=0.05)


def _png() -> bytes:
    out = io.BytesIO()
    Pillow.fromarray(WOMAN).save(out, "PNG")
    return out.getvalue()
