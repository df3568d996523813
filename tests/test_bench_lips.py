"""The lips' benchmark: what it makes of the judge's words, and what it says when the judge is absent."""

import numpy as np
import pytest

from bench import lips


def test_without_the_judge_the_measurement_is_skipped_and_says_why(monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("JUDGE_PYTHON", raising=False)
    monkeypatch.setattr("sys.argv", ["lips", "real", "-o", str(tmp_path)])
    lips.main()
    said = capsys.readouterr().out
    assert said.startswith("Skipped: ")
    assert "mouth_judge" in said or "JUDGE_PYTHON" in said


@pytest.mark.parametrize("lag", ["-1", "0", "12"])
def test_the_judges_words_are_read_as_numbers(lag):
    words = f"opening r=0.621 at lag {lag} (lag 0: -0.599); spread out/real = 0.86; rates 22.30 and 22.25\n"
    assert lips.judged(words) == (0.621, float(lag), -0.599, 0.86)


def test_other_words_of_the_judge_are_an_error_and_no_figure():
    with pytest.raises(ValueError, match="nonsense"):
        lips.judged("nonsense")


def test_every_posed_mouth_lies_in_the_range_of_the_ear():
    shapes = np.array(list(lips.SHAPES.values()))
    assert shapes.shape == (8, 5)
    assert shapes[:, [0, 1, 3, 4]].min() >= 0
    assert np.abs(shapes).max() <= 1.2
