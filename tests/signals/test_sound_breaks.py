"""Another background, a jump of the wave, an empty stretch, and the frames of AAC and MP3."""

from __future__ import annotations

import numpy as np
import pytest

from bonafide.signals import mp3_bank
from bonafide.signals.aac_frames import Aac
from bonafide.signals.frame_grid import Codec, FrameGrid
from bonafide.signals.mp3_frames import Mp3
from bonafide.signals.sound_breaks import HOP, STEP, Breaks, bands, colours, jumps
from bonafide.signals.sound_gaps import HABIT, Gaps
from bonafide.signals.speech import RATE
from bonafide.testing.sounds import babble
from bonafide.train.augment_sound import encoded


def noise(seconds: float, level: float = 0.01, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(0, level, round(seconds * RATE)).astype(np.float32)


def coloured(seconds: float, seed: int = 1) -> np.ndarray:
    """Noise of another colour, of the same power."""
    from scipy.signal import lfilter

    made = lfilter([1.0], [1.0, -0.9], noise(seconds, seed=seed))
    return (made * 0.01 / made.std()).astype(np.float32)


def test_the_background_changes_where_another_recording_begins() -> None:
    spoken = 0.3 * babble(20)
    sound = spoken + np.concatenate([noise(11), coloured(9)])
    found = colours(bands(sound))
    assert int(found.argmax()) * STEP / RATE == pytest.approx(11, abs=0.3)
    same = colours(bands(spoken + noise(20)))
    assert found.max() > 3 * same.max()


def test_level_alone_is_no_change_of_colour() -> None:
    sound = np.concatenate([noise(8), 4 * noise(8, seed=2)])
    assert colours(bands(sound)).max() < 2


def test_a_jump_stands_out_of_a_wave() -> None:
    times = np.arange(4 * RATE) / RATE
    wave = (0.3 * np.sin(2 * np.pi * 180 * times)).astype(np.float32) + noise(4, 0.001)
    cut = np.concatenate([wave[: 2 * RATE], wave[2 * RATE + 40 :]])
    found = jumps(cut)
    assert int(found.argmax()) == 2 * RATE // STEP
    assert found.max() > jumps(wave).max() + 1


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.05, 2.0])
def test_short_sound_has_no_moments_or_quiet_ones(seconds: float) -> None:
    sound = noise(seconds)
    assert colours(bands(sound)).max(initial=0) == 0
    assert len(jumps(sound)) == len(sound) // STEP


def test_pieces_give_what_the_whole_gives() -> None:
    sound = 0.3 * babble(25) + noise(25)
    breaks = Breaks()
    for first in range(0, len(sound), Breaks.PIECE):
        breaks.add(sound[first : first + Breaks.PIECE])
    whole = colours(bands(np.concatenate([sound[:HOP][::-1], sound])))
    given = breaks.colours()
    count = min(len(whole), len(given))
    assert abs(len(whole) - len(given)) <= 1
    assert np.abs(whole[:count] - given[:count]).max() < 1.5
    assert len(breaks.jumps()) == len(sound) // STEP


@pytest.mark.parametrize("piece", [5 * RATE, 1_234])
def test_zeros_are_found_across_pieces(piece: int) -> None:
    sound = noise(10)
    sound[50_000:51_000] = 0
    sound[79_990:80_400] = 0
    gaps = Gaps(RATE)
    for first in range(0, len(sound), piece):
        gaps.add(sound[first : first + piece])
    assert [round(one.start * RATE) for one in gaps.runs] == [50_000, 79_990]
    if piece > RATE:
        assert gaps.found() == gaps.runs


def test_a_gate_that_closes_again_and_again_is_a_habit() -> None:
    sound = noise(20)
    for number in range(HABIT):
        sound[(2 * number + 1) * RATE :][:800] = 0
    gaps = Gaps(RATE)
    gaps.add(sound)
    assert len(gaps.runs) == HABIT and not gaps.found()


