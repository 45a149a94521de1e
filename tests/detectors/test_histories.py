"""What the facts of the provenance detectors tell of a file's history."""

from __future__ import annotations

from typing import Any

import pytest

from bonafide import registry

CREDENTIALS: dict[str, Any] = {
    "state": "Valid",
    "signer": "Example Press Agency",
    "signed_at": "2024-02-03T04:05:06+00:00",
    "claim_generator": "Example Camera 2.1",
    "actions": ["c2pa.created", "c2pa.cropped", "maker.own"],
    "digital_source_types": ["digitalCapture"],
    "ingredients": [
        {"title": "IMG_0001.jpg", "relationship": "parentOf"},
        {"title": "", "relationship": "componentOf"},
    ],
}


def history(detector: str, **facts: Any) -> list[Any]:
    return list(registry.card(detector).history(facts))


@pytest.mark.parametrize(
    ("state", "standing"), [("Trusted", "signed"), ("Valid", "stated"), ("Invalid", "broken")]
)
def test_only_a_trusted_signature_counts_as_proof(state: str, standing: str) -> None:
    events = history("c2pa_manifest", **CREDENTIALS | {"state": state})
    assert {event.standing for event in events} == {standing}
    assert [event.what for event in events] == [
        "Made from another file", "Another file used", "Created → Cropped → maker.own",
        "Signed by Example Press Agency",
    ]  # fmt: skip
    assert events[1].detail == "unnamed"
    assert events[2].detail == (
        "Program: Example Camera 2.1\nOrigin: captured by a camera (digitalCapture)"
    )
    assert events[3].when == "2024-02-03T04:05:06+00:00"


def test_the_signature_names_tier_product_and_identities() -> None:
    facts = {
        "state": "Trusted",
        "signer_tier": "interim",
        "product": "A Camera",
        "assurance_level": 2,
        "time_stamp": "none",
        "identities": [{"who": "A. Smith", "state": "valid, not trusted"}],
    }
    *_, signed = history("c2pa_manifest", **CREDENTIALS | facts)
    assert signed.detail.splitlines() == [
        "The signature is valid; the signer is on the interim list alone, a lower tier.",
        "Product of the conformance programme: A Camera at assurance level 2",
        "Without a time stamp: the date is the signer's own word.",
        "Identity: A. Smith (valid, not trusted)",
    ]


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({}, []),
        ({"state": "none"}, []),
        ({"state": "remote", "remote_url": "https://x"}, ["Content credentials kept elsewhere"]),
        ({"state": "unreadable"}, ["Content credentials that cannot be read"]),
    ],
)
def test_little_is_told(facts: dict[str, str], told: list[str]) -> None:
    assert [event.what for event in history("c2pa_manifest", **facts)] == told


def test_metadata_of_a_camera_and_an_editor() -> None:
    taken, saved = history(
        "exif_consistency", camera="Nikon D750", captured_at="2021-05-04T10:11:12",
        editing_software=["Adobe Photoshop", "GIMP"],
    )  # fmt: skip
    assert (taken.when, taken.what, taken.detail) == (
        "2021-05-04T10:11:12", "Captured", "Camera: Nikon D750",
    )  # fmt: skip
    assert saved.what == "Saved with Adobe Photoshop, GIMP"
    assert history("exif_consistency", editing_software=[]) == []


def test_marks_of_a_generator() -> None:
    facts = {"generator": "ComfyUI", "model": "v1-5", "seed": 0, "prompt": "", "where_found": "PNG"}
    (event,) = history("generator_metadata", **facts)
    assert (event.what, event.detail, event.source, event.standing) == (
        "Generated with ComfyUI", "Model: v1-5\nSeed: 0", "PNG", "stated",
    )  # fmt: skip
    assert history("generator_metadata", generator="not named")[0].what == "Generated"
    assert history("generator_metadata") == []


def test_other_detectors_tell_nothing() -> None:
    assert history("copy_move", anything=1) == []
