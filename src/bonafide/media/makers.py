"""Who makes cameras, how their maker notes begin, and what edits pictures: plain knowledge."""

from __future__ import annotations

import re

from bonafide.media.text_metadata import clean

# Lower-case words, one of which stands in the Make of nearly every camera and phone.
_MAKES = """
    acer agfa agfaphoto aigo alcatel aldi alpine apeman apple archos arri asus autel axis basler
    bell benq blackberry blackmagic blackview blu bq caplio caterpillar canon casio concord
    coolpad creative cubot dji doogee doro dxo eastman easypix elephone energizer epson essential
    fairphone flir foveon fuji fujifilm fujitsu garmin gateway ge general gigaset gionee google
    gopro hasselblad hisense hitachi hmd homtom honor hp hewlett-packard htc huawei hyundai imacon
    infinix insta360 intova iqoo jenoptik jk jvc kddi kodak konica kyocera lava leaf leagoo leica
    lenco lenovo lexibook lg lge lumix lumigon mamiya maxell meitu meizu microsoft minolta minox
    mobiwire motorola mustek nextbase nikon nokia nothing nubia nvidia obsbot odys olympus om
    oneplus onyx oppo oukitel palm panasonic panono pantech pentacon pentax phase phaseone pixel
    pixii poco polaroid praktica premier qmobile razer realme redmi reconyx research ricoh rim
    rollei samsung sanyo sea sealife seiko sharp shift sigma silvercrest sinar skydio smartisan
    sony sonyericsson spypoint supra tcl teclast tecno toshiba traveler ulefone umidigi vertu
    vivitar vivo vizio voigtlander vtech wiko wileyfox xiaomi yakumo yashica yi yuneec zeiss zenit
    zte itel insta360 raspberry parrot xiaoyi zoran umax epson nec lumenera logitech
    nintendo
"""
KNOWN_MAKES = frozenset(_MAKES.split())

# (how a maker note begins, words of which one stands in Make). Several makers sell cameras that
# others build, so the lists are wide; notes without such a mark say nothing.
MAKER_NOTES: tuple[tuple[bytes, tuple[str, ...]], ...] = (
    (b"Nikon\x00", ("nikon",)),
    (b"OLYMP\x00", ("olympus", "om", "epson", "agfa", "konica", "minolta", "sony", "seiko")),
    (b"OLYMPUS\x00", ("olympus", "om")),
    (b"OM SYSTEM", ("olympus", "om")),
    (b"FUJIFILM", ("fuji", "fujifilm", "leica", "general", "ge", "minolta")),
    (b"SONY", ("sony", "hasselblad", "ericsson", "sonyericsson")),
    (b"Panasonic\x00", ("panasonic", "leica", "lumix")),
    (b"LEICA", ("leica",)),
    (b"Apple iOS\x00", ("apple",)),
    (b"PENTAX \x00", ("pentax", "ricoh", "samsung")),
    (b"AOC\x00", ("pentax", "asahi", "samsung", "ricoh")),
    (b"RICOH\x00", ("ricoh", "pentax", "leica")),
    (b"Ricoh", ("ricoh", "pentax", "leica")),
    (b"SANYO\x00", ("sanyo",)),
    (b"KDK", ("kodak", "eastman", "hp", "hewlett-packard")),
    (b"QVC\x00", ("casio",)),
    (b"SIGMA\x00", ("sigma",)),
    (b"FOVEON\x00", ("sigma", "foveon")),
    (b"EPSON\x00", ("epson", "seiko")),
    (b"HUAWEI", ("huawei", "honor")),
    (b"HDRP\x02", ("google",)),
    (b"HDRP\x03", ("google",)),
)

# Makes whose cameras write a maker note in every JPEG of the last two decades.
ALWAYS_MAKER_NOTE = frozenset(("canon", "nikon", "fujifilm", "panasonic", "olympus", "apple"))

_EDITORS = tuple(
    (re.compile(pattern, re.IGNORECASE), name)
    for pattern, name in (
        (r"photoshop elements", "Adobe Photoshop Elements"),
        (r"photoshop lightroom|lightroom", "Adobe Lightroom"),
        (r"photoshop express", "Adobe Photoshop Express"),
        (r"photoshop", "Adobe Photoshop"),
        (r"camera raw", "Adobe Camera Raw"),
        (r"adobe (express|bridge|illustrator|firefly)", "Adobe"),
        (r"\bgimp\b", "GIMP"),
        (r"snapseed", "Snapseed"),
        (r"picsart", "PicsArt"),
        (r"facetune", "Facetune"),
        (r"faceapp", "FaceApp"),
        (r"meitu|beautyplus|beautycam", "Meitu"),
        (r"vsco", "VSCO"),
        (r"luminar|skylum", "Luminar"),
        (r"affinity photo", "Affinity Photo"),
        (r"pixelmator", "Pixelmator"),
        (r"paint\.net", "Paint.NET"),
        (r"painttool sai|clip studio|krita|procreate", "a painting program"),
        (r"capture one", "Capture One"),
        (r"darktable", "darktable"),
        (r"rawtherapee", "RawTherapee"),
        (r"acd ?see|acd systems", "ACDSee"),
        (r"picasa", "Picasa"),
        (r"polarr", "Polarr"),
        (r"paint ?shop|corel", "Corel PaintShop"),
        (r"canva\b", "Canva"),
        (r"fotor", "Fotor"),
        (r"pixlr", "Pixlr"),
        (r"photoscape", "PhotoScape"),
        (r"irfanview", "IrfanView"),
        (r"xnview", "XnView"),
        (r"imagemagick|graphicsmagick", "ImageMagick"),
        (r"topaz", "Topaz"),
        (r"dxo (photolab|optics)", "DxO"),
        (r"photodirector|photodonut", "PhotoDirector"),
        (r"microsoft windows photo|windows photo editor|microsoft photos", "Windows Photos"),
        (r"shotwell", "Shotwell"),
        (r"digikam", "digiKam"),
        (r"camedia master|olympus (viewer|workspace)", "Olympus software"),
        (r"nikon transfer|viewnx|nx studio|capture nx|picture ?project", "Nikon software"),
        (r"digital photo professional|zoombrowser|photostitch", "Canon software"),
        (r"finepix ?viewer", "Fujifilm software"),
    )
)

_JUNK = re.compile(r"[^\w-]+")


def make_words(make: str) -> set[str]:
    """The lower-case words of a Make."""
    return set(_JUNK.sub(" ", make.lower()).split())


def is_known_make(make: str) -> bool:
    """Whether a Make names a maker that is known here; glued names count by their beginning."""
    words = make_words(make)
    return bool(words & KNOWN_MAKES) or any(
        word.startswith(known) for word in words for known in KNOWN_MAKES if len(known) >= 5
    )


def camera_name(make: str, model: str) -> str:
    """Maker and model of a camera, the maker once."""
    repeated = bool(make_words(make) & make_words(model))
    return clean(model if repeated else f"{make} {model}", 120)


def maker_of_note(note: bytes) -> tuple[str, tuple[str, ...]] | None:
    """The mark with which a maker note begins and the makes that use it, None if unmarked."""
    for mark, makes in MAKER_NOTES:
        if note.startswith(mark):
            return mark.split(b"\x00")[0].decode("ascii", "replace").strip(), makes
    return None


def editor(text: str) -> str | None:
    """The editing or converting program that a Software field names, None if none is known."""
    return next((name for pattern, name in _EDITORS if pattern.search(text[:500])), None)
