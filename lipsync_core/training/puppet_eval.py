"""Examine the puppet's ear: `python -m lipsync_core.training.puppet_eval [--real CURVES.npz ...]`.

(a) On synthetic speech of voices and sentences that were kept out of training: does the opening follow the published
targets, do the lips meet at /p b m/, open wide at /a/, and stay shut in pauses? (b) Against openings measured on real
videos: an npz for each with `times` (T,) s, `rows` (T, 2) (opening over the distance between the eyes, width), and
`wave` (float32, 16 kHz).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile

from ..audio.mel import mel_spectrogram
from ..engines.puppet_ear import hear, load_ear, shapes_at
from ..networks.mouth_shape import MOUTH_SHAPE, MouthShapeNet
from ..timing import MEL_COLUMNS_PER_SECOND, SAMPLE_RATE
from ..types import Float
from . import puppet_text
from .puppet_data import HELD_OUT_ESPEAK, HELD_OUT_FLITE, loudness_of
from .puppet_phonemes import BILABIALS, OPEN_VOWELS
from .puppet_targets import mouth_targets
from .puppet_voices import Phone, Utterance, espeak, flite

_SEED = 90210  # of the sentences; training counts from 1
_FRAME = 0.02  # s, one frame at 50 fps
_JUDGE_RATE = 25.0
_OPENING, _CLOSURE = MOUTH_SHAPE.index("opening"), MOUTH_SHAPE.index("closure")
# Written for the examination alone; no word list of training holds these sentences.
_SENTENCES = (
    "Bob put my map on the lamp. A big bear may jump over a pile of apples, perhaps, but I am calm.",
    "Mama and Papa park the car far from the palm. The last member of the band came back by bus.",
    "Please remember me when you pass the old mill above the pond. We may be happy there, or we may not be.",
)


@dataclass(frozen=True)
class Marks:
    """Of one clip. r: of opening and target. lips_shut, vowels_open, pauses_shut: shares in [0, 1]; NaN where none."""

    name: str
    r: float
    lips_shut: float
    vowels_open: float
    pauses_shut: float


def heldout_utterances() -> Iterator[tuple[str, Utterance]]:
    """(name, utterance) of each voice kept out of training, some 20 s each."""
    random = Random(_SEED)
    for voice in HELD_OUT_ESPEAK:
        language = voice.split("+")[0]
        text = " ".join(_SENTENCES) if language.startswith("en") else puppet_text.sentences(random, language, 45)
        spoken = espeak().say(text, voice, 150)
        if spoken is not None:
            yield f"espeak_{voice.replace('+', '_')}", spoken
    talker = flite()
    for name in HELD_OUT_FLITE if talker is not None else ():
        assert talker is not None
        yield f"flite_{name}", talker.say(" ".join(_SENTENCES), name)


def target_of(spoken: Utterance) -> Float:
    """(M, 5) the published target curves of an utterance, at 80 Hz."""
    mel = mel_spectrogram(spoken.waveform)
    return mouth_targets(spoken.phones, mel.shape[1], loudness_of(mel))


def heldout_clips(folder: Path) -> list[Path]:
    """Write the held-out speech into `folder`: NAME.wav (16 kHz mono), and NAME.json with `targets` (M rows of
    MOUTH_SHAPE at 80 Hz) and `phones` (sign, start, end, release, stress). Returns the WAV files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, spoken in heldout_utterances():
        path = folder / f"{name}.wav"
        wavfile.write(path, SAMPLE_RATE, (spoken.waveform * 32767).clip(-32768, 32767).astype(np.int16))
        facts = {"targets": target_of(spoken).round(4).tolist(), "phones": [asdict(p) for p in spoken.phones]}
        path.with_suffix(".json").write_text(json.dumps(facts), "utf-8")
        written.append(path)
    return written


def write_fixture(path: Path) -> None:
    """The first held-out sentence as the tests want it: mel, target opening, times of /p b m/ and open vowels."""
    spoken = espeak().say(_SENTENCES[0], HELD_OUT_ESPEAK[0], 150)
    assert spoken is not None
    lips, wide = (
        np.array([(p.start, p.end) for p in spoken.phones if p.sign in signs], np.float32)
        for signs in (BILABIALS, OPEN_VOWELS)
    )
    mel = mel_spectrogram(spoken.waveform).astype(np.float16)
    target = target_of(spoken)[:, _OPENING].astype(np.float16)
    np.savez_compressed(path, mel=mel, target=target, lips=lips, open=wide)


def gap_of(shapes: Float) -> Float:
    """(N, 5) shapes -> (N,) the gap that is drawn: the opening, forced shut as the closure nears 1."""
    gap: Float = shapes[:, _OPENING] * (1 - np.clip((shapes[:, _CLOSURE] - 0.4) / 0.4, 0, 1))
    return gap


