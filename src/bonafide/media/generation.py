"""The parameters that image generators write beside a picture, recognised by their structure.

A format is recognised by several fields that stand in the right relation, never by a word in free
text, since captions of genuine photographs may hold any word. Sources are the programs' own
output and documentation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bonafide.media.text_metadata import clean, lookup, parse_json

_MAX_NODES = 2_000
_MAX_STEPS = 64  # links followed in a graph

_PROMPTS = ("text", "text_g", "t5xxl", "prompt")
_PARAMETER_LINE = re.compile(r"^Steps: \d{1,6},", re.MULTILINE)
_PARAMETER = re.compile(r'(?:^|, )([A-Z][\w /-]{1,40}): ("(?:[^"\\]|\\.){0,2000}"|[^,\n]{0,500})')
_DREAM = re.compile(r'^"(?P<prompt>.{0,8000})" (?=.{0,500}-s ?\d)(?=.{0,500}-S ?\d)', re.DOTALL)
_JOB = re.compile(
    r"Job ID:\s*[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE
)


@dataclass(frozen=True)
class Generation:
    """What a generator wrote down about one picture.

    Attributes:
        generator: the program.
        where: the field it was read from.
        values: facts by name: model, model_hash, seed, steps, sampler, guidance, prompt,
            negative_prompt, input_picture; only those found, text cleaned and bounded.
    """

    generator: str
    where: str
    values: Mapping[str, str | int | float | bool] = field(default_factory=dict)


def read_generation(fields: Mapping[str, str]) -> Generation | None:
    """The first generator that one of the text fields (place → text) belongs to."""
    for recognise in (_invoke, _novel, _fooocus, _easy_diffusion):  # need several fields at once
        found = recognise(fields)
        if found:
            return found
    for where, text in fields.items():
        for read in (_swarm, _draw_things, _web_ui, _comfy, _midjourney):
            found = read(where, text)
            if found:
                return found
    return None


def _web_ui(where: str, text: str) -> Generation | None:
    """Stable Diffusion WebUI and its relatives: prompts, then one line of `Name: value` pairs."""
    starts = [match.start() for match in _PARAMETER_LINE.finditer(text[:1_000_000])]
    if not starts:
        return None
    head, line = text[: starts[-1]], text[starts[-1] :].split("\n", 1)[0]
    pairs = {key: value.strip('"') for key, value in _PARAMETER.findall(line[:20_000])}
    if len({"Sampler", "CFG scale", "Seed", "Size", "Model", "Model hash"} & set(pairs)) < 2:
        return None
    prompt, _, negative = head.partition("\nNegative prompt: ")
    if head.startswith("Negative prompt: "):
        prompt, negative = "", head.removeprefix("Negative prompt: ")
    version = pairs.get("Version", "")
    generator = "Stable Diffusion WebUI"
    if re.match(r"f\d|neo|forge", version):
        generator = "Stable Diffusion WebUI Forge"
    elif version.startswith("ComfyUI"):
        generator = "ComfyUI"
    elif pairs.get("App", "").startswith("SD.Next"):
        generator = "SD.Next"
    elif version.startswith("Fooocus"):
        generator = "Fooocus"
    changed = "Mask blur" in pairs or (
        "Denoising strength" in pairs and "Hires upscale" not in pairs
    )
    values = _values(
        model=pairs.get("Model"),
        model_hash=pairs.get("Model hash"),
        seed=pairs.get("Seed"),
        steps=pairs.get("Steps"),
        sampler=pairs.get("Sampler"),
        guidance=pairs.get("CFG scale") or pairs.get("Distilled CFG Scale"),
        prompt=prompt,
        negative_prompt=negative,
        input_picture=changed or None,
    )
    return Generation(generator, where, values)


def _comfy(where: str, text: str) -> Generation | None:
    """ComfyUI: a graph of nodes, as executed ("prompt") or as drawn ("workflow")."""
    body = re.sub(r"^\s*(prompt|workflow)\s*:", "", text[:64], flags=re.IGNORECASE) + text[64:]
    graph = parse_json(body)
    if isinstance(graph.get("prompt"), Mapping):
        graph = graph["prompt"]
    nodes = {
        str(key): node
        for key, node in list(graph.items())[:_MAX_NODES]
        if isinstance(node, Mapping)
        and isinstance(node.get("class_type"), str)
        and isinstance(node.get("inputs"), Mapping)
    }
    if nodes:
        values = _comfy_values(nodes)
        return Generation("ComfyUI", where, values) if values else None
    drawn = graph.get("nodes")
    if isinstance(drawn, list) and "links" in graph:
        types = [str(n.get("type", "")) for n in drawn[:_MAX_NODES] if isinstance(n, Mapping)]
        if any("Sampler" in name for name in types):
            loads = any(name.startswith("LoadImage") for name in types)
            return Generation("ComfyUI", where, _values(input_picture=loads or None))
    return None


def _comfy_values(nodes: Mapping[str, Mapping[str, Any]]) -> dict[str, str | int | float | bool]:
    """Values out of a graph in which something generates; {} where nothing does."""
    every: dict[str, Any] = {}
    for node in nodes.values():
        for key, value in node["inputs"].items():
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                every.setdefault(str(key), value)
    sampler: Mapping[str, Any] = next(
        (
            node["inputs"]
            for node in nodes.values()
            if "positive" in node["inputs"] and {"seed", "noise_seed"} & set(node["inputs"])
        ),
        {},
    )
    kinds = " ".join(str(node["class_type"]) for node in nodes.values())
    if not sampler and "Sampler" not in kinds and "noise_seed" not in every:
        return {}
    own = {**every, **{k: v for k, v in sampler.items() if isinstance(v, str | int | float)}}
    prompt = _follow(nodes, sampler.get("positive"), _PROMPTS, "positive")
    guider: Mapping[str, Any] = next(
        (n["inputs"] for n in nodes.values() if "conditioning" in n["inputs"]), {}
    )
    prompt = prompt or _follow(nodes, guider.get("conditioning"), _PROMPTS, "positive")
    model = _follow(nodes, sampler.get("model"), ("ckpt_name", "unet_name", "model_name"))
    return _values(
        model=model or lookup(every, "ckpt_name", "unet_name", "model_name"),
        seed=lookup(own, "noise_seed", "seed"),
        steps=own.get("steps"),
        sampler=own.get("sampler_name"),
        guidance=lookup(own, "cfg", "guidance"),
        prompt=prompt or lookup(every, "text", "text_g", "prompt"),
        negative_prompt=_follow(nodes, sampler.get("negative"), _PROMPTS, "negative"),
        input_picture=("LoadImage" in kinds) or None,
    )


def _follow(
    nodes: Mapping[str, Mapping[str, Any]], link: object, names: tuple[str, ...], role: str = ""
) -> str | None:
    """Walk back along the links of a graph to the first text called one of `names`."""
    waiting: list[object] = [link]
    seen: set[str] = set()
    while waiting and len(seen) < _MAX_STEPS:
        target = waiting.pop(0)
        key = str(target[0]) if isinstance(target, list) and target else ""
        if key in seen or key not in nodes:
            continue
        seen.add(key)
        inputs = nodes[key]["inputs"]
        for name in names:
            if isinstance(inputs.get(name), str) and inputs[name].strip():
                return str(inputs[name])
        # A node that passes both prompts on must be left by the entrance of the same name.
        waiting += [inputs[role]] if role in inputs else list(inputs.values())
    return None


def _invoke(fields: Mapping[str, str]) -> Generation | None:
    """InvokeAI, in the three formats that it wrote over the years."""
    for where, text in _named(fields, "invokeai_metadata"):
        data = parse_json(text)
        model = data.get("model")
        model = model if isinstance(model, Mapping) else {"name": model}
        if "positive_prompt" in data or "generation_mode" in data or "app_version" in data:
            values = _values(
                model=lookup(model, "name", "model_name"),
                model_hash=lookup(model, "hash", "key"),
                seed=data.get("seed"),
                steps=data.get("steps"),
                sampler=data.get("scheduler"),
                guidance=lookup(data, "cfg_scale", "guidance"),
                prompt=data.get("positive_prompt"),
                negative_prompt=data.get("negative_prompt"),
                input_picture="img2img" in str(data.get("generation_mode", "")) or None,
            )
            return Generation("InvokeAI", where, values)
    for where, text in _named(fields, "sd-metadata"):
        data = parse_json(text)
        image = data.get("image")
        if isinstance(image, Mapping) and ("app_id" in data or "model_weights" in data):
            prompt = image.get("prompt")
            if isinstance(prompt, list) and prompt and isinstance(prompt[0], Mapping):
                prompt = prompt[0].get("prompt")
            values = _values(
                model=lookup(data, "model_weights", "model"),
                model_hash=data.get("model_hash"),
                prompt=prompt,
                guidance=image.get("cfg_scale"),
                **{name: image.get(name) for name in ("seed", "steps", "sampler")},
            )
            return Generation("InvokeAI", where, values)
    for where, text in _named(fields, "Dream"):
        match = _DREAM.match(text[:10_000])
        if match:
            options = dict(re.findall(r"(?<=\s)-(s|S|C|A) ?([\w.]+)", text[match.end() - 1 :]))
            values = _values(
                prompt=match["prompt"],
                steps=options.get("s"),
                seed=options.get("S"),
                guidance=options.get("C"),
                sampler=options.get("A"),
            )
            return Generation("InvokeAI", where, values)
    return None


def _novel(fields: Mapping[str, str]) -> Generation | None:
    """NovelAI: JSON in the comment, named in Software or in the source of the model."""
    makers = [text for name in ("Software", "Source") for _, text in _named(fields, name)]
    known = any(text.strip().startswith("NovelAI") for text in makers)
    for where, text in [*_named(fields, "Comment"), *_named(fields, "UserComment")]:
        data = parse_json(text)
        if isinstance(data.get("Comment"), str):  # its JPEG and WebP wrap the PNG texts once more
            known = known or str(data.get("Software")) == "NovelAI"
            data = parse_json(data["Comment"])
        if known and {"steps", "sampler", "seed"} <= set(data):
            source = next((value for _, value in _named(fields, "Source")), None)
            prompt = data.get("prompt") or next((v for _, v in _named(fields, "Description")), "")
            values = _values(
                model=source,
                seed=data.get("seed"),
                steps=data.get("steps"),
                sampler=data.get("sampler"),
                guidance=data.get("scale"),
                prompt=prompt,
                negative_prompt=data.get("uc"),
            )
            return Generation("NovelAI", where, values)
    return None


def _fooocus(fields: Mapping[str, str]) -> Generation | None:
    schemes = [text.strip() for _, text in _named(fields, "fooocus_scheme")]
    for where, text in fields.items():
        data = parse_json(text)
        version = str(lookup(data, "version", "Version", "software") or "")
        known = version.startswith(("Fooocus", "RuinedFooocus")) or bool(schemes)
        if known and lookup(data, "base_model", "Base Model", "base_model_name"):
            values = _values(
                model=lookup(data, "base_model", "Base Model", "base_model_name"),
                model_hash=data.get("base_model_hash"),
                seed=lookup(data, "seed", "Seed"),
                steps=lookup(data, "steps", "Steps"),
                sampler=lookup(data, "sampler", "Sampler", "sampler_name"),
                guidance=lookup(data, "guidance_scale", "Guidance Scale", "cfg"),
                prompt=lookup(data, "prompt", "Prompt"),
                negative_prompt=lookup(data, "negative_prompt", "Negative Prompt", "Negative"),
            )
            return Generation("Fooocus", where, values)
        if schemes and (found := _web_ui(where, text)):
            return Generation("Fooocus", where, found.values)
    return None


def _easy_diffusion(fields: Mapping[str, str]) -> Generation | None:
    """Easy Diffusion: one PNG text per value, or all of them as JSON in UserComment."""
    flat = {where.split("'")[1]: text for where, text in fields.items() if where.count("'") == 2}
    candidates = [("PNG text 'use_stable_diffusion_model'", flat)]
    candidates += [(where, parse_json(text)) for where, text in _named(fields, "UserComment")]
    for where, data in candidates:
        if "use_stable_diffusion_model" in data or {"Stable Diffusion model", "Seed"} <= set(data):
            values = _values(
                model=lookup(data, "use_stable_diffusion_model", "Stable Diffusion model"),
                seed=lookup(data, "seed", "Seed"),
                steps=lookup(data, "num_inference_steps", "Steps"),
                sampler=lookup(data, "sampler_name", "Sampler"),
                guidance=lookup(data, "guidance_scale", "Guidance Scale"),
                prompt=lookup(data, "prompt", "Prompt"),
                negative_prompt=lookup(data, "negative_prompt", "Negative Prompt"),
            )
            return Generation("Easy Diffusion", where, values)
    return None


def _swarm(where: str, text: str) -> Generation | None:
    data = parse_json(text).get("sui_image_params")
    if not isinstance(data, Mapping):
        return None
    values = _values(
        guidance=data.get("cfgscale"),
        negative_prompt=data.get("negativeprompt"),
        **{name: data.get(name) for name in ("model", "seed", "steps", "sampler", "prompt")},
    )
    return Generation("SwarmUI", where, values)


def _draw_things(where: str, text: str) -> Generation | None:
    """Draw Things: a JSON object whose prompts are called `c` and `uc`."""
    data = parse_json(text)
    if not {"c", "uc", "model", "sampler", "seed", "steps"} <= set(data):
        return None
    values = _values(
        guidance=data.get("scale"),
        prompt=data.get("c"),
        negative_prompt=data.get("uc"),
        **{name: data.get(name) for name in ("model", "seed", "steps", "sampler")},
    )
    return Generation("Draw Things", where, values)


def _midjourney(where: str, text: str) -> Generation | None:
    """Midjourney: the prompt with its switches, then the number of the job."""
    match = _JOB.search(text[:20_000])
    if match is None:
        return None
    prompt = text[: match.start()]
    version = re.search(r"--(?:v|version|niji) ?([\d.]+)?", prompt)
    model = None
    if version:
        name = "niji" if "niji" in version[0] else "v"
        model = f"{name} {version[1] or ''}"
    return Generation("Midjourney", where, _values(prompt=prompt, model=model))


def _named(fields: Mapping[str, str], name: str) -> Iterator[tuple[str, str]]:
    """Fields whose own name is `name`, whatever container they stand in."""
    for where, text in fields.items():
        if where.endswith((f" {name}", f" '{name}'")):
            yield where, text


def _values(**found: Any) -> dict[str, str | int | float | bool]:
    """The values that are there, as bounded plain types; numbers written as text become numbers."""
    result: dict[str, str | int | float | bool] = {}
    for name, value in found.items():
        if isinstance(value, str):
            value = clean(value, 500 if "prompt" in name else 200)
            if name in ("seed", "steps", "guidance") and re.fullmatch(r"-?\d{1,18}", value):
                value = int(value)
            elif name == "guidance" and re.fullmatch(r"\d{1,6}\.\d{1,6}", value):
                value = float(value)
        if isinstance(value, int) and abs(value) >= 2**64:
            value = None
        if isinstance(value, float) and not math.isfinite(value):
            value = None
        if isinstance(value, str | int | float) and value != "":
            result[name] = value
    return result
