import struct
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from lipsync_core.audio.condition import HighPass, Resampler, mono
from lipsync_core.audio.mel import mel_spectrogram
from lipsync_core.audio.read import listen, probe_audio, read_speech
from lipsync_core.errors import Cancelled, InputError
from lipsync_core.sound import _is_cover, open_track

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


def tone(seconds, rate=16000, hertz=220.0, amplitude=0.3):
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def click_at(second, rate, seconds=1.0):
    samples = np.zeros(round(seconds * rate), np.float32)
    start = round(second * rate)
    length = rate // 200
    samples[start : start + length] = 0.9 * np.hanning(length)
    return samples


def write_wav(path, samples, rate=16000):
    """Float samples, so that NaN and any size can be written. samples: (n,) or (n, channels)."""
    data = np.asarray(samples, "<f4")
    channels = 1 if data.ndim == 1 else data.shape[1]
    header = struct.pack("<IHHIIHH", 16, 3, channels, rate, rate * 4 * channels, 4 * channels, 32)
    body = b"WAVEfmt " + header + b"data" + struct.pack("<I", data.nbytes) + data.tobytes()
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def write_encoded(path, samples, rate, codec, video_start=None, sound_start=0.0):
    """A file with one sound track and, when video_start is given, a picture that begins then. Times in s."""
    with av.open(str(path), "w") as out:
        picture = None
        if video_start is not None:
            picture = out.add_stream("mpeg4", rate=25)
            picture.width = picture.height = 32
            picture.pix_fmt = "yuv420p"
        sound = out.add_stream(codec, rate=rate, layout="mono")
        if picture:
            for index in range(25):
                frame = av.VideoFrame(32, 32, "yuv420p")
                frame.pts, frame.time_base = index + round(video_start * 25), Fraction(1, 25)
                out.mux(picture.encode(frame))
            out.mux(picture.encode(None))
        kind = sound.codec_context.format.name
        resampler = av.AudioResampler(format=kind, layout="mono", rate=rate, frame_size=sound.frame_size or 1024)
        frame = av.AudioFrame.from_ndarray(samples[None], "fltp", "mono")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), round(sound_start * rate)
        for ready in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(sound.encode(ready))
        out.mux(sound.encode(None))
    return path


def heard(path, **options):
    reader = read_speech(path, **options)
    return np.concatenate([np.zeros(0, np.float32), *reader]), reader


def test_a_wav_at_16_khz_comes_through_as_it_is(tmp_path):
    samples, reader = heard(write_wav(tmp_path / "a.wav", tone(1)))
    assert reader.seconds == 1
    assert reader.notes == ()
    assert np.abs(samples - tone(1)).max() < 0.02  # the high-pass turns the phase of 220 Hz a little


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 22050, 44100, 48000, 96000, 192000, 384000])
def test_any_rate_keeps_time_and_pitch(tmp_path, rate):
    samples, reader = heard(write_wav(tmp_path / "a.wav", tone(1, rate), rate))
    assert abs(len(samples) - 16000) <= 1
    assert np.abs(samples[2000:-2000] - tone(1)[2000 : len(samples) - 2000]).max() < 0.02
    assert bool(reader.notes) == (rate < 8000)


def test_resampling_keeps_the_top_of_the_band_and_folds_nothing_down(tmp_path):
    kept, _ = heard(write_wav(tmp_path / "a.wav", tone(1, 48000, 7000), 48000))
    gone, _ = heard(write_wav(tmp_path / "b.wav", tone(1, 48000, 9000), 48000))
    assert kept[4000:-4000].std() > 0.2
    assert gone[4000:-4000].std() < 1e-3


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [("a.m4a", "aac", 44100), ("a.m4a", "aac", 16000), ("a.mp3", "libmp3lame", 44100), ("a.ogg", "libopus", 48000),
     ("a.flac", "flac", 22050), ("a.mka", "libopus", 48000)],
)  # fmt: skip
def test_encoder_delay_is_taken_off(tmp_path, name, codec, rate):
    samples, _ = heard(write_encoded(tmp_path / name, click_at(0.5, rate), rate, codec))
    centre = np.abs(samples).argmax() / 16000
    assert abs(centre - 0.5025) < 0.001