def test_sound_that_falls_silent_by_itself_has_no_gaps() -> None:
    sound = noise(10) * np.linspace(1, 0, 10 * RATE, dtype=np.float32) ** 4
    sound = np.rint(sound * 32768).astype(np.float32) / 32768
    gaps = Gaps(RATE)
    gaps.add(sound)
    assert not gaps.found()


def as_kept(samples: np.ndarray) -> np.ndarray:
    """Rounded to 16 bits."""
    return np.asarray(np.rint(samples * 32767).astype(np.float32) / 32767)


@pytest.fixture(scope="module", params=[Aac, Mp3])
def coded(request: pytest.FixtureRequest) -> tuple[Codec, np.ndarray]:
    """A codec and sound that had been kept in it."""
    codec: Codec = request.param()
    sound = (0.5 * babble(14) + noise(14, 0.003)).astype(np.float32)
    encoder = ("aac", "adts") if codec.name == "AAC" else ("libmp3lame", "mp3")
    return codec, as_kept(encoded(sound, *encoder, RATE, 48_000))


def test_the_grid_jumps_where_a_piece_is_missing(coded: tuple[Codec, np.ndarray]) -> None:
    codec, sound = coded
    at, gone = 7 * RATE, 10 * codec.frame + 300
    (jump,) = FrameGrid(codec).add(np.concatenate([sound[:at], sound[at + gone :]]))
    assert abs(jump.end - at) < 0.15 * RATE and abs(jump.begin - at) < 0.15 * RATE
    assert (jump.before - jump.after) % codec.frame == 300


def test_the_grid_is_lost_where_a_piece_was_put_in(coded: tuple[Codec, np.ndarray]) -> None:
    codec, sound = coded
    at, count = 7 * RATE, RATE + 300
    other = as_kept(0.5 * babble(3, seed=9) + noise(3, 0.003))[:count]
    (jump,) = FrameGrid(codec).add(np.concatenate([sound[:at], other, sound[at:]]))
    assert abs(jump.end - at) < 0.15 * RATE and abs(jump.begin - at - count) < 0.15 * RATE


def test_the_grid_does_not_jump_in_one_piece(coded: tuple[Codec, np.ndarray]) -> None:
    codec, sound = coded
    grid = FrameGrid(codec)
    found = []
    for first in range(0, len(sound), 3_000):
        found += list(grid.add(sound[first : first + 3_000]))
    assert not found and grid.segments > 5


@pytest.mark.parametrize("codec", [Aac(), Mp3()])
def test_sound_that_was_never_coded_has_no_grid(codec: Codec) -> None:
    grid = FrameGrid(codec)
    assert not list(grid.add((0.5 * babble(8) + noise(8, 0.003)).astype(np.float32)))
    assert grid.segments == 0


def test_the_bank_of_mp3_keeps_the_power_of_noise() -> None:
    sound = noise(4)
    bands = mp3_bank.bands(sound, (len(sound) - mp3_bank.TAPS) // mp3_bank.BANDS)
    lines = mp3_bank.lines(bands, mp3_bank.LINES)
    assert bands.std() == pytest.approx(sound.std(), rel=0.02)
    assert lines.std() == pytest.approx(sound.std(), rel=0.02)


def test_the_bank_of_mp3_puts_a_tone_into_its_line() -> None:
    for band in (0, 3, 4):  # of odd bands the lines run backwards
        line = 18 * band + 7
        tone = np.sin(np.pi / 576 * (line + 0.5) * np.arange(6_000)).astype(np.float32)
        power = (mp3_bank.lines(mp3_bank.bands(tone, 150), 18) ** 2).mean(0)
        assert abs(int(np.argmax(power)) - line) <= 10 and int(np.argmax(power)) // 18 == band


def test_digital_silence_is_no_background() -> None:
    sound = 0.3 * babble(18) + noise(18)
    silenced = sound.copy()
    silenced[3 * RATE : 5 * RATE] = 0
    assert colours(bands(silenced)).max() < colours(bands(sound)).max() + 3
    assert colours(bands(np.zeros(18 * RATE, np.float32))).max() == 0
