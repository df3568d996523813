"""A person is found by a picture, wherever they stand. The network is the mean colour of an aligned face."""

from dataclasses import replace

import av
import numpy as np
import pytest
from demo_media import DEMO
from PIL import Image
from tiny_onnx import mean_colour

from lipsync_core import persons
from lipsync_core.errors import InputError, UsageError, WeightsError
from lipsync_core.face.person import face_describer, good_looks
from lipsync_core.options import LipSyncOptions
from lipsync_core.persons import find_person
from lipsync_core.pipeline import analyse
from lipsync_core.runtime import Runtime, default_model_dir
from lipsync_core.types import FaceTrack
from lipsync_core.video.edit import Edit
from lipsync_core.video.source import open_source

RUNTIME = Runtime(model_dirs=(default_model_dir(),), offline=True)
OPTIONS = LipSyncOptions(cache=False)
TINTS = {"red": (1.0, 0.5, 0.5), "blue": (0.5, 0.6, 1.0), "own": (1.0, 1.0, 1.0)}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Our portrait in three colours, two of them side by side, and no face."""
    folder = tmp_path_factory.mktemp("people")
    with Image.open(DEMO / "portrait.png") as portrait:
        face = np.asarray(portrait.convert("RGB").resize((320, 320)), np.float32)
    tinted = {name: (face * tint).astype(np.uint8) for name, tint in TINTS.items()}
    tinted["both"] = np.concatenate([tinted["red"], tinted["blue"]], axis=1)
    tinted["nobody"] = np.full((320, 320, 3), 90, np.uint8)
    for name, pixels in tinted.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return {name: open_source(folder / f"{name}.png", None, False, Edit()) for name in tinted}


@pytest.fixture
def network(tmp_path, monkeypatch):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(mean_colour())
    monkeypatch.setattr(persons.weights, "require", lambda name, runtime: path)
    return path


def in_colours(monkeypatch):
    """Describe a face by its place in the list of colours: red and blue have nothing in common."""

    def describe(picture, landmarks):
        x, y = landmarks.mean(axis=0).astype(int)
        red, _, blue = picture[y, x].astype(float)
        return np.float32([red > 1.3 * blue, blue > 1.3 * red, 0.6 < blue / red < 1.3])

    monkeypatch.setattr(persons, "face_describer", lambda path: describe)


@pytest.mark.parametrize(("name", "left"), [("red", True), ("blue", False)])
def test_the_person_of_the_picture_is_found(pictures, network, name, left):
    clip = analyse(pictures["both"], 1, OPTIONS, RUNTIME)
    assert len(clip.tracks) == 2
    track = find_person(clip, pictures["both"], pictures[name], OPTIONS, RUNTIME)
    assert (track.boxes_xyxy[0, 0] < 320) == left


def test_nobody_who_looks_like_the_picture_is_said_with_how_alike_the_likest_is(pictures, network, monkeypatch):
    in_colours(monkeypatch)
    clip = analyse(pictures["red"], 1, OPTIONS, RUNTIME)
    assert find_person(clip, pictures["red"], pictures["red"], OPTIONS, RUNTIME) is clip.tracks[0]
    with pytest.raises(UsageError, match=r"Nobody here looks like .* 0\.00 like it, and 0\.36 is usual"):
        find_person(clip, pictures["red"], pictures["blue"], OPTIONS, RUNTIME)


def test_a_reference_without_a_face_is_refused(pictures, network):
    clip = analyse(pictures["red"], 1, OPTIONS, RUNTIME)
    with pytest.raises(InputError, match="The reference picture"):
        find_person(clip, pictures["red"], pictures["nobody"], OPTIONS, RUNTIME)


def test_the_missing_network_is_named_with_how_to_get_it(pictures, tmp_path):
    clip = analyse(pictures["red"], 1, OPTIONS, RUNTIME)
    runtime = Runtime(model_dirs=(tmp_path,), offline=True)
    with pytest.raises(WeightsError, match="lipsync weights get sface"):
        find_person(clip, pictures["red"], pictures["red"], OPTIONS, runtime)


def test_a_face_is_described_by_opencvs_own_recogniser(network):
    picture = np.zeros((200, 200, 3), np.uint8)
    picture[..., 0], picture[..., 2] = 60, 80
    landmarks = np.float32([[70, 80], [130, 80], [100, 110], [75, 140], [125, 140]])
    assert np.allclose(face_describer(network)(picture, landmarks), [0.6, 0, 0.8], atol=0.02)


def test_a_face_is_looked_at_where_it_is_largest_in_its_first_seconds():
    count = 1000
    boxes = np.tile(np.float32([0, 0, 40, 40]), (count, 1))
    boxes[[5, 30, 120, 220, 700]] = [0, 0, 90, 90]
    found = np.arange(count) >= 10
    track = FaceTrack(boxes, np.zeros((count, 5, 2), np.float32), found, found)
    assert good_looks(track) == [30, 120, 220]
    never = FaceTrack(boxes[:2], np.zeros((2, 5, 2), np.float32), np.zeros(2, bool), np.ones(2, bool))
    assert good_looks(never) == [0, 1]


def test_a_person_of_a_video_is_looked_at_on_the_frames_that_show_them(pictures, network, tmp_path):
    """The two change places after half of the time, and what is known of them is from the second half."""
    with Image.open(pictures["both"].path) as both:
        picture = np.asarray(both)
    swapped = np.concatenate([picture[:, 320:], picture[:, :320]], axis=1)
    path = write_frames(tmp_path / "two.mp4", [swapped] * 6 + [picture] * 6)
    seen = analyse(pictures["both"], 1, OPTIONS, RUNTIME)
    found = np.arange(12) >= 6
    tracks = tuple(
        FaceTrack(track.boxes_xyxy.repeat(12, 0), track.landmarks.repeat(12, 0), found, found) for track in seen.tracks
    )
    clip = replace(seen, tracks=tracks, frame_count=12)
    source = open_source(path, None, False, Edit())
    for name, track in zip(("red", "blue"), tracks, strict=True):
        assert find_person(clip, source, pictures[name], OPTIONS, RUNTIME) is track


def write_frames(path, frames):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")))
        out.mux(stream.encode(None))
    return path