def test_the_padding_at_the_end_of_an_mp4_is_no_sound(tmp_path):
    _, reader = heard(write_encoded(tmp_path / "a.m4a", tone(2), 16000, "aac"))
    assert reader.seconds == 2


@pytest.mark.parametrize(("video", "sound", "click"), [(0, 1, 1.5), (1, 0, None), (0.4, 0.2, 0.3), (5, 5, 0.5)])
def test_sound_is_placed_against_the_start_of_the_picture(tmp_path, video, sound, click):
    path = write_encoded(tmp_path / "a.mkv", click_at(0.5, 48000), 48000, "flac", video, sound)
    if click is None:
        with pytest.raises(InputError, match="contains no samples"):
            heard(path)
        return
    samples, _ = heard(path)
    assert abs(np.abs(samples).argmax() / 16000 - click - 0.0025) < 0.0015  # mkv counts in milliseconds


def test_a_song_with_a_cover_keeps_its_own_time(tmp_path):
    path = tmp_path / "a.mp3"
    with av.open(str(path), "w") as out:
        cover = out.add_stream("png", rate=25)
        cover.width = cover.height = 16
        cover.pix_fmt = "rgb24"
        if hasattr(av.stream, "Disposition"):
            cover.disposition = av.stream.Disposition.attached_pic
        sound = out.add_stream("libmp3lame", rate=44100, layout="mono")
        out.mux(cover.encode(av.VideoFrame(16, 16, "rgb24")))
        out.mux(cover.encode(None))
        frame = av.AudioFrame.from_ndarray(click_at(0.5, 44100)[None], "fltp", "mono")
        frame.sample_rate, frame.pts = 44100, 0
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    samples, _ = heard(path)
    assert abs(np.abs(samples).argmax() / 16000 - 0.5025) < 0.001


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8, 16])
def test_the_mix_is_never_louder_than_a_channel(tmp_path, channels):
    path = write_wav(tmp_path / "a.wav", np.repeat(tone(0.5)[:, None], channels, 1))
    samples, _ = heard(path)
    assert abs(np.abs(samples).max() - 0.3) < 0.02


def test_the_centre_of_a_surround_mix_is_heard_most_and_the_bass_channel_not():
    layout = ("FL", "FR", "FC", "LFE", "SL", "SR")
    each = np.eye(6, dtype=np.float32)
    weights = [float(mono(each[:, [i]], layout)[0]) for i in range(6)]
    assert sum(weights) == pytest.approx(1)
    assert max(weights) == weights[2]
    assert weights[3] == 0


def test_a_lone_bass_channel_is_still_heard():
    assert mono(np.ones((3, 4), np.float32), ("LFE", "LFE2", "LFE")).tolist() == [1, 1, 1, 1]


def test_no_numbers_become_silence_with_a_note(tmp_path):
    sound = tone(1)
    sound[100:150] = np.nan
    sound[200] = np.inf
    samples, reader = heard(write_wav(tmp_path / "a.wav", sound))
    assert np.isfinite(samples).all()
    assert "51 samples" in reader.notes[0]


def test_too_many_no_numbers_are_an_error(tmp_path):
    sound = tone(1)
    sound[:800] = np.nan
    with pytest.raises(InputError, match=r"a\.wav: 5 % of its samples are no numbers"):
        heard(write_wav(tmp_path / "a.wav", sound))


def test_sound_far_too_loud_is_turned_down_evenly(tmp_path):
    samples, reader = heard(write_wav(tmp_path / "a.wav", tone(1, amplitude=30)))
    assert np.abs(samples).max() <= 1.05
    assert np.corrcoef(samples, tone(1))[0, 1] > 0.99
    assert "30.0 times too loud" in reader.notes[0]


