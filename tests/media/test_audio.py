"""Sound comes in windows of known rate and time, whatever it is coded in."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import av
import made
import numpy as np
import pytest

from bonafide.errors import DecodeError, MediaError, UnsupportedFormat
from bonafide.media.audio import AudioTrack
from bonafide.media.limits import Limits
from bonafide.media.source import open_media
from bonafide.types import Kind

FILES = {
    "wav": ("wav", "pcm_s16le", "WAV"),
    "mp3": ("mp3", "libmp3lame", "MP3"),
    "m4a": ("ipod", "aac", "M4A"),
    "flac": ("flac", "flac", "FLAC"),
    "ogg": ("ogg", "flac", "OGG"),
    "opus": ("opus", "libopus", "OGG"),
    "aiff": ("aiff", "pcm_s16be", "AIFF"),
    "aac": ("adts", "aac", "AAC"),
    "caf": ("caf", "pcm_s16be", "CAF"),
    "au": ("au", "pcm_s16be", "AU"),
    "wma": ("asf", "libmp3lame", "ASF"),
}


def track(data: bytes, limits: Limits | None = None) -> AudioTrack:
    audio = open_media(data, limits=limits).audio
    assert audio is not None
    return audio


def made_sound(name: str, **more: Any) -> bytes:
    container, codec, _ = FILES[name]
    try:
        return made.sound(container, codec, **more)
    except (av.error.FFmpegError, ValueError) as error:
        pytest.skip(f"{container}/{codec} cannot be written here: {error}")


@pytest.mark.parametrize("name", FILES)
def test_formats(name: str) -> None:
    data = made_sound(name)
    media = open_media(data)
    audio = media.audio
    assert audio is not None and media.tracks == (audio,)
    assert (media.kind, media.format) == (Kind.AUDIO, FILES[name][2])
    assert (audio.sample_rate, audio.channels) == (48000, 2)
    assert audio.codec and audio.duration == pytest.approx(3.0, abs=0.1)
    assert audio.bit_rate is None or audio.bit_rate > 1000
    windows = list(audio.windows(16000, 1.0, 0.5))
    assert [one.start for one in windows[:5]] == pytest.approx([0, 0.5, 1, 1.5, 2], abs=0.03)
    for one in windows[:5]:
        assert one.rate == 16000 and one.samples.shape == (16000,)
        assert one.samples.dtype == np.float32 and not one.samples.flags.writeable
    spectrum = np.abs(np.fft.rfft(windows[2].samples))
    assert abs(int(spectrum.argmax()) - 440) <= 1, "one second, so that bins are hertz"
    assert 0.3 < float(np.abs(windows[2].samples).max()) < 0.7
    assert audio.defects == ()


def test_windows_tile_the_sound() -> None:
    samples = (np.arange(8000 * 3 + 500) % 30000 - 15000).astype("<i2")
    audio = track(made.wav(samples.tobytes()))
    expected = samples.astype(np.float32) / 32768
    windows = list(audio.windows(seconds=1.0))
    assert [len(one.samples) for one in windows] == [8000, 8000, 8000, 500]
    assert [one.start for one in windows] == [0, 1, 2, 3]
    assert np.array_equal(np.concatenate([one.samples for one in windows]), expected)
    for hop in (0.3, 1.0, 1.7, 5.0):
        for one in audio.windows(seconds=1.0, hop=hop):
            first = round(one.start * 8000)
            assert np.array_equal(one.samples, expected[first : first + 8000])
    # Overlapping windows end with the first one that reaches the end.
    assert [one.start for one in audio.windows(seconds=2.0, hop=0.5)] == [0.0, 0.5, 1.0, 1.5]
    assert [one.start for one in audio.windows(seconds=1.0, hop=1.7)] == pytest.approx([0, 1.7])


@pytest.mark.parametrize("channels", [1, 2, 6, 8, 24])
def test_channels_stay_apart_or_are_averaged(channels: int) -> None:
    levels = np.linspace(-16384, 16384, channels, dtype="<i2")
    audio = track(made.wav(np.tile(levels, 8000).tobytes(), channels=channels))
    assert audio.channels == channels
    (apart,) = audio.windows(seconds=1.0, mono=False)
    assert apart.samples.shape == (channels, 8000)
    assert np.allclose(apart.samples, levels[:, None] / 32768)
    (together,) = audio.windows(seconds=1.0)
    assert np.allclose(together.samples, levels.mean() / 32768, atol=1e-4)


def test_eight_bits_and_floating_point() -> None:
    eight = track(made.wav(bytes([128, 255, 0, 128] * 2000), width=1))
    (window,) = eight.windows(seconds=1.0)
    assert window.samples[:4] == pytest.approx([0, 127 / 128, -1, 0])
    values = np.array([0.5, 3.0, -2.0, np.nan, np.inf, -np.inf, 0.0, -0.5] * 1000, "<f4")
    header = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, 8000, 32000, 4, 32)
    body = header + struct.pack("<4sI", b"data", values.nbytes) + values.tobytes()
    (window,) = track(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body).windows()
    assert window.samples[:8] == pytest.approx([0.5, 1, -1, 0, 1, -1, 0, -0.5])


def test_silence_and_nothing() -> None:
    (window,) = track(made.wav(bytes(16000))).windows(seconds=2.0)
    assert len(window.samples) == 8000 and not window.samples.any()
    empty = track(made.wav(b""))
    assert list(empty.windows()) == [] and empty.duration == 0 and empty.defects == ()
    (window,) = track(made.wav(bytes(20))).windows()
    assert len(window.samples) == 10


def test_decoded_sound_is_bounded() -> None:
    audio = track(made.wav(bytes(16000 * 60)), Limits(sound_seconds=5.0))
    total = sum(len(one.samples) for one in audio.windows(seconds=1.0))
    assert 5 * 8000 <= total <= 6 * 8000
    assert audio.defects == ()


@pytest.mark.parametrize(
    "wrong", [{"rate": 0}, {"rate": -1}, {"seconds": 0.0}, {"hop": 0.0}, {"seconds": -1.0}]
)
def test_impossible_windows_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="positive"):
        list(track(made.wav(bytes(16000))).windows(**wrong))


def test_the_sound_of_a_video_has_its_times() -> None:
    media = open_media(made.clip(30, sound=3.0))
    assert media.audio is not None
    windows = list(media.audio.windows(8000, 1.0))
    assert [one.start for one in windows[:3]] == pytest.approx([0, 1, 2], abs=0.2)


@pytest.mark.parametrize("name", FILES)
def test_truncated_sound_gives_what_it_has_or_a_media_error(name: str) -> None:
    data = made_sound(name)
    for share in (0.02, 0.3, 0.6, 0.95):
        try:
            audio = track(data[: int(len(data) * share)])
            total = sum(len(one.samples) for one in audio.windows(8000))
        except MediaError as error:
            assert error.why and len(error.why) < 400
        else:
            assert total <= 3.2 * 8000


def test_damage_is_recorded() -> None:
    data = made_sound("flac")
    audio = track(data[: len(data) // 2])
    assert sum(len(one.samples) for one in audio.windows(8000)) > 2000
    assert any("damaged" in one or "ends after" in one for one in audio.defects)


@pytest.mark.parametrize("name", FILES)
def test_hostile_sound_is_a_media_error_at_most(name: str) -> None:
    data = made_sound(name, seconds=0.5)
    rng = np.random.default_rng(7)
    for _ in range(25):
        broken = bytearray(data)
        for position in rng.integers(4, min(len(broken), 400), 6):
            broken[position] = rng.integers(256)
        for position in rng.integers(4, len(broken), 20):
            broken[position] = rng.integers(256)
        try:
            media = open_media(bytes(broken), limits=Limits(sound_seconds=60))
            if media.audio is not None:
                for one in media.audio.windows(8000, mono=False):
                    assert np.isfinite(one.samples).all() and np.abs(one.samples).max() <= 1
        except MediaError:
            pass


def test_sound_that_cannot_be_decoded_is_an_error() -> None:
    data = made_sound("mp3")
    with pytest.raises(MediaError):
        list(track(data[:4] + bytes(len(data) - 4)).windows())
    # A codec that no decoder knows.
    data = made_sound("m4a").replace(b"mp4a", b"zzzz").replace(b"esds", b"free")
    try:
        audio = track(data)
    except UnsupportedFormat:
        return
    with pytest.raises(DecodeError):
        list(audio.windows())


@pytest.mark.parametrize("rate", [1, 637_582_208])
def test_impossible_sample_rates_are_refused(rate: int) -> None:
    with pytest.raises(DecodeError, match="samples per second"):
        list(track(made.wav(bytes(2000), rate=rate)).windows(8000))


def test_long_sound_takes_no_more_memory(tmp_path: Path) -> None:
    peaks = []
    for minutes in (1, 1, 4):
        path = tmp_path / f"{minutes}.wav"
        path.write_bytes(made.wav(bytes(4000 * 60 * minutes), rate=2000))
        tracemalloc.start()
        try:
            audio = open_media(path).audio
            assert audio is not None
            count = sum(1 for _ in audio.windows(seconds=10.0))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert count == 6 * minutes
    assert peaks[2] < peaks[1] + 200_000
