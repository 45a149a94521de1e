"""Faces of pictures and videos: found, followed, named, and where not, why not."""

from __future__ import annotations

import io
from collections.abc import Sequence

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from skimage import data

from bonafide.media.context import Context
from bonafide.media.source import open_media
from bonafide.networks import faces as network
from bonafide.subjects.faces import FACES, Faces, face_crop, scene, turned

Pixels = NDArray[np.uint8]
WOMAN: Pixels = data.astronaut()


def png(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Pillow.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def mp4(frames: Sequence[Pixels], rate: int = 5) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return out.getvalue()


def faces(content: bytes) -> Faces:
    return Context(open_media(content)).get(FACES)


def test_the_face_of_a_photograph() -> None:
    found = faces(png(WOMAN))
    (track,) = found.tracks
    (face,) = track.faces
    assert track.subject == "person 1" and found.shots == () and found.times == (0.0,)
    assert 170 < face.box.x < 190 and 55 < face.box.y < 75 and 80 < face.side < 105
    left_eye, right_eye, nose, *mouth = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0] and left_eye[1] < nose[1] < mouth[0][1]
    assert face_crop(face).shape == (256, 256, 3) and scene(face, 224).shape == (224, 224, 3)
    assert np.linalg.norm(face.vector) == pytest.approx(1, abs=1e-3)


def test_one_person_is_near_at_any_size_and_turned_upright_by_alignment() -> None:
    small = np.asarray(Pillow.fromarray(WOMAN).resize((300, 300)))
    tilted = np.asarray(Pillow.fromarray(WOMAN).rotate(20, Pillow.Resampling.BICUBIC))
    vectors = [faces(png(one)).tracks[0].best.vector for one in (WOMAN, small, tilted)]
    assert vectors[0] @ vectors[1] > 0.9 and vectors[0] @ vectors[2] > 0.8


def test_two_faces_are_named_from_left_to_right() -> None:
    two = np.concatenate([WOMAN[:, ::-1], WOMAN], axis=1)
    found = faces(png(two))
    assert [track.subject for track in found.tracks] == ["person 1", "person 2"]
    assert found.tracks[0].best.box.x < 512 < found.tracks[1].best.box.x


def test_a_video_has_one_person_through_a_cut_away() -> None:
    cat = np.asarray(Pillow.fromarray(data.chelsea()).resize((512, 512)))
    frames = [np.roll(WOMAN, 2 * step, 1) for step in range(8)] + [cat] * 6 + [WOMAN] * 6
    found = faces(mp4(frames))
    (track,) = found.tracks
    times = [face.seconds for face in track.faces]
    assert times == sorted(times) and len(track.faces) >= 12
    assert len(found.shots) == 3


@pytest.mark.parametrize(
    ("picture", "why"),
    [
        (data.coffee(), "no face was found in the picture"),
        (np.asarray(Pillow.fromarray(WOMAN).resize((128, 128))), "smaller than 32 pixels"),
        (np.zeros((1, 1, 3), np.uint8), "no face"),
    ],
    ids=["coffee", "tiny", "one pixel"],
)
def test_without_a_face_there_is_a_reason(picture: Pixels, why: str) -> None:
    found = faces(png(picture))
    assert found.tracks == () and why in found.why_none


def test_a_profile_is_told_from_the_front() -> None:
    front = np.array([[0, 0], [10, 0], [5, 6], [1, 11], [9, 11]], np.float64)
    side = front.copy()
    side[2, 0] = 14
    assert turned(front) == 0 and turned(side) > 0.75


def test_alignment_puts_landmarks_in_their_places() -> None:
    points = network.TEMPLATE * 112
    angle, scale, shift = 0.4, 1.7, np.array([31.0, -12.0])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = network.similarity(points @ turn.T + shift, points)
    back = (points @ turn.T + shift) @ matrix[:, :2].T + matrix[:, 2]
    assert np.allclose(back, points)