def test_an_offset_is_removed_from_the_first_sample_on(tmp_path):
    samples, _ = heard(write_wav(tmp_path / "a.wav", 0.8 + tone(1, amplitude=0.1)))
    assert np.abs(samples).max() < 0.15
    assert abs(samples.mean()) < 0.01


def test_digital_silence_stays_exactly_silent(tmp_path):
    voice = listen(write_wav(tmp_path / "a.wav", np.zeros(44100), 44100))
    assert (voice.mel == -4).all()
    assert voice.seconds == 1


def test_only_the_asked_part_is_heard(tmp_path):
    path = write_wav(tmp_path / "a.wav", click_at(1.0, 16000, 3.0))
    samples, reader = heard(path, start=0.75, end=1.5)
    assert reader.seconds == Fraction(3, 4)
    assert abs(np.abs(samples).argmax() / 16000 - 0.2525) < 0.001


def test_a_start_behind_the_end_says_so(tmp_path):
    with pytest.raises(InputError, match=r"it is 1\.00 s long.*begins at 5\.00 s"):
        heard(write_wav(tmp_path / "a.wav", tone(1)), start=5)


def test_an_empty_wav_contains_no_samples(tmp_path):
    path = write_wav(tmp_path / "a.wav", np.zeros(0))
    for use in (heard, listen, probe_audio):
        with pytest.raises(InputError, match=r"a\.wav: the sound track contains no samples"):
            use(path)


def test_a_silent_film_has_no_sound_track(tmp_path):
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 32
        out.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        out.mux(stream.encode(None))
    with pytest.raises(InputError, match=r"film\.mp4: the file has no sound track"):
        listen(path)


def test_a_track_that_is_not_there_is_named(tmp_path):
    path = write_wav(tmp_path / "a.wav", tone(1))
    with pytest.raises(InputError, match="no sound track 1. It has 1"):
        listen(path, track=1)


