"""Marks of generators, written here in each program's format, and captions that only look alike."""

from __future__ import annotations

import csv
import gzip
import io
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import ExifTags
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from bonafide.detectors.provenance.generator_metadata import CARD, Detector
from bonafide.media.source import open_media
from bonafide.signals.stealth import read_alpha
from bonafide.testing import measure
from bonafide.types import Carrier, Claim, Finding, Label, Status

A1111 = (
    'a lighthouse, storm\nNegative prompt: blurry, "text"\nSteps: 25, Sampler: Euler a, '
    "CFG scale: 7.5, Seed: 1234567890, Size: 512x768, Model hash: 15012c538f, "
    'Model: dreamy_v5, Lora hashes: "one: abc, two: def", Version: v1.9.4'
)
COMFY = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "xl.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["1", 1]}},
    "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "a dog", "clip": ["1", 1]}},
    "4": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 42,
            "steps": 12,
            "cfg": 6.5,
            "sampler_name": "euler",
            "model": ["1", 0],
            "positive": ["2", 0],
            "negative": ["3", 0],
        },
    },
}
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
    'xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    'xmlns:TC260="http://www.tc260.org.cn/ns/AIGC/1.0/" rdf:about="" {attributes}>{elements}'
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def png(**texts: str) -> bytes:
    info = PngInfo()
    for key, value in texts.items():
        info.add_itxt(key.replace("__", "-"), value)
    buffer = io.BytesIO()
    Pillow.new("RGB", (16, 16)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def jpeg(exif: dict[str, Any] | None = None, xmp: str = "", comment: str = "") -> bytes:
    tags = Pillow.Exif()
    for name, value in (exif or {}).items():
        tag = next(int(t) for t in ExifTags.Base if t.name == name)
        if name == "UserComment":
            tags.get_ifd(ExifTags.IFD.Exif)[tag] = value
        else:
            tags[tag] = value
    buffer = io.BytesIO()
    extra: dict[str, Any] = {"exif": tags} if exif else {}
    if comment:
        extra["comment"] = comment
    Pillow.new("RGB", (16, 16)).save(buffer, "JPEG", xmp=xmp.encode(), **extra)
    return buffer.getvalue()


def xmp(attributes: str = "", elements: str = "") -> bytes:
    return jpeg(xmp=XMP.format(attributes=attributes, elements=elements))


def examine(data: bytes) -> Finding:
    finding = measure(Detector(), open_media(data), CARD)
    assert finding.status is Status.OK
    assert set(finding.facts) <= set(CARD.facts)
    json.dumps(dict(finding.facts), allow_nan=False)
    assert finding.summary.endswith(".") and "\n" not in finding.summary
    return finding


def stated(label: Label | None) -> Claim | None:
    """Metadata are text that nobody signed, whatever they say."""
    return Claim(label, Carrier.UNSIGNED_TEXT) if label else None


UTF16 = b"UNICODE\x00"
INVOKE = {
    "generation_mode": "txt2img",
    "positive_prompt": "a fox",
    "seed": 9,
    "steps": 30,
    "scheduler": "euler",
    "cfg_scale": 7,
    "model": {"name": "sdxl", "hash": "blake3:1"},
}
OLD_INVOKE = {
    "model": "stable diffusion",
    "model_weights": "sd-1.5",
    "model_hash": "aa",
    "app_id": "invoke-ai/InvokeAI",
    "image": {
        "prompt": [{"prompt": "a fox", "weight": 1}],
        "steps": 50,
        "cfg_scale": 7.5,
        "sampler": "k_lms",
        "seed": 3,
    },
}
NOVEL = {"steps": 28, "sampler": "k_euler", "seed": 77, "scale": 11.0, "uc": "lowres"}
FOOOCUS = {
    "prompt": "a ship",
    "negative_prompt": "",
    "base_model": "juggernautXL",
    "base_model_hash": "aeb7e9e689",
    "seed": "123",
    "steps": 30,
    "sampler": "dpmpp_2m_sde_gpu",
    "guidance_scale": 4,
    "version": "Fooocus v2.5.0",
}
EASY = {
    "use_stable_diffusion_model": "sd-v1-5",
    "seed": 5,
    "num_inference_steps": 25,
    "guidance_scale": 7.5,
    "sampler_name": "euler_a",
    "prompt": "a hill",
}
DRAW = {
    "c": "a mug",
    "uc": "blur",
    "model": "sd3_medium.ckpt",
    "sampler": "Euler A",
    "seed": 8,
    "steps": 20,
    "scale": 4.5,
}
JOB = "a barn at dusk --ar 16:9 --v 6.1 Job ID: 1b4e28ba-2fa1-11d2-883f-0016d3cca427"

MADE = {
    "A1111 in PNG": (png(parameters=A1111), "Stable Diffusion WebUI", 1234567890),
    "A1111 in UserComment, big-endian": (
        jpeg({"UserComment": UTF16 + A1111.encode("utf-16-be")}),
        "Stable Diffusion WebUI",
        1234567890,
    ),
    "A1111 in UserComment, little-endian": (
        jpeg({"UserComment": UTF16 + A1111.encode("utf-16-le")}),
        "Stable Diffusion WebUI",
        1234567890,
    ),
    "A1111 in JPEG comment": (jpeg(comment=A1111), "Stable Diffusion WebUI", 1234567890),
    "Forge": (
        png(parameters=A1111.replace("v1.9.4", "f2.0.1v1.10.1")),
        "Stable Diffusion WebUI Forge",
        1234567890,
    ),
    "ComfyUI": (png(prompt=json.dumps(COMFY)), "ComfyUI", 42),
    "ComfyUI in WebP": (jpeg({"Make": "prompt:" + json.dumps(COMFY)}), "ComfyUI", 42),
    "ComfyUI, drawn only": (
        png(workflow=json.dumps({"nodes": [{"type": "KSampler"}], "links": []})),
        "ComfyUI",
        None,
    ),
    "InvokeAI": (png(invokeai_metadata=json.dumps(INVOKE)), "InvokeAI", 9),
    "InvokeAI 2": (png(sd__metadata=json.dumps(OLD_INVOKE)), "InvokeAI", 3),
    "InvokeAI 1": (png(Dream='"a fox" -s 50 -S 4 -W 512 -H 512 -C 7.5 -A k_lms'), "InvokeAI", 4),
    "NovelAI": (
        png(
            Software="NovelAI",
            Comment=json.dumps(NOVEL),
            Source="NovelAI Diffusion V3 B0BDF6C1",
            Description="a girl",
        ),
        "NovelAI",
        77,
    ),
    "Fooocus": (png(parameters=json.dumps(FOOOCUS), fooocus_scheme="fooocus"), "Fooocus", 123),
    "Fooocus in JPEG": (jpeg({"UserComment": json.dumps(FOOOCUS).encode()}), "Fooocus", 123),
    "Fooocus, A1111 scheme": (
        png(parameters=A1111, fooocus_scheme="a1111"),
        "Fooocus",
        1234567890,
    ),
    "SwarmUI": (
        png(parameters=json.dumps({"sui_image_params": {"prompt": "a", "seed": 6}})),
        "SwarmUI",
        6,
    ),
    "Easy Diffusion": (png(**{k: str(v) for k, v in EASY.items()}), "Easy Diffusion", 5),
    "Easy Diffusion in JPEG": (
        jpeg({"UserComment": b"ASCII\x00\x00\x00" + json.dumps(EASY).encode()}),
        "Easy Diffusion",
        5,
    ),
    "Draw Things": (jpeg({"UserComment": json.dumps(DRAW).encode()}), "Draw Things", 8),
    "Midjourney": (png(Description=JOB, Author="someone"), "Midjourney", None),
    "FLUX": (
        jpeg({"Software": "AI generated;txt2img;flux", "Make": "Black Forest Labs"}),
        "Black Forest Labs FLUX",
        None,
    ),
    "Ideogram": (jpeg({"Make": "Ideogram AI"}), "Ideogram", None),
    "Grok": (
        jpeg(
            {
                "Artist": "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
                "ImageDescription": "Signature: " + "Ab3/" * 20 + "==",
            }
        ),
        "xAI Grok",
        None,
    ),
    "Google": (xmp('photoshop:Credit="Made with Google AI"'), "Google AI", None),
    "Firefly": (xmp('xmp:CreatorTool="Adobe Firefly 1.0"'), "Adobe Firefly", None),
    "AISystemUsed": (
        xmp(elements="<Iptc4xmpExt:AISystemUsed>PaintBrain</Iptc4xmpExt:AISystemUsed>"),
        "PaintBrain",
        None,
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_generators_are_named(name: str) -> None:
    data, generator, seed = MADE[name]
    finding = examine(data)
    assert finding.claim == stated(Label.AI_GENERATED)
    assert finding.facts["generator"] == generator
    assert finding.facts.get("seed") == seed
    assert finding.facts["where_found"]
    assert finding.score == 1.0


def test_parameters_are_read_whole() -> None:
    facts = examine(png(parameters=A1111)).facts
    assert facts["prompt"] == "a lighthouse, storm"
    assert facts["negative_prompt"] == 'blurry, "text"'
    assert (facts["model"], facts["model_hash"]) == ("dreamy_v5", "15012c538f")
    assert (facts["steps"], facts["guidance"], facts["sampler"]) == (25, 7.5, "Euler a")
    facts = examine(png(prompt=json.dumps(COMFY))).facts
    assert (facts["prompt"], facts["negative_prompt"]) == ("a cat", "a dog")
    assert (facts["model"], facts["steps"], facts["guidance"]) == ("xl.safetensors", 12, 6.5)
    facts = examine(png(Description=JOB)).facts
    assert facts["model"] == "v 6.1"
    assert str(facts["prompt"]).startswith("a barn at dusk")


@pytest.mark.parametrize(
    ("term", "label"),
    [
        ("trainedAlgorithmicMedia", Label.AI_GENERATED),
        ("compositeWithTrainedAlgorithmicMedia", Label.MANIPULATED),
        ("algorithmicMedia", None),
        ("digitalCapture", None),
    ],
)
def test_declared_source_types(term: str, label: Label | None) -> None:
    element = f"<Iptc4xmpExt:DigitalSourceType>{SOURCE}{term}</Iptc4xmpExt:DigitalSourceType>"
    for data in (
        xmp(f'Iptc4xmpExt:DigitalSourceType="{SOURCE}{term}"'),
        xmp(elements=element),
        xmp(elements=f'<Iptc4xmpExt:DigitalSourceType rdf:resource="{SOURCE}{term}"/>'),
    ):
        finding = examine(data)
        assert finding.facts["digital_source_type"] == term
        assert finding.claim == stated(label)


@pytest.mark.parametrize(("value", "label"), [("1", Label.AI_GENERATED), ("2", None), ("3", None)])
def test_chinese_label(value: str, label: Label | None) -> None:
    text = json.dumps({"Label": value, "ContentProducer": "001191", "ProduceID": "x"})
    escaped = text.replace('"', "&quot;")
    for data in (
        xmp(f'TC260:AIGC="{escaped}"'),
        xmp(elements=f"<TC260:AIGC>{text}</TC260:AIGC>"),
        png(AIGC=text),
        jpeg({"UserComment": json.dumps({"AIGC": json.loads(text)}).encode()}),
    ):
        finding = examine(data)
        assert finding.facts["aigc_label"] == value
        assert finding.claim == stated(label)


def test_edited_with_google_is_manipulated() -> None:
    finding = examine(xmp('photoshop:Credit="Edited with Google AI"'))
    assert finding.claim == stated(Label.MANIPULATED)
    assert "https://gemini.google.com" in finding.summary  # who can look for the hidden mark


CAMERA = {
    "no metadata": jpeg(),
    "a camera": jpeg({"Make": "Canon", "Model": "Canon EOS 70D", "Software": "1.1.2"}),
    "words in a caption": jpeg(
        {
            "ImageDescription": "DALL-E and Midjourney were discussed; Flux and Dream on stage",
            "Artist": "Leonardo Stable",
            "Make": "FUJIFILM",
        }
    ),
    "a caption on steps": jpeg({"ImageDescription": "Steps: 20, worn by pilgrims"}),
    "a quoted dream": png(Dream='"I had a dream"'),
    "a prompt that is no graph": png(prompt="Why did you take this?", parameters="ISO: 100"),
    "JSON of another kind": png(Comment=json.dumps({"seed": 1, "steps": 2})),
    "a graph that only loads": png(
        prompt=json.dumps({"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}})
    ),
    "a press photograph of a company": xmp('photoshop:Credit="OpenAI"'),
    "Photoshop": xmp('xmp:CreatorTool="Adobe Photoshop 25.0 (Windows)"'),
    "an artist with a number": jpeg({"Artist": "1b4e28ba-2fa1-11d2-883f-0016d3cca427"}),
    "a label that is none": png(AIGC=json.dumps({"Label": "1"})),
}


@pytest.mark.parametrize("name", CAMERA)
def test_others_are_not_accused(name: str) -> None:
    finding = examine(CAMERA[name])
    assert finding.claim is None
    assert finding.score == 0.0
    assert "generator" not in finding.facts


NAMED = {
    "Midjourney": "Midjourney",
    "midjourney v6.1": "Midjourney",
    "Midjourney, https://www.midjourney.com/jobs/1b4e28ba": "Midjourney",
    "Midjourney.com": "Midjourney",
    "niji journey 6": "Midjourney",
    "Stable Diffusion": "Stable Diffusion",
    "Stable Diffusion 1.5": "Stable Diffusion",
    "Stable Diffusion XL": "Stable Diffusion",
    "StableDiffusion v2-1": "Stable Diffusion",
    "Stable Diffusion 3.5 Large Turbo": "Stable Diffusion",
    "Stable Diffusion XL 9CC2F394": "Stable Diffusion",
    "Stable Diffusion web UI (AUTOMATIC1111, v1.9.4-12-g1a2b3c4d)": "Stable Diffusion",
    "AUTOMATIC1111": "Stable Diffusion",
    "Stability AI": "Stable Diffusion",
    "DALL-E": "OpenAI",
    "DALL·E 3": "OpenAI",
    "OpenAI DALL·E 3": "OpenAI",
    "ChatGPT 4o": "OpenAI",
    "gpt-image-1": "OpenAI",
    "OpenAI": "OpenAI",
    "Adobe Firefly": "Adobe Firefly",
    "Adobe Firefly Image 3 (beta)": "Adobe Firefly",
    "Google Imagen 4 Ultra": "Google AI",
    "Google Gemini 2.5 Flash Image": "Google AI",
    "Nano Banana Pro": "Google AI",
    "Bing Image Creator": "Microsoft",
    "Image Creator from Designer": "Microsoft",
    "Grok": "xAI Grok",
    "Grok 2": "xAI Grok",
    "xAI Grok Imagine 0.9": "xAI Grok",
    "Black Forest Labs": "Black Forest Labs FLUX",
    "FLUX.1 [dev]": "Black Forest Labs FLUX",
    "FLUX.1-schnell": "Black Forest Labs FLUX",
    "FLUX 1.1 [pro] ultra": "Black Forest Labs FLUX",
    "AI generated;img2img;flux-pro": "Black Forest Labs FLUX",
    "ComfyUI v0.3.10 (build 7f3a9c2)": "ComfyUI",
    "ComfyUI (https://github.com/comfyanonymous/ComfyUI)": "ComfyUI",
    "InvokeAI 4.2.0": "InvokeAI",
    "NovelAI Diffusion V3 B0BDF6C1": "NovelAI",
    "Fooocus v2.5.0": "Fooocus",
    "Draw Things 1.20240512.0": "Draw Things",
    "SwarmUI 0.9.5.0": "SwarmUI",
    "Leonardo.Ai": "Leonardo.Ai",
    "Ideogram AI": "Ideogram",
    "Ideogram 2.0 Turbo": "Ideogram",
    "Recraft V3": "Recraft",
    "recraft.ai": "Recraft",
    "Krea": "Krea",
    "krea.ai": "Krea",
    "Craiyon V3": "Craiyon V3",
    "Seedream 4.0": "ByteDance",
    "即梦AI": "ByteDance",
}


@pytest.mark.parametrize("software", NAMED)
def test_a_field_that_is_the_name_of_a_generator(software: str) -> None:
    finding = examine(png(Software=software))
    assert finding.claim == stated(Label.AI_GENERATED)
    assert finding.facts["generator"] == NAMED[software]
    assert finding.facts["where_found"] == "PNG text 'Software'"


NOT_NAMED = [
    "Stable Diffusion is my favourite band",
    "Stable Diffusion XL is my favourite band",
    "Midjourney Photography Club",
    "Midjourney (a photography club)",
    "Midjourney 6 Photography Club",
    "midjourneyed",
    "Not made with Midjourney",
    "Adobe Firefly Lane Studios",
    "OpenAI press office",
    "ChatGPT wrote this caption",
    "Google AI conference, day 2",
    "Grok the picture",
    "Flux",
    "Flux 3000 Scanner Company",
    "Leonardo Airlines",
    "Ideogram of the day",
    "Recraft furniture",
    "Krea Photography",
    "ComfyUI tutorial on a screen",
    "Craiyons and paper",
    "Fooocus on the subject",
    "Midjourney " + "1.1" * 60 + " club",
    "Midjourney " + "a1b2c3d " * 20 + "club",
]


@pytest.mark.parametrize("field", ["Software", "Make", "Model", "HostComputer"])
@pytest.mark.parametrize("text", NOT_NAMED)
def test_a_field_that_only_begins_with_such_a_name(field: str, text: str) -> None:
    finding = examine(jpeg({field: text.encode()}))
    assert finding.claim is None and finding.score == 0.0
    assert "generator" not in finding.facts


@pytest.mark.parametrize(
    ("credit", "generator"),
    [
        ("Made with Google AI", "Google AI"),
        ("Generated with DALL·E 3", "OpenAI"),
        ("DALL-E", "OpenAI"),
        ("created by Midjourney v6", "Midjourney"),
        ("Adobe Firefly", "Adobe Firefly"),
        ("Bing Image Creator", "Microsoft"),
        ("Midjourney Photography Club", None),
        ("Made with Google AI at the museum's request for visitors", None),
        ("DALL-E exhibition, Berlin", None),
        ("Created with Midjourney in mind", None),
    ],
)
def test_credit_lines_are_matched_whole(credit: str, generator: str | None) -> None:
    facts = examine(xmp(f'photoshop:Credit="{credit}"')).facts
    assert facts.get("generator") == generator


HOSTILE = {
    "deep JSON": png(prompt="{" + '"a":{' * 50_000),
    "deep lists": png(prompt='{"a":' + "[" * 50_000),
    "a long number": png(parameters='{"sui_image_params":{"seed":' + "9" * 5000 + "}}"),
    "a large number": png(parameters='{"sui_image_params":{"seed":' + "9" * 400 + "}}"),
    "no number": png(parameters='{"sui_image_params":{"seed":NaN,"steps":Infinity}}'),
    "a loop": png(
        prompt=json.dumps(
            COMFY
            | {"2": {"class_type": "A", "inputs": {"x": ["3", 0]}}}
            | {"3": {"class_type": "B", "inputs": {"x": ["2", 0]}}}
        )
    ),
    "links of the wrong kind": png(
        prompt=json.dumps(
            {"1": {"class_type": "KSampler", "inputs": {"seed": [{}], "model": [[]]}}}
        )
    ),
    "entities": xmp().replace(b"<x:xmpmeta", b'<!DOCTYPE a [<!ENTITY b "c">]><x:xmpmeta'),
    "markup in a prompt": png(parameters=A1111.replace("storm", "<script>”. Now obey\u202e")),
    "half of UTF-16": jpeg({"UserComment": UTF16 + b"\xd8"}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_metadata(name: str) -> None:
    finding = examine(HOSTILE[name])
    for value in finding.facts.values():
        assert not isinstance(value, str) or (len(value) <= 500 and value.isprintable())


def test_prompts_are_bounded() -> None:
    finding = examine(png(parameters="word " * 100_000 + A1111))
    assert len(str(finding.facts["prompt"])) <= 500


def exif_png(maker_note: bytes = b"", comment: bytes = b"") -> bytes:
    """A PNG whose eXIf chunk has bytes in its first directory, as DALL-E 2 wrote them."""
    entries = [(tag, value) for tag, value in ((0x927C, maker_note), (0x9286, comment)) if value]
    body = b"II*\x00\x08\x00\x00\x00" + len(entries).to_bytes(2, "little")
    offset = 8 + 2 + 12 * len(entries) + 4
    tail = b""
    for tag, value in entries:
        place = (offset + len(tail)).to_bytes(4, "little")
        body += tag.to_bytes(2, "little") + b"\x07\x00" + len(value).to_bytes(4, "little") + place
        tail += value
    buffer = io.BytesIO()
    Pillow.new("RGB", (16, 16)).save(buffer, "PNG", exif=body + bytes(4) + tail)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("maker_note", "comment"),
    [
        (b"OpenAI--ImageGeneration--1", b""),
        (b"", b"Made with OpenAI Labs"),
        (b"OpenAI--ImageGeneration--a1b2-c3\x00", b"ASCII\x00\x00\x00Made with OpenAI Labs"),
    ],
)
def test_bytes_in_the_exif_of_a_png(maker_note: bytes, comment: bytes) -> None:
    finding = examine(exif_png(maker_note, comment))
    assert finding.claim == stated(Label.AI_GENERATED)
    assert finding.facts["generator"] == "OpenAI"
    assert str(finding.facts["where_found"]).startswith("EXIF ")
    other = examine(exif_png(b"Nikon\x00\x02\x10", b"A talk on OpenAI--ImageGeneration--1"))
    assert other.claim is None


@pytest.mark.parametrize(
    ("credit", "editor"),
    [
        ("Edited with Google AI", "Google AI"),
        ("AI-Generated with Google Photos", "Google AI"),
        ("Apple Photos Clean Up", "Apple Photos Clean Up"),
        ("Edited with Google AI in mind", None),
        ("An Apple Photos Clean Up workshop", None),
    ],
)
def test_edited_with_ai_is_not_generated(credit: str, editor: str | None) -> None:
    finding = examine(xmp(f'photoshop:Credit="{credit}"'))
    assert finding.facts.get("edited_with") == editor
    assert finding.claim == stated(Label.MANIPULATED if editor else None)
    assert "generator" not in finding.facts and "generated" not in finding.summary
    if editor:
        assert "edited with AI" in finding.summary


def test_made_on_a_phone() -> None:
    for credit in ("Apple Image Playground", "Made with Google AI"):
        finding = examine(xmp(f'photoshop:Credit="{credit}"'))
        assert finding.claim == stated(Label.AI_GENERATED)


def trailer(name: bytes, content: bytes) -> bytes:
    """What Samsung's programs write behind a JPEG: one block and its directory."""
    block = b"\x00\x00\xa1\x0b" + len(name).to_bytes(4, "little") + name + content
    size = len(block).to_bytes(4, "little")
    head = b"SEFH\x6b\x00\x00\x00\x01\x00\x00\x00" + block[:4] + size + size
    return block + head + len(head).to_bytes(4, "little") + b"SEFT"


def test_edits_on_a_samsung_phone() -> None:
    told = json.dumps({"genImageVersion": "v1", "connectorType": "srvg", "genAIType": 5}).encode()
    for name in (b"PEg_Info", b"PhotoEditor_Re_Edit_Data"):
        finding = examine(jpeg({"Make": "samsung"}) + trailer(name, told))
        assert finding.facts["edited_with"] == "Samsung Galaxy AI"
        assert finding.claim == stated(Label.MANIPULATED)
    for content in (b'{"genAIType": 0}', b"{", b"", b"[]"):
        finding = examine(jpeg({"Make": "samsung"}) + trailer(b"PEg_Info", content))
        assert finding.claim is None


def hide(text: bytes, mode: str, packed: bool) -> bytes:
    """A PNG with text in its lowest bits, down the columns."""
    kind = {"RGBA": b"png", "RGB": b"rgb"}[mode]
    body = gzip.compress(text) if packed else text
    data = b"stealth_" + kind + (b"comp" if packed else b"info")
    bits = np.unpackbits(np.frombuffer(data + (8 * len(body)).to_bytes(4, "big") + body, np.uint8))
    pixels = np.random.default_rng(3).integers(0, 256, (96, 80, len(mode)), np.uint8)
    flat = pixels[..., 3].T.reshape(-1) if mode == "RGBA" else pixels.transpose(1, 0, 2).reshape(-1)
    flat = flat.copy()
    flat[: len(bits)] = flat[: len(bits)] & 254 | bits
    if mode == "RGBA":
        pixels[..., 3] = flat.reshape(80, 96).T
    else:
        pixels = np.ascontiguousarray(flat.reshape(80, 96, 3).transpose(1, 0, 2))
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


NOVEL = {
    "Description": "a lighthouse",
    "Software": "NovelAI",
    "Source": "NovelAI Diffusion V4",
    "Comment": json.dumps({"prompt": "a lighthouse", "steps": 28, "sampler": "k", "seed": 7}),
}


@pytest.mark.parametrize("mode", ["RGBA", "RGB"])
@pytest.mark.parametrize("packed", [True, False])
def test_text_in_the_lowest_bits(mode: str, packed: bool) -> None:
    finding = examine(hide(json.dumps(NOVEL).encode(), mode, packed))
    assert finding.facts["generator"] == "NovelAI"
    assert finding.facts["seed"] == 7 and "lowest bits" in str(finding.facts["where_found"])
    assert examine(hide(A1111.encode(), mode, packed)).facts["model"] == "dreamy_v5"
    assert examine(hide(b"nothing of that kind", mode, packed)).claim is None


def test_damaged_text_in_the_lowest_bits() -> None:
    for size in (1, 40, 900):
        alpha = np.full((size, 1), 255, np.uint8)
        assert read_alpha(alpha) == ""
    bits = np.unpackbits(
        np.frombuffer(b"stealth_pngcomp" + b"\x00\x00\x00\x40" + bytes(8), np.uint8)
    )
    assert read_alpha(bits[:, None]) == ""
    bits[120:152] = 1  # longer than the picture
    assert read_alpha(bits[:, None]) == ""


def test_comments_and_segments_of_a_jpeg() -> None:
    plain = jpeg()
    comment = b"\xff\xfe" + (2 + len(A1111)).to_bytes(2, "big") + A1111.encode()
    other = b"\xff\xfe\x00\x0ca caption"[:14]
    segment = b"\xff\xec" + (2 + len(A1111)).to_bytes(2, "big") + A1111.encode()
    for data in (
        plain[:2] + comment + other + plain[2:], plain[:2] + segment + plain[2:]
    ):  # fmt: skip
        assert examine(data).facts["generator"] == "Stable Diffusion WebUI"


def movie(**texts: str) -> bytes:
    """An MP4 with texts in its container."""
    buffer = io.BytesIO()
    options = {"movflags": "use_metadata_tags"}
    with av.open(buffer, "w", format="mp4", options=options) as container:
        container.metadata.update(texts)
        stream = container.add_stream("mpeg4", rate=Fraction(10))
        stream.width = stream.height = 32
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def test_texts_of_a_video() -> None:
    label = {"Label": "1", "ContentProducer": "001", "ProduceID": "x"}
    finding = examine(movie(AIGC=json.dumps(label)))
    assert finding.facts["aigc_label"] == "1"
    assert finding.claim == stated(Label.AI_GENERATED)
    assert examine(movie(comment=json.dumps({"prompt": COMFY}))).facts["generator"] == "ComfyUI"
    assert examine(movie(make="Midjourney")).facts["where_found"] == "container 'make'"
    for plain in (movie(), movie(comment="a film on Midjourney", title="Midjourney")):
        assert examine(plain).claim is None


def test_labelled_files(data: Path) -> None:
    named = {"ai_metadata_comfyui": "ComfyUI", "ai_metadata_a1111": "Stable Diffusion WebUI"}
    with (data / "forensic_media.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "provenance"]
    counted = 0
    for row in rows:
        if row["label"] in named:
            finding = examine((data / row["path"]).read_bytes())
            assert finding.facts["generator"] == named[row["label"]], row
            counted += 1
        elif row["label"].startswith("exif"):
            assert examine((data / row["path"]).read_bytes()).claim is None, row
    assert counted == 20
