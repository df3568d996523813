import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsync_core.audio.gate import close_mel, speech_gate
from lipsync_core.audio.mel import mel_spectrogram

RATE = 16000
WORDS = [(0.5, 1.2), (2.0, 2.6), (3.4, 4.1)]  # s, where somebody speaks
PAUSES = [(0.0, 0.35), (1.5, 1.85), (2.9, 3.25), (4.4, 5.0)]  # s, well inside silence


def vowel(seconds, hertz=140.0):
    """A buzz with formants, as loud as speech, that fades in and out."""
    time = np.arange(round(seconds * RATE)) / RATE
    sound = sum(
        np.exp(-(((k * hertz - formant) / 150) ** 2)) * np.sin(2 * np.pi * k * hertz * time)
        for formant in (500, 1500, 2500)
        for k in range(1, 30)
    )
    return 0.15 * sound * np.minimum(1, np.minimum(time, seconds - time) * 30)


def hiss(seconds, level=0.02, seed=1):
    """An unvoiced consonant: noise above 4 kHz only."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(0, 1, round(seconds * RATE)))
    spectrum[: len(spectrum) // 2] = 0
    return level * np.fft.irfft(spectrum, round(seconds * RATE))


def talk(seconds=5.0, words=WORDS):
    sound = np.zeros(round(seconds * RATE))
    for start, end in words:
        piece = vowel(end - start)
        sound[round(start * RATE) : round(start * RATE) + len(piece)] += piece
    return sound


def gate_of(sound, **options):
    return speech_gate(mel_spectrogram(sound.astype(np.float32)), **options)


def part(gate, start, end):
    return gate[round(start * 80) : round(end * 80)]


def background(kind, seconds=5.0):
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(0).normal(0, 1, len(time))
    return {
        "digital silence": 0 * time,
        "dither": 1e-5 * noise,
        "room noise": 0.003 * noise,
        "loud noise": 0.01 * noise,
        "hum": 0.05 * np.sin(2 * np.pi * 50 * time) + 0.02 * np.sin(2 * np.pi * 150 * time),
        "rumble": 0.02 * np.convolve(noise, np.ones(40) / 40, "same"),
    }[kind]


@pytest.mark.parametrize("kind", ["digital silence", "dither", "room noise", "loud noise", "hum", "rumble"])
def test_the_gate_opens_for_words_and_closes_between_them(kind):
    gate = gate_of(talk() + background(kind))
    assert gate.dtype == np.float32
    assert all((part(gate, start, end) == 1).all() for start, end in WORDS)
    assert all((part(gate, start, end) == 0).all() for start, end in PAUSES)


@pytest.mark.parametrize("kind", ["digital silence", "dither", "room noise", "loud noise", "hum", "rumble"])
def test_it_stays_closed_where_nobody_ever_speaks(kind):
    assert gate_of(background(kind)).max() == 0


@pytest.mark.parametrize("kind", ["room noise", "hum"])
def test_an_unvoiced_consonant_is_speech(kind):
    sound = talk() + background(kind)
    sound[round(2.6 * RATE) : round(2.75 * RATE)] += hiss(0.15)
    assert (part(gate_of(sound), 2.6, 2.74) == 1).all()


def test_a_word_that_fades_keeps_its_end():
    sound = talk() + background("room noise")
    fading = vowel(0.8) * np.logspace(0, -1.5, round(0.8 * RATE))  # 30 dB down over its length
    sound[round(2.0 * RATE) : round(2.8 * RATE)] = fading
    assert (part(gate_of(sound), 2.0, 2.6) == 1).all()


def test_a_quiet_speaker_is_heard_like_a_loud_one():
    loud, quiet = gate_of(talk()), gate_of(0.02 * talk())
    assert np.abs(loud - quiet).mean() < 0.03


def test_a_long_note_without_pauses_is_not_taken_for_noise():
    sound = np.concatenate([np.zeros(RATE), vowel(12.0), np.zeros(RATE)])
    assert (part(gate_of(sound), 1.1, 12.9) == 1).all()


def test_noise_that_grows_is_followed():
    noise = np.random.default_rng(0).normal(0, 1, 30 * RATE) * np.logspace(-3.3, -2, 30 * RATE)
    words = [(start + 5.0 * k, end + 5.0 * k) for k in range(6) for start, end in WORDS]
    gate = gate_of(talk(30.0, words) + noise)
    assert np.mean([part(gate, start, end).mean() for start, end in words]) > 0.99
    pauses = [(start + 5.0 * k, end + 5.0 * k) for k in range(6) for start, end in PAUSES[1:3]]
    assert np.mean([part(gate, start, end).mean() for start, end in pauses]) < 0.05


def test_it_opens_before_the_word_and_closes_after_it():
    gate = gate_of(talk(words=[(2.0, 2.6)]), attack_ms=100, release_ms=300)
    opening, closing = part(gate, 1.8, 2.0), part(gate, 2.65, 3.0)
    assert (np.diff(opening) >= 0).all()
    assert (np.diff(closing) <= 0).all()
    open_at = [np.argmax(gate > level) / 80 for level in (0.01, 0.99)]
    shut_at = [(len(gate) - np.argmax(gate[::-1] > level)) / 80 for level in (0.99, 0.01)]
    assert open_at[1] - open_at[0] == pytest.approx(0.1, abs=0.03)
    assert open_at[1] <= 2.0
    assert shut_at[1] - shut_at[0] == pytest.approx(0.3, abs=0.03)


def test_without_ramps_it_is_open_or_closed():
    assert set(np.unique(gate_of(talk(), attack_ms=0, release_ms=0))) == {0, 1}


def test_a_short_gap_within_a_word_does_not_close_the_mouth():
    words = [(1.0, 1.5), (1.6, 2.0)]
    assert (part(gate_of(talk(words=words)), 1.0, 2.0) == 1).all()


def test_a_higher_threshold_opens_less():
    sound = talk() + background("room noise")
    shares = [gate_of(sound, threshold_db=level).mean() for level in (3, 10, 30)]
    assert shares[0] >= shares[1] > shares[2]


def test_no_sound_at_all_gives_no_gate():
    assert speech_gate(np.zeros((80, 0), np.float32)).shape == (0,)


def test_one_column_of_silence_is_closed():
    assert speech_gate(np.full((80, 1), -4, np.float32)).tolist() == [0]


def test_something_else_than_a_mel_is_our_bug():
    with pytest.raises(ValueError, match="mel must be"):
        speech_gate(np.zeros((40, 10), np.float32))


def test_a_closed_mel_is_silence_and_an_open_one_is_untouched():
    mel = np.random.default_rng(0).uniform(-4, 4, (80, 3)).astype(np.float32)
    closed = close_mel(mel, np.array([0, 0.5, 1], np.float32))
    assert (closed[:, 0] == -4).all()
    np.testing.assert_allclose(closed[:, 1], (mel[:, 1] - 4) / 2, atol=1e-6)
    np.testing.assert_allclose(closed[:, 2], mel[:, 2], atol=1e-6)
    assert closed.dtype == np.float32


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 200), st.integers(0, 2**32 - 1), st.floats(0, 40), st.floats(0, 500), st.floats(0, 2000))
def test_whatever_is_heard_the_gate_lies_between_closed_and_open(columns, seed, threshold, attack, release):
    mel = np.random.default_rng(seed).uniform(-4, 4, (80, columns)).astype(np.float32)
    gate = speech_gate(mel, threshold, attack, release)
    assert gate.shape == (columns,)
    assert np.isfinite(gate).all()
    assert gate.min() >= 0
    assert gate.max() <= 1
