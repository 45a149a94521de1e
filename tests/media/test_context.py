"""Signals are computed once, and never wait for others that they do not need."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import made
import pytest

from bonafide.errors import DecodeError, UnsupportedFormat
from bonafide.media.context import Context, Signal
from bonafide.media.shared import XMP
from bonafide.media.source import open_media
from bonafide.testing import sample_files


def context(name: str = "photo.png") -> Context:
    return Context(open_media(sample_files()[name], name))


def test_tracks_or_a_typed_error() -> None:
    picture = context()
    assert picture.image is picture.media.image
    for wanted in ("video", "audio"):
        with pytest.raises(UnsupportedFormat, match=r"photo\.png"):
            getattr(picture, wanted)
    video = Context(open_media(made.clip(sound=1.0)))
    assert video.video is video.media.video and video.audio is video.media.audio
    with pytest.raises(UnsupportedFormat, match="no picture"):
        _ = video.image
    animated = context("animated.gif")
    assert animated.image is animated.media.image and animated.video is animated.media.video


def test_different_signals_are_computed_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=30)  # broken where one waits for the other
    ctx = context()
    signals = [Signal(f"wait {k}", "1", lambda ctx: both.wait()) for k in range(2)]
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(ctx.get, signals)) == [0, 1]


def test_a_signal_is_computed_once() -> None:
    started, calls = threading.Event(), []

    def compute(_ctx: Context) -> object:
        calls.append(1)
        started.wait(30)
        return object()

    ctx, signal = context(), Signal("slow", "1", compute)
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(ctx.get, signal) for _ in range(4)]
        started.set()
        values = {id(job.result(30)) for job in jobs}
    assert len(calls) == 1 and len(values) == 1
    assert context().get(signal) is not ctx.get(signal), "each media has its own"


def test_a_signal_may_rest_on_others_and_on_itself_through_them() -> None:
    base = Signal("base", "1", lambda ctx: 20)
    ctx = context()
    assert ctx.get(Signal("sum", "1", lambda ctx: ctx.get(base) + ctx.get(base) + 2)) == 42


def test_errors_are_raised_at_every_call() -> None:
    def fail(ctx: Context) -> None:
        raise DecodeError(ctx.media.name, "as it is")

    ctx, signal = context(), Signal("broken", "1", fail)
    for _ in range(2):
        with pytest.raises(DecodeError, match="as it is"):
            ctx.get(signal)


def test_shared_signals() -> None:
    assert context("orientation_6.jpg").get(XMP) == ()
    with pytest.raises(UnsupportedFormat):
        Context(open_media(made.clip())).get(XMP)


def test_nothing_heavy_is_imported_for_the_types() -> None:
    script = (
        "import sys, bonafide.media.media, bonafide.media.context, bonafide.media.source\n"
        "import bonafide.media.shared, bonafide.media.sampling, bonafide.media.audio\n"
        "heavy = {'numpy', 'PIL', 'cv2', 'av', 'scipy', 'fsspec'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
