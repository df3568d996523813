from fractions import Fraction

import pytest

from lipsync_core.errors import OutputError
from lipsync_core.video import encoders
from lipsync_core.video.encoders import Encoding, choose_encoder


def test_another_h264_encoder_takes_over_with_a_note(monkeypatch):
    monkeypatch.setattr(encoders, "_opens", lambda codec: codec == "libopenh264")
    chosen = choose_encoder(Encoding(crf=23), ".mp4", Fraction(1_000_000))
    assert chosen.codec == "libopenh264"
    assert chosen.bit_rate == 100_000
    assert "libx264 is not available" in chosen.note


def test_no_encoder_at_all_is_an_output_error(monkeypatch):
    monkeypatch.setattr(encoders, "_opens", lambda codec: False)
    with pytest.raises(OutputError, match=r"no encoder for \.webm"):
        choose_encoder(Encoding(), ".webm", Fraction(1))


def test_an_encoder_that_is_not_built_in_or_has_no_hardware_does_not_open():
    assert not encoders._opens("no_such_codec")
    assert encoders._opens("libx264")
    assert encoders._opens("mpeg4")
