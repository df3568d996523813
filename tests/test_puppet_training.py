"""How the puppet's ear is taught: phoneme targets, synthetic speech, augmentation, one lesson."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from lipsync_core.engines.puppet_ear import hear, load_ear
from lipsync_core.networks.mouth_shape import MOUTH_SHAPE, MouthShapeConfig
from lipsync_core.training import puppet_text
from lipsync_core.training.puppet_augment import Augment, Batch
from lipsync_core.training.puppet_data import HELD_OUT_ESPEAK, VARIANTS, Stream, build, load, stream_of
from lipsync_core.training.puppet_eval import gap_of, heldout_clips, marks_of
from lipsync_core.training.puppet_phonemes import ARPABET, KINDS, POSTURES, split_phoneme
from lipsync_core.training.puppet_targets import kinds_of, mouth_targets
from lipsync_core.training.puppet_train import Lesson, save, teach
from lipsync_core.training.puppet_voices import Phone, espeak

JAW, OPENING, WIDTH, ROUNDING, CLOSURE = range(5)


def said(*sounds: tuple[str, float]) -> tuple[Phone, ...]:
    phones, clock = [], 0.0
    for sign, length in sounds:
        phones.append(Phone(sign, clock, clock + length, clock + length))
        clock += length
    return tuple(phones)


def columns(start: float, end: float) -> slice:
    return slice(round(80 * start), round(80 * end) + 1)


def test_the_lips_meet_within_every_bilabial_and_open_beside_it() -> None:
    curve = mouth_targets(said(("", 0.3), ("m", 0.08), ("a", 0.2), ("b", 0.06), ("a", 0.2), ("", 0.3)), 92)
    for start, end in ((0.3, 0.38), (0.58, 0.64)):
        assert curve[columns(start, end), OPENING].min() < 0.02
        assert curve[columns(start, end), CLOSURE].max() > 0.98
    assert curve[columns(0.4, 0.55), OPENING].max() > 0.6


def test_pauses_are_shut_and_the_mouth_opens_before_the_sound() -> None:
    curve = mouth_targets(said(("", 0.5), ("a", 0.3), ("", 0.5)), 105)
    assert curve[columns(0.0, 0.3), OPENING].max() < 0.05
    assert curve[columns(1.05, 1.3), OPENING].max() < 0.05
    assert curve[columns(0.48, 0.5), OPENING].max() > 0.15


def test_vowels_open_in_the_order_of_their_height() -> None:
    widest = [mouth_targets(said(("t", 0.1), (v, 0.25), ("t", 0.1)), 36)[:, OPENING].max() for v in "uieɛa"]
    assert widest == sorted(widest)
    assert widest[-1] > 2 * widest[0]


def test_short_vowels_are_undershot() -> None:
    long, short = (mouth_targets(said(("t", n), ("a", n), ("t", n)), 40)[:, OPENING].max() for n in (0.15, 0.05))
    assert short < 0.9 * long


def test_u_rounds_the_lips_and_i_spreads_them() -> None:
    u, i = (mouth_targets(said(("t", 0.1), (v, 0.3), ("t", 0.1)), 40)[20] for v in "ui")
    assert u[ROUNDING] > 0.6 > 0.2 > i[ROUNDING]
    assert u[WIDTH] < -0.2
    assert i[WIDTH] > 0.4


def test_a_loud_voice_opens_further_than_a_soft_one() -> None:
    phones = said(("a", 0.5))
    soft, loud = (mouth_targets(phones, 40, np.full(40, v, np.float32))[20, OPENING] for v in (-1, 1))
    assert loud > 1.3 * soft


def test_every_kind_of_sound_has_a_posture_in_range() -> None:
    for posture in POSTURES.values():
        assert posture.kind in KINDS
        assert -1 <= posture.width <= 1
        assert all(0 <= v <= 1 for v in (posture.jaw, posture.opening, posture.rounding, posture.closure))


def test_flites_phones_are_all_known() -> None:
    assert all(split_phoneme(ipa) for name, ipa in ARPABET.items() if name != "pau")


def test_a_diphthong_is_two_sounds_and_length_counts() -> None:
    (first, a), (second, b) = split_phoneme("aʊ")
    assert (first, second) == ("a", "ʊ")
    assert a > b
    assert a + b == pytest.approx(1)
    assert split_phoneme("ɔːɹ")[0][1] > split_phoneme("ɔɹ")[0][1]
    assert split_phoneme("̩ʲ") == []


def test_no_voice_of_the_examination_is_heard_in_training() -> None:
    assert not {voice.split("+")[1] for voice in HELD_OUT_ESPEAK} & set(VARIANTS)


def test_kinds_name_the_sound_of_each_column() -> None:
    kinds = kinds_of(said(("", 0.1), ("m", 0.1), ("a", 0.1)), 24)
    assert [KINDS[k] for k in kinds[[2, 12, 20]]] == ["pause", "lips", "open"]


def test_marks_tell_a_good_mouth_from_one_that_never_closes() -> None:
    phones = said(("", 0.5), ("a", 0.2), ("b", 0.1), ("a", 0.2), ("", 0.5))
    target = mouth_targets(phones, 121)
    times = np.arange(70) / 50
    good = np.interp(times, np.arange(121) / 80, gap_of(target))
    marks = marks_of("good", good, times, target[:, OPENING], phones)
    assert marks.r > 0.95
    assert (marks.lips_shut, marks.vowels_open, marks.pauses_shut) == (1, 1, 1)
    lazy = marks_of("lazy", good + 1, times, target[:, OPENING], phones)
    assert (lazy.lips_shut, lazy.pauses_shut) == (0, 0)


def a_batch(rows: int = 6, length: int = 160) -> Batch:
    rng = np.random.default_rng(3)
    mel = torch.from_numpy(rng.uniform(-4, 2, (rows, 80, length)).astype(np.float32))
    targets = torch.from_numpy(rng.uniform(0.1, 1, (rows, 5, length)).astype(np.float32))
    return Batch(mel, targets, torch.ones(rows, length, dtype=torch.long))


def test_augmentation_keeps_the_form_and_range_of_mel_and_repeats_for_a_seed() -> None:
    batch = a_batch(40)
    out, again = (Augment(1.0, seed=5)(batch) for _ in range(2))
    assert out.mel.shape == batch.mel.shape
    assert torch.isfinite(out.mel).all()
    assert out.mel.min() >= -4
    assert out.mel.max() <= 4
    assert torch.equal(out.mel, again.mel)
    assert (out.mel - batch.mel).abs().mean() > 0.1


def test_rows_without_a_voice_are_to_be_heard_as_silence() -> None:
    batch = a_batch(200, 40)
    out = Augment(1.0, seed=5)(batch)
    silenced = out.targets.amax((1, 2)) == 0
    assert 0 < silenced.sum() < 30
    assert (out.kinds[silenced] == 0).all()
    assert torch.equal(out.targets[~silenced], batch.targets[~silenced])


def test_no_strength_is_no_change() -> None:
    batch = a_batch()
    assert Augment(0.0, seed=1)(batch) is batch


def test_sentences_repeat_for_a_seed_and_fit_their_script() -> None:
    for language in ("en-us", "de", "cmn-latn-pinyin", "fi", "ru", "ja", "ko", "hi", "el"):
        one, two = (puppet_text.sentences(Random(4), language, 12) for _ in range(2))
        assert one == two
        assert len(one.split()) >= 12
    assert not puppet_text.sentences(Random(4), "ru", 12).isascii()


def a_stream(seed: int) -> Stream:
    """Made-up speech whose bands betray its sounds: loud low bands for /a/, middle ones for /i/, nothing for /m/."""
    rng = np.random.default_rng(seed)
    phones = said(*((str(rng.choice(["a", "i", "m", "", "t"])), float(rng.uniform(0.08, 0.25))) for _ in range(60)))
    length = int(phones[-1].end * 80)
    mel = np.full((80, length), -3.9)
    bands = {"a": (10, 40), "i": (40, 70), "m": (0, 10), "t": (60, 80)}
    for phone in phones:
        if phone.sign:
            low, high = bands[phone.sign]
            mel[low:high, columns(phone.start, phone.end)] = 0.5
    return stream_of(mel.astype(np.float16), phones)


def test_a_short_lesson_teaches_what_the_sounds_betray(tmp_path: Path) -> None:
    lesson = Lesson(steps=40, batch=4, columns=120, rate=4e-3, strength=0.0)
    network = teach([a_stream(seed) for seed in range(4)], lesson, MouthShapeConfig(width=32, dilations=(1, 2)))
    save(network, tmp_path / "ear.safetensors", lesson)
    heard = hear(load_ear(tmp_path / "ear.safetensors"), a_stream(99).mel.astype(np.float32))
    wanted = a_stream(99).targets.astype(np.float32)
    assert np.corrcoef(heard[:, OPENING], wanted[:, OPENING])[0, 1] > 0.5
    assert len(MOUTH_SHAPE) == heard.shape[1]


@pytest.fixture(scope="module")
def a_talker() -> None:
    try:
        espeak()
    except OSError as error:
        pytest.skip(f"libespeak-ng is not installed: {error}")


@pytest.mark.usefixtures("a_talker")
def test_espeak_tells_what_it_said_and_when() -> None:
    spoken = espeak().say("Mama may buy a map.", "en-us")
    assert spoken is not None
    signs = [phone.sign for phone in spoken.phones]
    assert signs.count("m") == 4
    assert signs.count("b") == signs.count("p") == 1
    for before, after in zip(spoken.phones, spoken.phones[1:], strict=False):
        assert before.end == pytest.approx(after.start)
    silence = next(p for p in spoken.phones if p.sign == "p")
    hold = spoken.waveform[int(silence.start * 16000) + 160 : int(silence.release * 16000) - 160]
    assert np.abs(hold).max() < 0.05
    assert espeak().say("x", "no-such-voice") is None


@pytest.mark.usefixtures("a_talker")
def test_the_school_says_the_same_for_a_seed(tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        build(tmp_path / name, 0.005, seed=3)
    one, two = (load(tmp_path / name) for name in ("one.npz", "two.npz"))
    assert sum(stream.mel.shape[1] for stream in one) >= 0.005 * 3600 * 80
    for a, b in zip(one, two, strict=True):
        # espeak-ng breathes by a generator of its own, so the sound itself repeats in a new process only.
        np.testing.assert_array_equal(a.kinds, b.kinds)
        np.testing.assert_allclose(a.targets, b.targets, atol=0.2)
        assert a.mel.shape[1] == len(a.targets) == len(a.kinds)


@pytest.mark.usefixtures("a_talker")
def test_held_out_clips_come_with_their_targets_and_times(tmp_path: Path) -> None:
    written = heldout_clips(tmp_path)
    assert len(written) >= 6
    assert all(path.with_suffix(".json").stat().st_size > 1000 for path in written)
