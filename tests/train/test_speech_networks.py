"""Whisper's encoder as ONNX: read from its format, equal to the same network in PyTorch."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from bonafide.errors import InvalidInput
from bonafide.networks import runtime
from bonafide.networks.whisper import FRAMES, POSITIONS
from bonafide.train.speech_networks import read_weights, write_encoder, write_vad

WIDTH = 128


def weights() -> dict[str, np.ndarray]:
    """Random weights of a small encoder with two blocks."""
    random = np.random.default_rng(0)

    def of(*shape: int) -> np.ndarray:
        return random.normal(0, 0.06, shape).astype(np.float16)

    found = {
        "encoder/conv1/weight": of(WIDTH, 80, 3),
        "encoder/conv1/bias": of(WIDTH),
        "encoder/conv2/weight": of(WIDTH, WIDTH, 3),
        "encoder/conv2/bias": of(WIDTH),
        "encoder/position_encodings/encodings": of(1500, WIDTH),
    }
    for block in range(2):
        base = f"encoder/layer_{block}"
        for part, first in (("self_attention", 3), ("ffn", 4)):
            found[f"{base}/{part}/layer_norm/gamma"] = 1 + of(WIDTH)
            found[f"{base}/{part}/layer_norm/beta"] = of(WIDTH)
            wide = (4 if part == "ffn" else 1) * WIDTH
            found[f"{base}/{part}/linear_0/weight"] = of(first * WIDTH, WIDTH)
            found[f"{base}/{part}/linear_0/bias"] = of(first * WIDTH)
            found[f"{base}/{part}/linear_1/weight"] = of(WIDTH, wide)
            found[f"{base}/{part}/linear_1/bias"] = of(WIDTH)
    return found


def packed(arrays: dict[str, np.ndarray]) -> bytes:
    def text(word: str) -> bytes:
        return struct.pack("<H", len(word) + 1) + word.encode() + b"\0"

    body = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, len(arrays))
    for name, values in arrays.items():
        body += text(name) + struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)
        body += struct.pack("<BI", 4, values.nbytes) + values.tobytes()
    return body


def by_torch(arrays: dict[str, np.ndarray], spectrum: np.ndarray) -> np.ndarray:
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    w = {name.removeprefix("encoder/"): torch.from_numpy(values.astype(np.float32))
         for name, values in arrays.items()}  # fmt: skip
    x = F.gelu(F.conv1d(torch.from_numpy(spectrum), w["conv1/weight"], w["conv1/bias"], padding=1))
    x = F.gelu(F.conv1d(x, w["conv2/weight"], w["conv2/bias"], stride=2, padding=1))
    x = x.transpose(1, 2) + w["position_encodings/encodings"][:POSITIONS]
    for block in range(2):
        for part in ("self_attention", "ffn"):
            base = f"layer_{block}/{part}"
            scale, shift = w[f"{base}/layer_norm/gamma"], w[f"{base}/layer_norm/beta"]
            y = F.layer_norm(x, (WIDTH,), scale, shift)
            y = F.linear(y, w[f"{base}/linear_0/weight"], w[f"{base}/linear_0/bias"])
            if part == "ffn":
                y = F.gelu(y)
            else:
                q, k, v = (one.reshape(len(x), POSITIONS, 2, 64).transpose(1, 2)
                           for one in y.split(WIDTH, -1))  # fmt: skip
                y = F.scaled_dot_product_attention(q, k, v)
                y = y.transpose(1, 2).reshape(x.shape)
            x = x + F.linear(y, w[f"{base}/linear_1/weight"], w[f"{base}/linear_1/bias"])
    return x.numpy()


def test_the_encoder_equals_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = weights()
    source = tmp_path / "model.bin"
    source.write_bytes(packed(arrays))
    assert write_encoder([source], tmp_path, "small_encoder", 2).name == "small_encoder-1.onnx"
    monkeypatch.setenv("BONAFIDE_WEIGHTS", str(tmp_path))
    spectrum = np.random.default_rng(1).normal(0, 1, (2, 80, FRAMES)).astype(np.float32)
    found = runtime.session("small_encoder").run(spectrum=spectrum)
    assert found["layer2"].shape == (2, POSITIONS, WIDTH)
    wanted = by_torch(arrays, spectrum)
    assert np.corrcoef(found["layer2"].ravel(), wanted.ravel())[0, 1] > 0.999
    assert np.abs(found["layer2"] - wanted).max() < 0.05 * np.abs(wanted).max()


def test_parts_are_joined_and_other_files_refused(tmp_path: Path) -> None:
    whole = packed(weights())
    parts = [tmp_path / "part1", tmp_path / "part2"]
    parts[0].write_bytes(whole[:1000])
    parts[1].write_bytes(whole[1000:])
    assert set(read_weights(parts)) == set(weights())
    for wrong in (whole[:1000], b"PK\x03\x04" + bytes(99), b""):
        parts[0].write_bytes(wrong)
        with pytest.raises(InvalidInput, match="CTranslate2"):
            read_weights(parts[:1])
    with pytest.raises(InvalidInput, match="is n"):
        write_vad(parts[0], tmp_path)
