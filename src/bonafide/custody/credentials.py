"""Sign media: write content credentials (C2PA) into a copy of a picture, video or sound file.

What the file carried before is kept: it becomes the parent of the new manifest, with its own
manifest inside. The copy is read back before it is handed out, so that nothing is given out whose
signature does not hold.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from bonafide import __version__
from bonafide.errors import InvalidInput, MissingExtra

# IPTC terms that a creation may be declared as.
SOURCE_TYPES = (
    "digitalCapture", "computationalCapture", "digitalCreation", "screenCapture", "composite",
    "compositeCapture", "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia",
    "algorithmicMedia", "negativeFilm", "positiveFilm", "print", "virtualRecording",
)  # fmt: skip
# Formats of `bonafide.media` that carry credentials.
MIME_TYPES = {
    "JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif",
    "TIFF": "image/tiff", "AVIF": "image/avif", "HEIC": "image/heic", "MP4": "video/mp4",
    "MOV": "video/quicktime", "AVI": "video/avi", "M4A": "audio/mp4", "MP3": "audio/mpeg",
    "WAV": "audio/wav", "FLAC": "audio/flac", "SVG": "image/svg+xml", "PDF": "application/pdf",
}  # fmt: skip
VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True)
class Request:
    """What to sign, and what to say.

    Attributes:
        chain: the signer's certificate and those above it, PEM.
        key: its private key, PEM without a password.
        mime: type of the file.
        source_type: IPTC term of a file that is new; "" for one that existed before.
        title: how the file is called in the manifest, "" for no title.
        tsa: address of a time-stamping authority, "" for no time stamp.
        agent: program or service that created a file that is new, "" to leave it out.
    """

    chain: bytes
    key: bytes
    mime: str
    source_type: str = ""
    title: str = ""
    tsa: str = ""
    agent: str = ""


def sign_media(source: BinaryIO, request: Request) -> bytes:
    """Return a signed copy of a file.

    Args:
        source: the file; it is not changed.
        request: see above. With `tsa` a digest is sent to that address, nothing else is sent.

    Raises:
        InvalidInput: the file has credentials already and a source type is given, the key or the
            certificate is unsuitable, or the copy does not verify.
        MissingExtra: `cryptography` is not installed.
    """
    import c2pa

    kept = has_credentials(source, request.mime)
    if kept and request.source_type:
        raise InvalidInput(
            "the file has content credentials already, which stay as its history: leave the "
            "source type out"
        )
    algorithm = _algorithm(request.key)
    actions: list[dict[str, Any]] = []
    if request.source_type:
        kind = f"{VOCABULARY}{request.source_type}"
        actions = [{"action": "c2pa.created", "digitalSourceType": kind}]
        if request.agent:
            actions[0]["softwareAgent"] = {"name": request.agent}
    manifest: dict[str, Any] = {
        "claim_generator_info": [{"name": "bonafide", "version": __version__}],
        "format": request.mime,
    }
    if request.title:
        manifest["title"] = request.title
    if actions:
        manifest["assertions"] = [{"label": "c2pa.actions.v2", "data": {"actions": actions}}]
    settings = {
        "core": {"allowed_network_hosts": None if request.tsa else []},
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
        "builder": {"thumbnail": {"enabled": False}},
    }
    info = c2pa.C2paSignerInfo(
        alg=algorithm.encode(),
        sign_cert=request.chain,
        private_key=request.key,
        ta_url=request.tsa.encode() if request.tsa else None,
    )
    target = io.BytesIO()
    try:
        with (
            c2pa.Context(c2pa.Settings.from_dict(settings)) as context,
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder(json.dumps(manifest), context) as builder,
        ):
            if not request.source_type:
                builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
            source.seek(0)
            builder.sign(signer, request.mime, source, target)
    except c2pa.C2paError as error:
        raise InvalidInput(f"the file cannot be signed: {error}"[:400]) from None
    signed = target.getvalue()
    _check(signed, request.mime)
    return signed


def has_credentials(source: BinaryIO, mime: str) -> bool:
    """Whether a file carries content credentials already.

    Raises:
        InvalidInput: it carries some that cannot be read.
    """
    import c2pa

    source.seek(0)
    try:
        with _offline(c2pa) as context, c2pa.Reader(mime, source, context=context):
            return True
    except c2pa.C2paError as error:
        if "ManifestNotFound" in type(error).__name__ + str(error):
            return False
        raise InvalidInput(f"its content credentials cannot be read: {error}"[:400]) from None


def _check(signed: bytes, mime: str) -> None:
    """Refuse a copy that does not verify.

    Raises:
        InvalidInput: it does not.
    """
    import c2pa

    try:
        with (
            _offline(c2pa) as context,
            c2pa.Reader(mime, io.BytesIO(signed), context=context) as reader,
        ):
            state = reader.get_validation_state()
    except c2pa.C2paError as error:
        raise InvalidInput(f"the signed copy cannot be read: {error}"[:400]) from None
    if state not in ("Valid", "Trusted"):
        raise InvalidInput(f"the signed copy does not verify: {state}")


def _offline(c2pa: Any) -> Any:
    quiet = {"remote_manifest_fetch": False, "ocsp_fetch": False}
    settings = {"core": {"allowed_network_hosts": []}, "verify": quiet}
    return c2pa.Context(c2pa.Settings.from_dict(settings))


def _algorithm(key: bytes) -> str:
    """The COSE algorithm that goes with a private key."""
    try:
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise MissingExtra("custody", "signing") from None
    try:
        opened = load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"the private key cannot be read: {error}"[:200]) from None
    if isinstance(opened, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(opened, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(opened, ec.EllipticCurvePrivateKey) and opened.curve.name in _CURVES:
        return _CURVES[opened.curve.name]
    raise InvalidInput("the private key is of a kind that content credentials do not use")


def read_pem(path: Path) -> bytes:
    """A small PEM file.

    Raises:
        InvalidInput: it cannot be read, or is no PEM.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None
    if b"-----BEGIN" not in data or len(data) > 1024 * 1024:
        raise InvalidInput(f"{path} is no PEM file")
    return data