def test_the_second_track_can_be_chosen(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        for track in [out.add_stream("flac", rate=16000, layout="mono") for _ in range(2)]:
            frame = av.AudioFrame.from_ndarray(np.full((1, 8000), 8000 * track.index, np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = 16000, 0
            out.mux(track.encode(frame))
            out.mux(track.encode(None))
    assert max(np.abs(piece.samples).max() for piece in open_track(path, 0).pieces()) == 0
    assert max(np.abs(piece.samples).max() for piece in open_track(path, 1).pieces()) > 0.2


def test_a_chained_ogg_is_heard_to_its_end(tmp_path):
    first = write_encoded(tmp_path / "1.ogg", click_at(0.5, 44100), 44100, "flac")
    second = write_encoded(tmp_path / "2.ogg", click_at(0.25, 16000), 16000, "flac")
    chained = tmp_path / "both.ogg"
    chained.write_bytes(first.read_bytes() + second.read_bytes())
    samples, reader = heard(chained)
    assert abs(float(reader.seconds) - 2) < 0.02
    assert abs(np.abs(samples[:16000]).argmax() / 16000 - 0.5025) < 0.01
    assert abs(1 + np.abs(samples[16000:]).argmax() / 16000 - 1.2525) < 0.01


def test_a_damaged_middle_is_left_out_with_a_note_and_time_goes_on(tmp_path):
    whole = write_encoded(tmp_path / "a.mp3", click_at(1.75, 44100, 2.0), 44100, "libmp3lame").read_bytes()
    half = len(whole) // 2
    noise = np.random.default_rng(3).bytes(3000)
    broken = tmp_path / "b.mp3"
    broken.write_bytes(whole[:half] + noise + whole[half:])
    samples, reader = heard(broken)
    assert any("damaged packets" in note for note in reader.notes)
    assert abs(np.abs(samples).argmax() / 16000 - 1.7525) < 0.1


def test_a_cut_mp4_says_how_much_is_missing(tmp_path):
    path = write_encoded(tmp_path / "a.mp4", tone(4, hertz=500), 16000, "aac")
    with (
        av.open(str(path)) as source,
        av.open(str(tmp_path / "fast.mp4"), "w", options={"movflags": "faststart"}) as out,
    ):
        stream = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    whole = (tmp_path / "fast.mp4").read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    _, reader = heard(path)
    assert any("breaks off" in note for note in reader.notes)


def test_a_cut_wav_says_how_much_is_missing_and_a_streamed_one_is_whole(tmp_path):
    whole = write_wav(tmp_path / "a.wav", tone(1)).read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[:-4000])
    (tmp_path / "stream.wav").write_bytes(whole[:40] + b"\xff" * 4 + whole[44:])
    assert "4000 bytes" in heard(tmp_path / "cut.wav")[1].notes[-1]
    assert heard(tmp_path / "stream.wav")[1].notes == ()


def test_sound_of_an_impossible_form_is_an_input_error(tmp_path):
    path = write_wav(tmp_path / "a.wav", np.zeros((10, 100)))
    with pytest.raises(InputError, match="100 channels"):
        listen(path)


@pytest.mark.parametrize(("codec", "frames", "cover"), [("png", 1, True), ("png", 50, False), ("h264", 1, False)])
def test_without_flags_a_lone_picture_counts_as_a_cover(codec, frames, cover):
    stream = SimpleNamespace(codec_context=SimpleNamespace(name=codec), frames=frames)
    assert _is_cover(stream) == cover


def test_listening_gives_the_mel_of_what_is_read(tmp_path):
    path = write_wav(tmp_path / "a.wav", tone(3, 44100), 44100)
    samples, _ = heard(path)
    voice = listen(path)
    np.testing.assert_allclose(voice.mel, mel_spectrogram(samples), atol=1e-6)
    assert voice.info.sample_rate == 44100
    assert voice.notes == ()


def test_listening_can_be_stopped(tmp_path):
    def stop(seconds):
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        listen(write_wav(tmp_path / "a.wav", tone(3)), step=stop)


def test_a_probe_counts_what_is_there_and_can_trust_the_header_instead(tmp_path):
    path = write_wav(tmp_path / "a.wav", np.repeat(tone(2)[:, None], 2, 1))
    for count in (True, False):
        info = probe_audio(path, count=count)
        assert (info.sample_rate, info.channels, info.seconds, info.codec) == (16000, 2, 2.0, "pcm_f32le")


@pytest.mark.parametrize("name", ["song.mid", "list.m3u", "list.pls", "words.wav"])
def test_what_is_no_sound_is_refused(tmp_path, name):
    content = {"song.mid": b"MThd\0\0\0\6\0\1\0\1\0\x60MTrk\0\0\0\4\0\xff\x2f\0", "list.m3u": b"#EXTM3U\na.wav\n",
               "list.pls": b"[playlist]\nFile1=a.wav\n"}  # fmt: skip
    path = tmp_path / name
    path.write_bytes(content.get(name, b"no sound " * 100))
    with pytest.raises(InputError, match=name):
        listen(path)


def test_a_change_of_rate_ends_one_resampler_and_starts_the_next():
    assert len(Resampler(16000)(tone(0.1))) == 1600
    resampler = Resampler(48000)
    out = np.concatenate([resampler(tone(0.1, 48000)), resampler(np.zeros(0, np.float32), last=True)])
    assert abs(len(out) - 1600) <= 1


def test_the_high_pass_does_not_care_how_the_sound_is_cut():
    sound = tone(1) + 0.3
    whole, cut = HighPass(16000), HighPass(16000)
    first = cut(sound[:16000])  # the state is settled on the first piece
    np.testing.assert_allclose(whole(sound), first, atol=1e-6)
    np.testing.assert_allclose(cut(sound), whole(sound), atol=1e-6)
