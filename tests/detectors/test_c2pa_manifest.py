"""Content credentials, on media signed here and on labelled files where they are present."""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image as Pillow
from tests.detectors.counting import Counting, manifest_server

from bonafide.detectors.provenance.c2pa_manifest import CARD, Detector
from bonafide.errors import MediaError
from bonafide.media.image import Image
from bonafide.media.source import open_media
from bonafide.testing import measure
from bonafide.types import Carrier, Claim, Finding, Label, Status

SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"


class Signer:
    """A root and a signing certificate made for one test run."""

    def __init__(self, organisation: str) -> None:
        now = datetime.datetime.now(datetime.UTC)
        root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root_name = self._name(organisation, "Root")
        root = self._builder(root_name, root_name, root_key.public_key(), now)
        root = root.add_extension(x509.BasicConstraints(True, None), critical=True)
        root = root.add_extension(self._usage(sign=False), critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(root_key.public_key())
        root = root.add_extension(identifier, critical=False)
        leaf = self._builder(self._name(organisation, "Signer"), root_name, key.public_key(), now)
        leaf = leaf.add_extension(x509.BasicConstraints(False, None), critical=True)
        leaf = leaf.add_extension(self._usage(sign=True), critical=True)
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        leaf = leaf.add_extension(purpose, critical=False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
        leaf = leaf.add_extension(authority, critical=False)
        root_certificate = root.sign(root_key, hashes.SHA256())
        certificate = leaf.sign(root_key, hashes.SHA256())
        pem = serialization.Encoding.PEM
        self.root = root_certificate.public_bytes(pem).decode()
        self.chain = certificate.public_bytes(pem) + root_certificate.public_bytes(pem)
        self.key = key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @staticmethod
    def _name(organisation: str, common: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "NL"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
                x509.NameAttribute(NameOID.COMMON_NAME, f"{organisation} {common}"),
            ]
        )

    @staticmethod
    def _builder(
        subject: x509.Name, issuer: x509.Name, key: Any, now: datetime.datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
        )

    @staticmethod
    def _usage(sign: bool) -> x509.KeyUsage:
        return x509.KeyUsage(sign, False, False, False, False, not sign, not sign, False, False)

    def sign(
        self,
        source_type: str | None = None,
        action: str = "c2pa.created",
        picture: bytes | None = None,
        ingredient: tuple[bytes, str] | None = None,
        remote: str | None = None,
        agent: str = "Unit Painter",
        then: tuple[dict[str, Any], ...] = (),
        program: str = "bonafide tests",
        more: tuple[dict[str, Any], ...] = (),
        actions: dict[str, Any] | None = None,
        claim_version: int = 0,
        thumbnail: bool = False,
    ) -> bytes:
        """A JPEG with a manifest of one action, and further ones if given."""
        entry: dict[str, Any] = {"action": action, "softwareAgent": {"name": agent}}
        if source_type:
            entry["digitalSourceType"] = SOURCE + source_type
        linked = [entry] if action == "c2pa.opened" else [*then]
        for one in linked if ingredient else ():
            if one["action"] in ("c2pa.opened", "c2pa.placed"):
                one |= {"parameters": {"ingredientIds": ["before"]}}
        listed = {"actions": [entry, *then], **(actions or {})}
        assertions = [{"label": "c2pa.actions", "data": listed}, *more]
        manifest = {
            "claim_generator_info": [{"name": program, "version": "1"}],
            "format": "image/jpeg",
            "assertions": assertions,
        }
        if claim_version:
            manifest["claim_version"] = claim_version
        info = c2pa.C2paSignerInfo(
            alg=b"es256", sign_cert=self.chain, private_key=self.key, ta_url=None
        )
        settings = c2pa.Settings.from_dict(
            {
                "verify": {"verify_after_sign": False},
                "builder": {
                    "thumbnail": {"enabled": thumbnail},
                    "actions": {
                        "auto_created_action": {"enabled": False},
                        "auto_opened_action": {"enabled": False},
                        "auto_placed_action": {"enabled": False},
                    },
                },
            }
        )
        target = io.BytesIO()
        with (
            c2pa.Context(settings) as context,
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder(json.dumps(manifest), context) as builder,
        ):
            if remote:
                builder.set_no_embed()
                builder.set_remote_url(remote)
            if ingredient:
                data, relationship = ingredient
                described = {"title": "before.jpg", "relationship": relationship, "label": "before"}
                description = json.dumps(described)
                builder.add_ingredient(description, "image/jpeg", io.BytesIO(data))
            source = io.BytesIO(picture or jpeg())
            builder.sign(signer, "image/jpeg", source, target)
        return target.getvalue()


def jpeg() -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (64, 80, 3), np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer("Example Press")


@pytest.fixture(scope="module")
def trust(signer: Signer, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("trust") / "anchors.pem"
    path.write_text(signer.root)
    return str(path)


def examine(data: bytes, trust: str | None = None, network: bool = False) -> Finding:
    finding = measure(Detector(trust, network), open_media(data), CARD)
    assert set(finding.facts) <= set(CARD.facts)
    json.dumps(dict(finding.facts))
    return finding


def test_absence_proves_nothing() -> None:
    finding = examine(jpeg())
    assert finding.status is Status.OK
    assert finding.facts["state"] == "none"
    assert finding.claim is None
    assert "proves nothing" in finding.summary


def test_trusted_needs_a_trust_list(signer: Signer, trust: str) -> None:
    signed = signer.sign("digitalCapture")
    trusted = examine(signed, trust)
    assert trusted.facts["state"] == "Trusted"
    assert trusted.claim == Claim(Label.AUTHENTICATED, Carrier.TRUSTED_SIGNATURE)
    assert trusted.facts["signer"] == "Example Press"
    assert trusted.facts["actions"] == ["c2pa.created"]
    without = examine(signed)
    assert without.facts["state"] == "Valid"
    assert without.claim is None
    assert "not trusted" in without.summary


def test_another_signer_is_not_trusted(trust: str) -> None:
    finding = examine(Signer("Somebody Else").sign("digitalCapture"), trust)
    assert finding.facts["state"] == "Valid"
    assert finding.facts["failure_codes"] == ["signingCredential.untrusted"]
    assert finding.claim is None


def test_changed_pixels_break_the_hash(signer: Signer, trust: str) -> None:
    signed = bytearray(signer.sign("digitalCapture"))
    signed[-100] ^= 1
    finding = examine(bytes(signed), trust)
    assert finding.facts["state"] == "Invalid"
    assert finding.facts["failure_codes"] == ["assertion.dataHash.mismatch"]
    assert finding.claim == Claim(Label.MANIPULATED, Carrier.BROKEN_SIGNATURE)
    assert finding.main.contradiction
    assert "re-save" in finding.summary


def test_a_changed_manifest_claims_nothing(signer: Signer, trust: str) -> None:
    signed = signer.sign("digitalCapture")
    assert signed.count(b"Unit Painter") == 1
    finding = examine(signed.replace(b"Unit Painter", b"Unit Pointer"), trust)
    assert finding.facts["state"] == "Invalid"
    assert "assertion.hashedURI.mismatch" in finding.facts["failure_codes"]
    assert finding.claim is None


@pytest.mark.parametrize("with_trust", [True, False])
@pytest.mark.parametrize(
    ("source_type", "label"),
    [
        ("trainedAlgorithmicMedia", Label.AI_GENERATED),
        ("compositeWithTrainedAlgorithmicMedia", Label.MANIPULATED),
    ],
)
def test_declared_ai(
    signer: Signer, trust: str, source_type: str, label: Label, with_trust: bool
) -> None:
    finding = examine(signer.sign(source_type), trust if with_trust else None)
    carrier = Carrier.TRUSTED_SIGNATURE if with_trust else Carrier.VALID_SIGNATURE
    assert finding.claim == Claim(label, carrier)
    assert not finding.main.contradiction
    assert finding.facts["digital_source_types"] == [source_type]
    assert source_type in str(finding.facts["claim_basis"])
    if label is Label.AI_GENERATED:
        assert finding.facts["generator"] == "Unit Painter"


def test_declared_ai_outlives_a_resave(signer: Signer, trust: str) -> None:
    signed = bytearray(signer.sign("trainedAlgorithmicMedia"))
    signed[-100] ^= 1
    finding = examine(bytes(signed), trust)
    assert finding.facts["state"] == "Invalid"
    assert finding.claim == Claim(Label.AI_GENERATED, Carrier.BROKEN_SIGNATURE)


def test_ai_in_an_ingredient_is_not_ai_in_the_picture(signer: Signer, trust: str) -> None:
    generated = signer.sign("trainedAlgorithmicMedia")
    collage = signer.sign("digitalCapture", ingredient=(generated, "componentOf"))
    finding = examine(collage, trust)
    assert finding.facts["state"] == "Trusted"
    assert finding.claim is None
    assert finding.facts["ingredient_source_types"] == ["trainedAlgorithmicMedia"]
    assert finding.facts["manifest_count"] == 2


def test_a_mere_conversion_of_an_ai_picture_is_still_ai(signer: Signer, trust: str) -> None:
    generated = signer.sign("trainedAlgorithmicMedia")
    converted = signer.sign(None, "c2pa.converted", ingredient=(generated, "parentOf"))
    finding = examine(converted, trust)
    # Signed as it is, it names no "c2pa.opened", so that the library calls it malformed.
    assert finding.facts["failure_codes"] == ["assertion.action.malformed"]
    assert finding.claim == Claim(Label.AI_GENERATED, Carrier.BROKEN_SIGNATURE)
    assert finding.facts["declared_by"] == "ingredient"


AUTHENTICATED = Claim(Label.AUTHENTICATED, Carrier.TRUSTED_SIGNATURE)
CROP = {"action": "c2pa.cropped"}
EDIT = {"action": "c2pa.edited"}
FILL = {"action": "c2pa.edited", "digitalSourceType": SOURCE + "trainedAlgorithmicMedia"}


@pytest.mark.parametrize(
    ("what", "reading", "label"),
    [
        ({"source_type": "digitalCapture"}, "captured", Label.AUTHENTICATED),
        ({"source_type": "computationalCapture", "then": (CROP,)}, "captured", Label.AUTHENTICATED),
        ({"source_type": "digitalCreation"}, "human_creation", Label.AUTHENTICATED),
        ({"source_type": "digitalCapture", "then": (CROP, EDIT)}, "captured_changed", None),
        ({"source_type": "digitalCreation", "then": ({"action": "com.example.magic"},)},
         "human_changed", None),
        ({"source_type": "digitalCapture", "then": (FILL,)}, "partly_ai", Label.MANIPULATED),
        ({"source_type": "digitalCapture",
          "then": ({"action": "c2pa.edited", "softwareAgent": "Adobe Firefly"},)},
         "partly_ai", Label.MANIPULATED),
        ({"source_type": "screenCapture"}, "screen_capture", None),
        ({"source_type": "compositeCapture"}, "composite", None),
        ({"source_type": "algorithmicMedia"}, "algorithmic", None),
        ({}, "unknown_origin", None),
        ({"program": "Image Creator from Designer", "agent": ""}, "ai_generated",
         Label.AI_GENERATED),
        ({"agent": "Image Creator from Designer"}, "ai_generated", Label.AI_GENERATED),
        ({"agent": "Bing Image Creator"}, "ai_generated", Label.AI_GENERATED),
        ({"agent": "DALL·E"}, "ai_generated", Label.AI_GENERATED),
        ({"program": "OpenAI API"}, "ai_generated", Label.AI_GENERATED),
        ({"agent": "The DALL·E fan club"}, "unknown_origin", None),
        ({"source_type": "digitalCapture", "agent": "Google Gemini"}, "captured",
         Label.AUTHENTICATED),
        ({"source_type": "trainedAlgorithmicMedia", "then": (CROP, EDIT)}, "ai_generated",
         Label.AI_GENERATED),
        ({"source_type": "trainedAlgorithmicMedia",
          "then": ({"action": "c2pa.placed", "digitalSourceType": SOURCE + "digitalCapture"},)},
         "partly_ai", Label.MANIPULATED),
        ({"source_type": "digitalCapture", "actions": {"allActionsIncluded": False}}, "captured",
         None),
    ],
)  # fmt: skip
def test_what_a_trusted_manifest_means(
    signer: Signer, trust: str, what: dict[str, Any], reading: str, label: Label | None
) -> None:
    # Older claims may name no source type, and those of Bing do not.
    version = 2 if "source_type" in what and "placed" not in str(what) else 1
    finding = examine(signer.sign(**what, claim_version=version), trust)
    assert finding.facts["state"] == "Trusted", finding.facts["failure_codes"]
    assert finding.facts["signer_tier"] == "given"
    assert finding.facts["reading"] == reading
    assert finding.claim == (Claim(label, Carrier.TRUSTED_SIGNATURE) if label else None)
    if reading == "unknown_origin":
        assert "nothing about its origin" in finding.summary


def test_a_capture_counts_only_where_its_own_signer_is_trusted(signer: Signer, trust: str) -> None:
    for capturer, claim in ((signer, AUTHENTICATED), (Signer("Nobody Known"), None)):
        photograph = capturer.sign("digitalCapture")
        again = signer.sign(
            None, "c2pa.opened", picture=photograph, ingredient=(photograph, "parentOf")
        )
        finding = examine(again, trust)
        assert finding.facts["reading"] == "captured"
        assert finding.facts["declared_by"] == "ingredient"
        assert finding.facts["state"] == "Trusted", finding.facts["failure_codes"]
        assert finding.claim == claim


def test_ai_that_was_placed_in_a_photograph_is_told(signer: Signer, trust: str) -> None:
    generated = signer.sign("trainedAlgorithmicMedia")
    placed = {"action": "c2pa.placed"}
    collage = signer.sign("digitalCapture", then=(placed,), ingredient=(generated, "componentOf"))
    finding = examine(collage, trust)
    assert finding.facts["reading"] == "partly_ai"
    assert finding.claim is not None and finding.claim.label is Label.MANIPULATED


def test_bing_with_a_broken_signature_declares_ai(signer: Signer, trust: str) -> None:
    signed = bytearray(signer.sign(agent="Image Creator from Designer", claim_version=1))
    signed[-100] ^= 1
    finding = examine(bytes(signed), trust)
    assert finding.claim == Claim(Label.AI_GENERATED, Carrier.BROKEN_SIGNATURE)
    assert finding.facts["generator"] == "Microsoft"
    assert "moved here from another file" in finding.summary


def smooth(seed: int) -> bytes:
    """A JPEG with content that a thumbnail keeps."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(coarse).resize((256, 192), Pillow.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()


def test_moved_credentials_are_told_from_a_changed_picture(signer: Signer, trust: str) -> None:
    signed = signer.sign("digitalCapture", picture=smooth(1), thumbnail=True)
    manifest = _segments(signed)
    other = smooth(2)
    moved = examine(other[:2] + manifest + other[2:], trust)
    assert moved.facts["state"] == "Invalid"
    assert float(str(moved.facts["thumbnail_correlation"])) < 0.75
    assert "shows another picture" in moved.summary and "moved here" in moved.summary
    with Pillow.open(io.BytesIO(smooth(1))) as opened:
        buffer = io.BytesIO()
        opened.save(buffer, "JPEG", quality=60)
    saved = buffer.getvalue()
    again = examine(saved[:2] + manifest + saved[2:], trust)
    assert float(str(again.facts["thumbnail_correlation"])) > 0.95
    assert "shows this picture" in again.summary and "re-save" in again.summary
    assert moved.claim == again.claim == Claim(Label.MANIPULATED, Carrier.BROKEN_SIGNATURE)


def _segments(signed: bytes) -> bytes:
    """The APP11 segments of a JPEG."""
    start = end = signed.index(b"\xff\xeb")
    while signed[end : end + 2] == b"\xff\xeb":
        end += 2 + int.from_bytes(signed[end + 2 : end + 4], "big")
    return signed[start:end]


def test_what_else_a_manifest_says(signer: Signer, trust: str) -> None:
    training = {
        "label": "cawg.training-mining",
        "data": {"entries": {"cawg.ai_generative_training": {"use": "notAllowed"}}},
    }
    binding = {"label": "c2pa.soft-binding", "data": {"alg": "com.adobe.trustmark.Q", "blocks": []}}
    finding = examine(signer.sign("digitalCapture", more=(training, binding)), trust)
    assert finding.facts["training_and_mining"] == {"cawg.ai_generative_training": "notAllowed"}
    assert finding.facts["soft_bindings"] == ["com.adobe.trustmark.Q"]
    assert "a watermark of Adobe, TrustMark, variant Q" in finding.summary
    assert "public_checker" not in finding.facts
    assert finding.facts["time_stamp"] == "none"
    assert str(finding.facts["revocation"]).startswith("not checked")
    assert "no time stamp" in finding.summary
    assert finding.claim == AUTHENTICATED


def test_a_stated_iscc_is_compared_with_the_picture(signer: Signer, trust: str) -> None:
    pytest.importorskip("iscc_lib", reason="the package iscc-lib is not installed")
    from bonafide.detectors.provenance import _iscc

    def binding(code: bytes) -> dict[str, Any]:
        value = list(b"\x21\x07" + code)  # an Image-Code of 256 bits
        return {
            "label": "c2pa.soft-binding",
            "data": {"alg": "io.iscc.v0", "blocks": [{"scope": {}, "value": value}]},
        }

    picture = Image(signer.sign("digitalCapture")).pixels
    own = _iscc.image_code(picture)
    fitting = examine(signer.sign("digitalCapture", more=(binding(own),)), trust)
    assert "fits this picture: 0 of 256 bits differ" in fitting.summary
    other = bytes(255 - byte for byte in own)
    moved = examine(signer.sign("digitalCapture", more=(binding(other),)), trust)
    assert "does not fit this picture: 256 of 256 bits differ" in moved.summary
    for value in ([1, 2, 3], [300], "ISCC:", "not base64!", None):
        assert not list(_iscc._codes({"blocks": [{"scope": {}, "value": value}]})), value
    part = {"scope": {"region": "left"}, "value": list(b"\x21\x07" + own)}
    assert not list(_iscc._codes({"blocks": [part, None, 3]}))


def test_own_certificates_and_the_interim_list_are_named(
    signer: Signer, trust: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bonafide.trust import lists, user

    monkeypatch.setenv("BONAFIDE_TRUST", str(tmp_path))
    signed = signer.sign("digitalCapture")
    user.add(Path(trust), lists.Purpose.TIME_STAMPS)
    assert examine(signed).facts["state"] == "Valid"  # not meant for claims
    user.add(Path(trust))
    finding = examine(signed)
    assert (finding.facts["signer_tier"], finding.claim) == ("own", AUTHENTICATED)
    user.remove(Path(trust).stem)
    interim = lists.TrustList("interim", lists.Tier.INTERIM, lists.Purpose.CLAIMS, signer.root)
    official = lists.TrustList("official", lists.Tier.OFFICIAL, lists.Purpose.CLAIMS, signer.root)
    monkeypatch.setattr(lists, "shipped", lambda: (interim,))
    finding = examine(signed)
    assert finding.facts["signer_tier"] == "interim"
    assert finding.claim == Claim(Label.AUTHENTICATED, Carrier.INTERIM_SIGNATURE)
    assert "only the interim list" in finding.summary
    # Without the usage that the programme gives its certificates, the official list does not count.
    monkeypatch.setattr(user, "newest", lambda one: one)
    monkeypatch.setattr(lists, "shipped", lambda: (official, interim))
    assert examine(signed).facts["signer_tier"] == "interim"


@pytest.fixture
def server() -> Iterator[str]:
    with manifest_server() as address:
        yield address


def test_a_remote_manifest_is_named_and_not_fetched(signer: Signer, server: str) -> None:
    signed = signer.sign("trainedAlgorithmicMedia", remote=server)
    finding = examine(signed)
    assert finding.facts["state"] == "remote"
    assert finding.facts["remote_url"] == server
    assert finding.claim is None
    assert Counting.requests == 0
    examine(signed, network=True)
    assert Counting.requests == 1


@pytest.mark.parametrize("content", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n", "no PEM"])
def test_a_broken_trust_list_fails_and_trusts_nobody(
    signer: Signer, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "anchors.pem"
    path.write_text(content)
    finding = measure(Detector(str(path)), open_media(signer.sign("digitalCapture")), CARD)
    assert finding.status is Status.FAILED or finding.facts["state"] == "Valid"
    assert finding.claim is None


def test_a_missing_trust_list_fails(tmp_path: Path) -> None:
    finding = measure(Detector(str(tmp_path / "absent.pem")), open_media(jpeg()), CARD)
    assert finding.status is Status.FAILED


def test_unsupported_and_damaged_files_are_not_applicable() -> None:
    buffer = io.BytesIO()
    Pillow.new("RGB", (4, 4)).save(buffer, "BMP")
    assert measure(Detector(), open_media(buffer.getvalue()), CARD).status is Status.NOT_APPLICABLE


def test_damage_anywhere_gives_a_finding_and_never_authenticates_pixels(
    signer: Signer, trust: str
) -> None:
    signed = signer.sign("digitalCapture")
    scan = signed.rindex(b"\xff\xda")
    random = np.random.default_rng(2)
    for place in random.integers(20, len(signed), 100):
        damaged = bytearray(signed)
        damaged[place] ^= int(random.integers(1, 256))
        try:
            finding = examine(bytes(damaged), trust)
        except MediaError:
            continue
        # Padding inside the manifest is signed by nobody; the picture always is.
        label = finding.claim.label if finding.claim else None
        assert place < scan or label is Label.MANIPULATED
        assert label is not Label.AI_GENERATED


def test_labelled_files(data: Path) -> None:
    folder = data / "forensic_media/provenance/c2pa-rs/sdk/tests/fixtures/certs/trust"
    detector = Detector(str(folder))
    with (data / "c2pa_expected.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 55
    for row in rows:
        finding = measure(detector, open_media(str(data / row["path"])), CARD)
        facts = finding.facts
        expected = row["state"]
        if not expected.startswith("ERR"):
            own, _, ingredients = row["failure_codes"].partition(" ing:")
            # Who vouches for an identity beside the signature changes the library's word alone.
            assert facts["library_state"] == expected, row
            aside = "cawg." in own
            assert facts["state"] == ("Trusted" if aside else expected), row
            assert facts["failure_codes"] == sorted(filter(None, own.split("|"))), row
            assert facts["ingredient_failure_codes"] == sorted(
                filter(None, ingredients.split("|"))
            ), row
            assert facts["signer"] == row["issuer"], row
            assert str(facts.get("signed_at")) == row["sign_time"], row
        elif "ManifestNotFound" in expected:
            assert facts["state"] == "none", row
        elif "Remote" in expected:
            assert facts["state"] == "remote", row
            assert str(facts["remote_url"]).startswith("http"), row
        else:
            assert facts["state"] == "unreadable", row
            assert str(facts["problem"]) in expected, row


def test_labelled_openai_files_name_their_generator(data: Path) -> None:
    with (data / "forensic_media.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["label"] == "c2pa_ai_openai"]
    assert rows
    for row in rows:
        finding = measure(Detector(), open_media(str(data / row["path"])), CARD)
        assert finding.claim is not None and finding.claim.label is Label.AI_GENERATED, row
        assert finding.facts["generator"] == "OpenAI", row
