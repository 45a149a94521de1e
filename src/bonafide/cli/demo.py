"""Real photographs and altered copies of them, made on the spot, to try bonafide on.

The photographs are the ones bundled with scikit-image. What had happened to them before is not
known, so they are called photographs here, not untouched originals. Everything is deterministic
except the signatures, which are made with a key that is thrown away.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFilter, PngImagePlugin

from bonafide.errors import MissingExtra

TRUST_ANCHOR = "trust-anchor.pem"
_CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


@dataclass(frozen=True)
class DemoFile:
    """One demonstration picture.

    Attributes:
        path: where it was written.
        done: what was done to make it, one sentence.
        expect: what an examination can and cannot find, one sentence.
        region: (x, y, width, height) of the altered part in pixels, None where there is none.
    """

    path: Path
    done: str
    expect: str
    region: tuple[int, int, int, int] | None = None


def make_demo(folder: str | Path) -> list[DemoFile]:
    """Write the demonstration pictures, and the trust anchor of the signed one, into `folder`.

    Args:
        folder: made if it does not exist; files of the same names are overwritten.

    Returns:
        One entry per picture, in the order in which they are best looked at.

    Raises:
        MissingExtra: scikit-image, piexif, cryptography or c2pa-python is not installed.
    """
    try:  # all of them before the first file is written
        import c2pa  # noqa: F401
        import cryptography  # noqa: F401
        import piexif  # noqa: F401
        import skimage.data  # noqa: F401
    except ImportError:
        raise MissingExtra("demo", "making demonstration pictures") from None
    photographs = {name: _photograph(name) for name in ("astronaut", "chelsea", "coffee", "rocket")}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    made: list[DemoFile] = []

    def write(
        name: str,
        data: bytes,
        done: str,
        expect: str,
        region: tuple[int, int, int, int] | None = None,
    ) -> None:
        path = folder / name
        path.write_bytes(data)
        made.append(DemoFile(path, done, expect, region))

    coffee = photographs["coffee"]
    with_exif = _jpeg(coffee, 93, exif=_exif(coffee, coffee))
    write(
        "01-photograph-cat.jpg",
        _jpeg(photographs["chelsea"], 93),
        "A photograph of a cat, saved once as JPEG without metadata.",
        "No trace should be found; that is no proof of anything.",
    )
    write(
        "02-photograph-coffee.jpg",
        with_exif,
        "A photograph of a cup, with EXIF and a thumbnail that fit it.",
        "No trace should be found, and the metadata agree with the picture.",
    )
    spliced, region = _splice(coffee, photographs["astronaut"])
    write(
        "03-splice.jpg",
        _jpeg(spliced, 94),
        "A helmet from another photograph was pasted beside the cup and the whole was saved again.",
        "The compression history of the helmet differs from that of the table.",
        region,
    )
    cloned, region = _copy_move(coffee)
    write(
        "04-copy-move.jpg",
        _jpeg(cloned, 95),
        "The spoon was copied to the left edge of the table.",
        "Two areas of the picture are the same.",
        region,
    )
    turned, region = _copy_move_turned(photographs["astronaut"])
    write(
        "05-copy-move-turned.jpg",
        _jpeg(turned, 95),
        "The round badge was copied to the other arm, turned by 25° and enlarged by 15 %.",
        "Two areas of the picture are the same but for a turn and a change of scale.",
        region,
    )
    saved_twice, region = _recompress_region(photographs["rocket"])
    write(
        "06-recompressed-region.jpg",
        _jpeg(saved_twice, 95),
        "One rectangle went through a much lower JPEG quality than the rest before the last save.",
        "The rectangle stands out when the picture is saved again at that quality.",
        region,
    )
    write(
        "07-jpeg-crop.png",
        _png(_decode(_jpeg(coffee, 80)).crop((5, 3, 597, 395))),
        "A JPEG was cropped by 5 pixels from the left and 3 from the top and saved as PNG.",
        "The PNG still carries the JPEG block grid, out of place; a crop need not mean harm.",
    )
    write(
        "08-exif-stripped.jpg",
        _strip_exif(with_exif),
        "The EXIF of 02-photograph-coffee.jpg was removed; no pixel was changed.",
        "Nothing should be found: many services strip metadata, so absence proves nothing.",
    )
    write(
        "09-exif-forged.jpg",
        _jpeg(coffee, 93, exif=_exif(coffee, photographs["chelsea"], forged=True)),
        "EXIF was forged: make and model of two companies, a date that does not exist, a wrong "
        "size, another picture's thumbnail.",
        "The metadata contradict each other and the picture; the pixels are unchanged.",
    )
    write(
        "10-declared-generated.png",
        _declared(),
        "A drawing made by a few lines of code, with the text chunk that Stable Diffusion WebUI "
        "writes: an example of declared metadata, not a generated picture.",
        "The metadata name a generator; whoever can write a file can write that.",
    )
    signed, altered, anchor = _sign(photographs["rocket"])
    (folder / TRUST_ANCHOR).write_bytes(anchor)
    write(
        "11-signed.jpg",
        signed,
        f"A photograph with content credentials, signed by a certificate under {TRUST_ANCHOR}.",
        f"The signature is valid, and trusted when {TRUST_ANCHOR} is given as trust anchor.",
    )
    write(
        "12-signed-then-altered.jpg",
        altered,
        "The rocket of 11-signed.jpg was painted over and the old credentials were kept.",
        "The signature no longer matches the content.",
        (308, 112, 32, 300),
    )
    return made


def _photograph(name: str) -> Pillow.Image:
    import skimage.data

    return Pillow.fromarray(getattr(skimage.data, name)())


def _jpeg(picture: Pillow.Image, quality: int, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling="4:2:0", **options)
    return buffer.getvalue()


def _png(picture: Pillow.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **options)
    return buffer.getvalue()


def _decode(data: bytes) -> Pillow.Image:
    return Pillow.open(io.BytesIO(data)).convert("RGB")


def _disc(size: tuple[int, int], box: tuple[int, int, int, int], feather: float) -> Pillow.Image:
    """A soft-edged ellipse in `box` (left, top, right, bottom), for blending."""
    mask = Pillow.new("L", size, 0)
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    return mask.filter(ImageFilter.GaussianBlur(feather))


def _splice(
    table: Pillow.Image, astronaut: Pillow.Image
) -> tuple[Pillow.Image, tuple[int, int, int, int]]:
    background = _decode(_jpeg(table, 75))
    donor = _decode(_jpeg(astronaut, 90)).crop((278, 316, 508, 512))
    mask = _disc(donor.size, (4, 28, 224, 248), 1.0)
    background.paste(donor, (367, 204), mask)  # 367 and 204 put the donor's block grid out of step
    return background, (371, 232, 220, 168)


def _copy_move(table: Pillow.Image) -> tuple[Pillow.Image, tuple[int, int, int, int]]:
    picture = table.copy()
    spoon = table.crop((318, 222, 408, 332))
    picture.paste(spoon, (30, 270), _disc(spoon.size, (3, 3, 86, 106), 1.5))
    return picture, (30, 270, 90, 110)


def _copy_move_turned(astronaut: Pillow.Image) -> tuple[Pillow.Image, tuple[int, int, int, int]]:
    picture = astronaut.copy()
    badge = astronaut.crop((122, 343, 220, 441))
    size = round(badge.width * 1.15)
    badge = badge.resize((size, size), Pillow.Resampling.BICUBIC)
    badge = badge.rotate(25, Pillow.Resampling.BICUBIC)
    margin = round(size * 0.08)
    mask = _disc(badge.size, (margin, margin, size - margin, size - margin), 1.5)
    picture.paste(badge, (18, 398), mask)
    return picture, (18 + margin, 398 + margin, size - 2 * margin, size - 2 * margin)


def _recompress_region(picture: Pillow.Image) -> tuple[Pillow.Image, tuple[int, int, int, int]]:
    region = (112, 240, 256, 144)  # on the block grid, so that the quality alone tells it apart
    left, top, width, height = region
    result = _decode(_jpeg(picture, 90))
    poor = _decode(_jpeg(picture, 45)).crop((left, top, left + width, top + height))
    result.paste(poor, (left, top))
    return result, region


def _exif(picture: Pillow.Image, thumbnail: Pillow.Image, forged: bool = False) -> bytes:
    import piexif

    small = thumbnail.copy()
    small.thumbnail((160, 160))
    taken = "2031:02:30 25:61:00" if forged else "2019:06:14 10:21:33"
    contents: dict[str, Any] = {
        "0th": {
            piexif.ImageIFD.Orientation: 1,
            piexif.ImageIFD.DateTime: b"2019:06:14 10:21:33",
        },
        "Exif": {
            piexif.ExifIFD.DateTimeOriginal: taken.encode(),
            piexif.ExifIFD.DateTimeDigitized: b"2019:06:14 10:21:33",
            piexif.ExifIFD.PixelXDimension: 4032 if forged else picture.width,
            piexif.ExifIFD.PixelYDimension: 3024 if forged else picture.height,
            piexif.ExifIFD.ExposureTime: (1, 125),
            piexif.ExifIFD.FNumber: (28, 10),
        },
        "1st": {piexif.ImageIFD.Compression: 6},
        "thumbnail": _jpeg(small, 80),
    }
    if forged:  # the honest one names no camera, since none that exists wrote it
        contents["0th"][piexif.ImageIFD.Make] = b"Canon"
        contents["0th"][piexif.ImageIFD.Model] = b"iPhone 12 Pro"
    return bytes(piexif.dump(contents))


def _strip_exif(data: bytes) -> bytes:
    import piexif

    buffer = io.BytesIO()
    piexif.remove(data, buffer)
    return buffer.getvalue()


def _declared() -> bytes:
    y, x = np.mgrid[0:512, 0:512].astype(np.float32) / 512
    waves = np.sin(12 * x + 5 * np.sin(7 * y)) + np.cos(9 * y - 4 * x * y)
    others = np.cos(8 * x - 3 * np.sin(6 * y)) + np.sin(5 * x * y + 2)
    colours = np.stack([waves, others, -waves], axis=2)
    information = PngImagePlugin.PngInfo()
    information.add_text(
        "parameters",
        "abstract waves, pastel colours\nNegative prompt: text, watermark\n"
        "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1234567890, Size: 512x512, "
        "Model hash: 0123456789, Model: example-model, Version: v1.6.0",
    )
    picture = Pillow.fromarray(((colours + 2) * 63.75).astype(np.uint8))
    return _png(picture, pnginfo=information)


def _sign(picture: Pillow.Image) -> tuple[bytes, bytes, bytes]:
    """Return the signed JPEG, the same signature around other pixels, and the trust anchor."""
    import c2pa

    chain, key, anchor = _certificates()
    manifest = {
        "claim_generator_info": [{"name": "bonafide demo", "version": "1"}],
        "title": "Rocket at dusk",
        "format": "image/jpeg",
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": _CAPTURE}]},
            }
        ],
    }
    # Without an address for timestamps nothing is sent anywhere.
    details = c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ES256, chain, key, None)
    signed = io.BytesIO()
    with c2pa.Signer.from_info(details) as signer, c2pa.Builder(json.dumps(manifest)) as builder:
        builder.sign(signer, "image/jpeg", io.BytesIO(_jpeg(picture, 92)), signed)
    painted = picture.copy()
    sky = picture.crop((272, 112, 304, 412))
    painted.paste(sky, (308, 112))
    return signed.getvalue(), _carry_over(signed.getvalue(), _jpeg(painted, 92)), anchor


def _carry_over(signed: bytes, altered: bytes) -> bytes:
    """Put the content credentials (APP11 segments) of one JPEG into another, at their offset."""
    start = signed.index(b"\xff\xeb")
    end = start
    while signed[end : end + 2] == b"\xff\xeb":
        end += 2 + int.from_bytes(signed[end + 2 : end + 4], "big")
    return altered[:start] + signed[start:end] + altered[start:]


def _certificates() -> tuple[bytes, bytes, bytes]:
    """A throw-away chain that meets the C2PA certificate profile.

    Returns:
        The signer's certificate, its private key and the root certificate, each as PEM.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    now = datetime.now(UTC)

    def certificate(common_name: str, public: Any, authority: bool) -> x509.Certificate:
        def named(text: str) -> x509.Name:
            return x509.Name(
                [
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, "bonafide demonstration"),
                    x509.NameAttribute(NameOID.COMMON_NAME, text),
                ]
            )

        usage = dict.fromkeys(
            (
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(named(common_name))
            .issuer_name(named("Demonstration root"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()),
                critical=False,
            )
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not authority,
                    key_cert_sign=authority,
                    crl_sign=authority,
                    **usage,
                ),
                critical=True,
            )
        )
        if not authority:
            purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(purposes, critical=False)
        return builder.sign(root_key, hashes.SHA256())

    pem = serialization.Encoding.PEM
    return (
        certificate("Demonstration signer", key.public_key(), False).public_bytes(pem),
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        certificate("Demonstration root", root_key.public_key(), True).public_bytes(pem),
    )
