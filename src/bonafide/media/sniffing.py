"""What kind of file some bytes are, told from their beginning; names are never trusted."""

from __future__ import annotations

from bonafide.questions import Kind

# Brands of ISO base media files that hold pictures, and those that hold sound alone.
_STILL_BRANDS = (
    b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1",
)  # fmt: skip
_SOUND_BRANDS = (b"M4A ", b"M4B ")

# Further containers that a few fixed bytes begin.
_BEGINNINGS = (
    (b"\x00\x00\x01\xba", Kind.VIDEO, "MPEG"),  # program stream, ISO 13818-1
    (b"FLV\x01", Kind.VIDEO, "FLV"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Kind.VIDEO, "ASF"),  # WMV and WMA
    (b"#!AMR", Kind.AUDIO, "AMR"),
    (b"caff\x00\x01", Kind.AUDIO, "CAF"),
    (b".snd\x00\x00", Kind.AUDIO, "AU"),
)

# MPEG audio, ISO 11172-3 and 13818-3: kbit/s by (version is 1, layer) and index; Hz by version.
_BIT_RATES = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def sniff(data: bytes) -> tuple[Kind, str]:
    """Tell kind and container from the first bytes; 64 KiB are enough.

    A container of videos may turn out to hold only sound when it is opened.

    Returns:
        The kind, and the container where it is not for the picture decoders to say.
    """
    head = data[:1024]
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in _STILL_BRANDS:
            return Kind.IMAGE, ""
        if brand in _SOUND_BRANDS:
            return Kind.AUDIO, "M4A"
        return Kind.VIDEO, "MOV" if brand == b"qt  " else "MP4"
    if head[4:8] in (b"moov", b"mdat", b"wide", b"styp") and head[:2] == b"\x00\x00":
        return Kind.VIDEO, "MP4"
    if head[:4] == b"\x1aE\xdf\xa3":
        return Kind.VIDEO, "WEBM" if b"webm" in head[:64] else "MKV"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return Kind.VIDEO, "AVI"
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return Kind.AUDIO, "WAV"
    for beginning, kind, container in _BEGINNINGS:
        if head.startswith(beginning):
            return kind, container
    if len(data) > 376 and data[0] == data[188] == data[376] == 0x47:
        return Kind.VIDEO, "TS"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return Kind.AUDIO, "AIFF"
    if head[:4] == b"fLaC":
        return Kind.AUDIO, "FLAC"
    if head[:4] == b"OggS":
        return Kind.VIDEO if b"\x80theora" in head else Kind.AUDIO, "OGG"
    if _is_adts(data):
        return Kind.AUDIO, "AAC"
    if head[:3] == b"ID3" or _is_mpeg_audio(data):
        return Kind.AUDIO, "MP3"
    if head[:5] == b"%PDF-":
        return Kind.DOCUMENT, "PDF"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<svg", b"<?xml", b"<!doctype svg")) and b"<svg" in data[:65536].lower():
        return Kind.DOCUMENT, "SVG"
    return Kind.IMAGE, ""


def _is_adts(data: bytes) -> bool:
    """Whether `data` begins with two frames of AAC in ADTS, ISO 13818-7, one behind the other."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0 or data[2] >> 2 & 15 > 12:
        return False
    length = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    following = data[length : length + 2]
    return (
        length > 7 and len(following) == 2 and following[0] == 0xFF and following[1] & 0xF6 == 0xF0
    )


def _is_mpeg_audio(data: bytes) -> bool:
    """Whether `data` begins with a frame of MPEG audio, and a second where that one ends."""
    length = _frame_bytes(data)
    return length > 0 and (len(data) < length + 4 or _frame_bytes(data[length : length + 4]) > 0)


def _frame_bytes(head: bytes) -> int:
    """Length of the frame of MPEG audio that `head` begins, 0 if it begins none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate_index, sample_index, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or rate_index in (0, 15) or sample_index == 3:
        return 0
    bits = 1000 * _BIT_RATES[version == 3, layer][rate_index - 1]
    rate = _SAMPLE_RATES[version][sample_index]
    if layer == 1:
        return (12 * bits // rate + padding) * 4
    samples = 576 if layer == 3 and version != 3 else 1152
    return samples // 8 * bits // rate + padding