def marks_of(name: str, gap: Float, times: NDArray[np.float64], target: Float, phones: Sequence[Phone]) -> Marks:
    """gap: (N,) opening of frames at times (N,) s, in any unit, from a curve or a video. target: (M,) at 80 Hz."""
    wanted = np.interp(times, np.arange(len(target)) / MEL_COLUMNS_PER_SECOND, target)
    wide = float(np.percentile(gap, 90))

    def extremes(signs: frozenset[str], margin: float) -> list[NDArray[np.float32]]:
        spans = [(p.start - margin, p.end + margin) for p in phones if p.sign in signs and p.end - p.start > 0.015]
        rows = [gap[(times >= low - 1e-9) & (times <= high + 1e-9)] for low, high in spans]
        return [row for row in rows if len(row)]

    shut = [bool(row.min() < wide / 4) for row in extremes(BILABIALS, _FRAME)]
    wide_open = [bool(row.max() > wide / 2) for row in extremes(OPEN_VOWELS, 0.0)]
    pauses = [p for p in phones if not p.sign and p.end - p.start > 0.3]
    closed = [gap[(times > p.start + 0.12) & (times < p.end - 0.12)] for p in pauses]
    quiet = np.concatenate([np.zeros(0, np.float32), *closed])
    return Marks(name, _r(gap, wanted), _mean(shut), _mean(wide_open), _mean(quiet < wide / 4))


def examine(network: MouthShapeNet, fps: float = 50.0) -> list[Marks]:
    """(a): the marks of each held-out voice, on curves sampled at `fps`."""
    marks = []
    for name, spoken in heldout_utterances():
        mel = mel_spectrogram(spoken.waveform)
        times = np.arange(int(len(spoken.waveform) / SAMPLE_RATE * fps)) / fps
        gap = gap_of(shapes_at(hear(network, mel), times))
        marks.append(marks_of(name, gap, times, target_of(spoken)[:, _OPENING], spoken.phones))
    return marks


def against_real(network: MouthShapeNet, path: Path) -> tuple[float, float, int, float]:
    """(b): (r at lag 0, best r, its lag in frames of 25 Hz, spread over the real one's), by mouth_judge's rules.

    A positive lag means that the puppet comes late.
    """
    with np.load(path) as real:
        times, opening, wave = real["times"], real["rows"][:, 0], real["wave"]
    seen = ~np.isnan(opening)
    clock = np.arange(0, min(times[-1], len(wave) / SAMPLE_RATE), 1 / _JUDGE_RATE)
    lips = np.interp(clock, times[seen], opening[seen])
    gap = gap_of(shapes_at(hear(network, mel_spectrogram(wave)), clock))
    lags = {lag: _r(*_lagged(gap, lips, lag)) for lag in range(-6, 7)}
    best = max(lags, key=lambda lag: lags[lag])
    return lags[0], lags[best], best, float(0.35 * gap.std() / lips.std())


def _lagged(a: Float, b: NDArray[np.float64], lag: int) -> tuple[Float, NDArray[np.float64]]:
    return (a[lag:], b[: len(b) - lag]) if lag >= 0 else (a[:lag], b[-lag:])


def _r(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def _mean(values: Sequence[bool] | NDArray[np.bool_]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description="Examine the puppet's ear.")
    parser.add_argument("--weights", type=Path, default=Path("models/puppet.safetensors"))
    parser.add_argument("--real", type=Path, nargs="*", default=[], help="npz files with times, rows and wave")
    parser.add_argument("--clips", type=Path, help="write the held-out speech and its targets into this folder")
    parser.add_argument("--fixture", type=Path, help="write the small fixture of the tests")
    given = parser.parse_args()
    if given.fixture:
        write_fixture(given.fixture)
    if given.clips:
        print("\n".join(str(path) for path in heldout_clips(given.clips)))
    network = load_ear(given.weights)
    print(f"{'voice':28} {'r':>6} {'lips shut':>10} {'vowels open':>12} {'pauses shut':>12}")
    for m in examine(network):
        print(f"{m.name:28} {m.r:6.3f} {m.lips_shut:10.2f} {m.vowels_open:12.2f} {m.pauses_shut:12.2f}")
    scores = [against_real(network, path) for path in given.real]
    for path, (now, best, lag, spread) in zip(given.real, scores, strict=True):
        print(f"{path.stem:28} r {now:6.3f}, best {best:6.3f} at lag {lag:+d}; spread {spread:.2f} of the real one")
    if scores:
        print(f"mean r at lag 0: {np.mean([score[0] for score in scores]):.3f}")


if __name__ == "__main__":
    main()
