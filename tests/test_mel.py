import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsync_core.audio import mel
from lipsync_core.audio.mel import MelStream, mel_spectrogram

GOLDEN = json.loads((Path(__file__).parent / "golden" / "mel.json").read_text(encoding="utf-8"))


def tone(seconds, hertz, amplitude=0.5):
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(int(seconds * 16000)) / 16000)).astype(np.float32)


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def figures(mel):
    flat = mel.astype(np.float64).ravel()
    weights = np.random.RandomState(7).standard_normal(flat.size)  # the projection that the fixture was made with
    return {
        "shape": list(mel.shape),
        "mean": flat.mean(),
        "std": flat.std(ddof=1),
        "l2": np.linalg.norm(flat),
        "head": flat[:4],
        "tail": flat[-4:],
        "proj": flat @ weights / np.sqrt(flat.size),
    }


def assert_golden(mel, golden):
    for figure, value in figures(mel).items():
        expected = np.asarray(golden[figure], np.float64)
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4 * golden["std"], err_msg=figure)


@pytest.mark.parametrize("key", GOLDEN)
def test_the_published_spectrogram_is_reproduced(key):
    assert_golden(mel_spectrogram(tone(3, 220) + tone(3, 1330, 0.25)), GOLDEN[key])


def test_a_wrong_pre_emphasis_does_not_pass_for_the_published_one(monkeypatch):
    monkeypatch.setattr("lipsync_core.audio.mel.PRE_EMPHASIS", 0.96)
    (golden,) = GOLDEN.values()
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_golden(mel_spectrogram(tone(3, 220) + tone(3, 1330, 0.25)), golden)


def test_digital_silence_is_exactly_minus_four():
    assert (mel_spectrogram(np.zeros(16000, np.float32)) == -4).all()


def test_eighty_columns_a_second():
    assert mel_spectrogram(noise(16000)).shape == (80, 81)


def test_no_sample_at_all_gives_one_silent_column():
    mel = mel_spectrogram(np.zeros(0, np.float32))
    assert mel.shape == (80, 1)
    assert (mel == -4).all()


def test_what_is_no_number_counts_as_silence():
    broken = noise(8000)
    mended = broken.copy()
    broken[[5, 900, 901]] = [np.nan, np.inf, -np.inf]
    mended[[5, 900, 901]] = 0
    assert np.array_equal(mel_spectrogram(broken), mel_spectrogram(mended))


def test_a_click_lies_in_the_columns_around_its_own_time():
    waveform = np.zeros(16000, np.float32)
    waveform[8000] = 1
    (heard,) = np.nonzero(mel_spectrogram(waveform).max(axis=0) > -4)
    assert set(heard) == {39, 40, 41}  # sample 8000 / 200, and the neighbours whose windows hold it


def test_a_low_tone_lights_a_lower_band_than_a_high_one():
    low, high = (mel_spectrogram(tone(0.5, hertz))[:, 20].argmax() for hertz in (300, 3000))
    assert low < high


def test_a_stereo_array_is_refused():
    with pytest.raises(ValueError, match="must be"):
        mel_spectrogram(np.zeros((2, 100), np.float32))


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 5000), min_size=1, max_size=8))
def test_a_stream_gives_the_same_columns_however_it_is_cut(sizes):
    waveform = noise(sum(sizes))
    stream = MelStream()
    pieces = [stream.push(part) for part in np.split(waveform, np.cumsum(sizes)[:-1])]
    mel = np.concatenate([*pieces, stream.finish()], axis=1)
    np.testing.assert_allclose(mel, mel_spectrogram(waveform), atol=1e-6)


def test_a_stream_forgets_what_it_has_turned_into_columns():
    stream = MelStream()
    for _ in range(50):
        stream.push(noise(16000))
    assert len(stream._pending) < 1000


def test_the_kept_filter_bank_is_librosas():
    from librosa.filters import mel as made_by_librosa

    bank = made_by_librosa(sr=16000, n_fft=800, n_mels=80, fmin=55.0, fmax=7600.0, htk=False, norm="slaney")
    assert np.array_equal(mel._filter_bank(), bank)


def test_to_hear_needs_neither_librosa_nor_numba():
    script = (
        "import sys, numpy as np\n"
        "from lipsync_core.audio.mel import mel_spectrogram\n"
        "mel_spectrogram(np.zeros(1600, np.float32))\n"
        "print([name for name in ('librosa', 'numba', 'llvmlite') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
