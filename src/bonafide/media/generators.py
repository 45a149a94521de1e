"""Names of image generators and their makers, as they stand in fields meant for a program's name.

A name counts where it fills its field as a whole, perhaps with a version, a build or an address
behind it. A word inside a sentence, a caption or a longer name never counts.
"""

from __future__ import annotations

import re
from functools import cache

# What may follow a generator's name in such a field; anything else makes it another name.
_VERSION = r"v?\d+(?:[.-]\d+)*(?:[-+. ]?(?:alpha|beta|rc)\.?\d*)?(?:-g[0-9a-f]{7,40})?o?"
_EDITION = (
    "sd|sdxl|xl|large|medium|small|mini|base|refiner|turbo|lightning|flash|ultra|pro|max|plus|hd|"
    "dev|schnell|kontext|alpha|beta|image|ai|bot|app|web|api|preview|fast|generate"
)
_SYSTEM = "build|commit|windows|macos|linux|ios|ipados|android|discord|automatic1111|comfyui|forge"
_URL = r"(?:https?://|www\.)[^\s()\[\]]{1,150}"
_PART = rf"(?:{_VERSION}|{_EDITION}|{_SYSTEM}|[0-9a-f]{{7,40}}|{_URL})(?!\w)"
_GAP = r"[\s,;:#_./-]*"
# Atomic and possessive, so that no text makes the search slow.
_PARTS = rf"(?>{_GAP}{_PART})*+"
_REST = rf"(?>{_GAP}(?:{_PART}|\({_PARTS}{_GAP}\)|\[{_PARTS}{_GAP}\]))*+[\s.,;]*"

# Names of programs and makers; each must fill its field, but for `_REST`.
_NAMES = (
    (r"(openai )?(dall[·\-. ]?e|chatgpt|gpt-image|gpt-4o image( generation)?)|openai", "OpenAI"),
    (r"openai sora|azure openai (dall[·\-. ]?e|imagegen)", "OpenAI"),
    (r"adobe firefly( (image|video)( model)?)?", "Adobe Firefly"),
    (r"google (ai|imagen|gemini)|(google )?nano banana", "Google AI"),
    (r"midjourney(\.com)?|niji ?journey", "Midjourney"),
    (r"(microsoft )?bing image creator( from designer)?|microsoft image creator", "Microsoft"),
    (r"image creator from (microsoft )?designer", "Microsoft"),
    (r"microsoft responsible ai( image provenance)?", "Microsoft"),
    (r"amazon (titan image generator|nova (canvas|reel))", "Amazon"),
    (r"(xai )?grok( imagine)?|aurora by xai", "xAI Grok"),
    (r"black forest labs|(black forest labs )?flux(?=[.\s_-]?\d)", "Black Forest Labs FLUX"),
    (r"ai generated;\s*(txt2img|img2img)(;\s*flux)?", "Black Forest Labs FLUX"),
    (r"(stability ai )?stable[ -]?diffusion([ -]web[ -]?ui)?", "Stable Diffusion"),
    (r"stability ai|dreamstudio|automatic1111", "Stable Diffusion"),
    (r"comfyui", "ComfyUI"),
    (r"invoke ?ai", "InvokeAI"),
    (r"novelai( diffusion)?", "NovelAI"),
    (r"(ruined)?fooocus(-mre)?", "Fooocus"),
    (r"draw things", "Draw Things"),
    (r"diffusionbee", "DiffusionBee"),
    (r"easy diffusion", "Easy Diffusion"),
    (r"(stable)?swarmui", "SwarmUI"),
    (r"leonardo\.?\s?ai", "Leonardo.Ai"),
    (r"ideogram(\.ai)?", "Ideogram"),
    (r"recraft(\.ai)?", "Recraft"),
    (r"krea(\.?ai)?", "Krea"),
    (r"runwayml|runway gen-?\d|luma dream machine|kling ai|pika labs", ""),
    (r"imagine with meta( ai)?|meta ai|made with ai at meta", "Meta AI"),
    (r"playground ai|craiyon|nightcafe( creator| studio)?|starryai|seaart|tensor\.art", ""),
    (r"jimeng|doubao|(bytedance )?seedream|即梦(ai)?|豆包", "ByteDance"),
)
# A credit line may name a company for a genuine photograph, so only products count there.
_BY = r"((made|created|generated) (with|by|using) )"
_CREDITS = (
    (r"made with google ai", "Google AI"),
    (r"apple image playground", "Apple Image Playground"),
    (rf"{_BY}?dall[·\-. ]?e|{_BY}chatgpt", "OpenAI"),
    (rf"{_BY}?adobe firefly", "Adobe Firefly"),
    (rf"{_BY}?midjourney", "Midjourney"),
    (rf"{_BY}?bing image creator", "Microsoft"),
)
# What says that an existing picture was changed by a generator, word for word as programs write it;
# docs/provenance.md names where each is documented.
_EDITED = (
    (r"edited with google ai|ai-generated with google( photos)?", "Google AI"),
    (r"apple photos clean ?up|modified with clean ?up", "Apple Photos Clean Up"),
)
# What a program writes word for word into a field for anything. DALL-E 2 wrote both of OpenAI's
# into the EXIF of a PNG: maker note (0x927C) and user comment (0x9286) of the first directory.
_PHRASES = (
    (r"openai--imagegeneration--[0-9a-z-]{1,80}|made with openai labs", "OpenAI"),
    (r"made with google ai", "Google AI"),
    (r"(created with |made with )?apple image playground", "Apple Image Playground"),
)


@cache  # at the first field to compare, since compiling takes longer than all that most files need
def _compiled(names: tuple[tuple[str, str], ...]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple(
        (re.compile(rf"(?:{name})(?!\w){_REST}", re.IGNORECASE), maker) for name, maker in names
    )


def generator_named(text: str) -> str | None:
    """The maker whose generator's name fills a field; "" for one known by its own name alone."""
    return _first(text, _NAMES)


def generator_credited(text: str) -> str | None:
    """The same for a credit line, where only products count."""
    return _first(text, _CREDITS)


def phrase_of(text: str) -> str | None:
    """The maker whose generator writes exactly this into a file."""
    return _first(text, _PHRASES)


def editor_credited(text: str) -> str | None:
    """The maker whose AI a field names as having edited an existing picture."""
    return _first(text, _EDITED)


def agent_named(text: str) -> str | None:
    """The maker of the generator that a claim generator or software agent names, None for none.

    "Adobe_Firefly adobe_c2pa/0.12.4" is written like a user agent of the web: its first product
    counts, with blanks for underscores.
    """
    text = text.strip()[:200]
    for candidate in (text, text.split(" ", 1)[0].replace("_", " ").replace("/", " ")):
        maker = generator_named(candidate)
        if maker is not None:
            return maker or candidate.strip()
    return None


def _first(text: str, names: tuple[tuple[str, str], ...]) -> str | None:
    text = text.strip()[:200]
    return next((maker for pattern, maker in _compiled(names) if pattern.fullmatch(text)), None)
