"""Names and sizes that messengers, networks, cameras and screens give to pictures.

Anybody can name a file so and scale it so; it is said as what it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# The whole name without its ending → who gives such names.
_NAMES = tuple(
    (re.compile(pattern), who)
    for pattern, who in (
        (r"(IMG|VID|AUD|PTT)-\d{8}-WA\d{4}", "WhatsApp"),
        (r"WhatsApp (Image|Video|Audio) \d{4}-\d\d-\d\d at .*", "WhatsApp"),
        (r"(photo|video)_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d( \(\d+\))?", "Telegram"),
        (r"photo_\d{16,20}_[a-z]", "Telegram"),
        (r"signal-\d{4}-\d\d-\d\d-\d\d-?\d\d-?\d\d(-\d+)?", "Signal"),
        (r"FB_IMG_\d{13}", "Facebook"),
        (r"\d{6,}_\d{9,}_\d{9,}_[a-z]", "Facebook or Instagram"),
        (r"Snapchat-\d{6,}", "Snapchat"),
        (r"(mmexport|wx_camera_)\d{13}", "WeChat"),
        (r"[D-H](?=[\w-]*[a-z])(?=[\w-]*\d)[\w-]{8}A[\w-]{5}", "X (Twitter)"),
        (r"PXL_\d{8}_\d{9}(\..*)?", "the camera of a Google Pixel"),
        (r"(IMG|VID)_\d{8}_\d{6}(\d{3})?", "the camera of an Android phone"),
        (r"DJI_\d{4}", "a DJI camera"),
        (r"(GOPR|GX\d\d|GH\d\d)\d{4}", "a GoPro camera"),
        (r"(?i:screenshot|screen shot|bildschirmfoto|captura de pantalla|schermata)\b.*",
         "a screenshot"),
        (r"(?i:screenshot)_.*", "a screenshot"),
    )
)  # fmt: skip

# Longest side, pixels → who scales pictures to it. Others do so as well.
_SIDES = {1280: "Telegram", 1600: "WhatsApp", 2048: "Facebook and X (Twitter)"}

# Shorter and longer side, pixels → whose screen.
_SCREENS: Mapping[tuple[int, int], str] = {
    (750, 1334): "iPhone 6 to 8 and SE", (828, 1792): "iPhone XR and 11",
    (1125, 2436): "iPhone X, XS and 11 Pro", (1170, 2532): "iPhone 12 to 14",
    (1179, 2556): "iPhone 14 Pro, 15 and 16", (1206, 2622): "iPhone 16 Pro",
    (1242, 2688): "iPhone XS Max and 11 Pro Max", (1284, 2778): "iPhone 12 to 13 Pro Max",
    (1290, 2796): "iPhone 14 to 15 Pro Max", (1320, 2868): "iPhone 16 Pro Max",
    (1640, 2360): "iPad 10 and Air", (1668, 2388): "iPad Pro 11", (2048, 2732): "iPad Pro 12.9",
    (1080, 1920): "many phones and monitors", (1080, 2220): "many Android phones",
    (1080, 2340): "many Android phones", (1080, 2400): "many Android phones",
    (1440, 2960): "many Android phones", (1440, 3120): "many Android phones",
    (1440, 3200): "many Android phones", (1344, 2992): "Google Pixel 8 Pro and 9 Pro",
    (768, 1366): "many laptops", (900, 1440): "many laptops", (1200, 1920): "many monitors",
    (1440, 2560): "many monitors", (1600, 2560): "many laptops", (1800, 2880): "MacBook Pro 15",
    (1964, 3024): "MacBook Pro 14", (2234, 3456): "MacBook Pro 16", (2160, 3840): "4K monitors",
}  # fmt: skip
_SCREEN_PROGRAMS = re.compile(
    r"^(gnome-screenshot|spectacle|flameshot|ksnip|scrot|shutter|greenshot|sharex|screenshot\b|"
    r"snipping tool|android.*screenshot)",
    re.IGNORECASE,
)


def named_like(name: str) -> str:
    """Who gives files such names, "" if the name tells nothing."""
    stem = name.rsplit("/", 1)[-1].rsplit(".", 1)[0][:200]
    return next((who for pattern, who in _NAMES if pattern.fullmatch(stem)), "")


def sized_like(width: int, height: int) -> str:
    """Who scales pictures to this longest side, "" if nobody known here."""
    return _SIDES.get(max(width, height), "")


def screen_of(width: int, height: int) -> str:
    """Whose screens have exactly this size, "" if none known here."""
    return _SCREENS.get((min(width, height), max(width, height)), "")


def screen_program(texts: Mapping[str, str]) -> str:
    """The field that calls the picture a screenshot, "" if none does."""
    for where, text in texts.items():
        if _SCREEN_PROGRAMS.match(text.strip()[:80]):
            return where
    return ""
