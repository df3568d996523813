"""The face detectors, on a public-domain photograph that comes inside scikit-image."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from lipsync_core import weights
from lipsync_core.errors import UsageError, WeightsError
from lipsync_core.face import detectors
from lipsync_core.face.detectors import DETECTORS, DetectorSettings, NearDetector, choose_detector, yunet
from lipsync_core.face.detectors.base import joined, no_detections, overlap, scale_down, scaled, without_repeats
from lipsync_core.runtime import Runtime
from lipsync_core.types import Detections

SHARED = Path(__file__).parents[2] / "shared"
YUNET = SHARED / "weights" / "face_detection_yunet_2026may.onnx"
PORTRAITS = SHARED / "samples" / "portraits"
FACE = np.array([180, 60, 270, 175])  # of the astronaut, by eye
OFFLINE = Runtime(offline=True)


@pytest.fixture(scope="module")
def astronaut():
    return np.ascontiguousarray(data.astronaut())


@pytest.fixture(scope="module")
def cascade():
    return choose_detector("cascade", OFFLINE, DetectorSettings())


def faces(boxes, scores):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(boxes, np.array(scores, np.float32), np.full((len(boxes), 5, 2), np.nan, np.float32))


def turned(picture, degrees, centre=(225, 118)):
    matrix = cv2.getRotationMatrix2D(centre, degrees, 1.0)
    return cv2.warpAffine(picture, matrix, picture.shape[1::-1], borderMode=cv2.BORDER_REFLECT)


def yunet_row(x, y, width, height, score):
    points = [x + width * a for a in (0.3, 0.4, 0.7, 0.4, 0.5, 0.55, 0.35, 0.75, 0.65, 0.75)]
    return [x, y, width, height, *points, score]


class FakeYuNet:
    """OpenCV's class, seeing one face on every picture that is large enough."""

    def __init__(self, rows, least_side=0):
        self.rows, self.least_side, self.sizes = rows, least_side, []

    def setInputSize(self, size):  # noqa: N802 - OpenCV's name
        self.sizes.append(size)

    def detect(self, picture):
        if max(picture.shape[:2]) < self.least_side:
            return 0, None
        return 1, np.array(self.rows, np.float32)


@pytest.fixture
def fake_yunet(monkeypatch):
    def install(rows, least_side=0):
        fake = FakeYuNet(rows, least_side)
        monkeypatch.setattr(yunet.cv2.FaceDetectorYN, "create", lambda *args: fake)
        return fake

    return install


def test_the_table_names_all_four_detectors():
    assert list(DETECTORS) == ["yunet", "s3fd", "cascade", "box"]
    assert [name for name, spec in DETECTORS.items() if not spec.needs_weights] == ["cascade", "box"]


def test_a_misspelt_detector_is_answered_with_the_right_one():
    with pytest.raises(UsageError, match="Did you mean 'yunet'"):
        choose_detector("yunett", OFFLINE, DetectorSettings())


# Cascade


def test_the_cascade_finds_a_smiling_astronaut_with_eyes_and_mouth(astronaut, cascade):
    (found,) = cascade.detect(astronaut[None])
    assert len(found) == 1
    assert overlap(found.boxes_xyxy[0], FACE[None].astype(np.float32))[0] > 0.6
    assert np.abs(found.landmarks[0, 3:].mean(axis=0) - (223.1, 146.2)).max() < 8
    assert 0.5 <= found.scores[0] <= 1


@pytest.mark.parametrize("degrees", [-28, 28])
def test_the_cascade_finds_a_tilted_head(astronaut, cascade, degrees):
    (found,) = cascade.detect(turned(astronaut, degrees)[None])
    assert len(found) >= 1
    middle = (found.boxes_xyxy[0, :2] + found.boxes_xyxy[0, 2:]) / 2
    assert np.linalg.norm(middle - (225, 118)) < 25
    eyes = found.landmarks[0, 1] - found.landmarks[0, 0]
    assert abs(np.degrees(np.arctan2(eyes[1], eyes[0])) + degrees) < 8


@pytest.mark.parametrize("name", ["coffee", "chelsea"])
def test_the_cascade_finds_nobody_in_a_cup_or_a_cat(cascade, name):
    picture = np.ascontiguousarray(getattr(data, name)())
    assert len(cascade.detect(picture[None])[0]) == 0


def test_a_known_face_is_found_again_close_by_and_nowhere_else(astronaut, cascade):
    assert isinstance(cascade, NearDetector)
    box = cascade.detect(astronaut[None])[0].boxes_xyxy
    moved = np.roll(astronaut, (6, -8), axis=(0, 1))
    again = cascade.detect_near(moved, box)
    assert np.abs(again.boxes_xyxy[0] - box[0] - (-8, 6, -8, 6)).max() < 6
    assert len(cascade.detect_near(astronaut, box + 250)) == 0
    assert len(cascade.detect_near(astronaut, box + 5000)) == 0


def test_faces_below_the_wished_size_or_score_are_dropped(astronaut):
    for settings in (DetectorSettings(min_size_px=200), DetectorSettings(min_score=0.99)):
        small, _ = scale_down(astronaut[:256, :400], 200)
        settings = replace(settings, frame_size=(400, 256))
        assert len(choose_detector("cascade", OFFLINE, settings).detect(small[None])[0]) == 0


def test_the_wished_size_is_meant_in_the_full_frame(astronaut):
    small, _ = scale_down(astronaut, 256)
    for full, count in ((512, 1), (128, 0)):
        settings = DetectorSettings(min_size_px=60, frame_size=(full, full))
        assert len(choose_detector("cascade", OFFLINE, settings).detect(small[None])[0]) == count


@pytest.mark.parametrize("size", [(3, 2), (1, 700), (24, 24)])
def test_the_cascade_takes_pictures_too_small_for_a_face(cascade, size):
    assert len(cascade.detect(np.zeros((1, *size, 3), np.uint8))[0]) == 0


# Box


def test_the_users_box_is_the_face_on_every_frame():
    detector = choose_detector("box", OFFLINE, DetectorSettings(box=(10, 20, 30, 50)))
    found = detector.detect(np.zeros((3, 60, 80, 3), np.uint8))
    assert [row.boxes_xyxy.tolist() for row in found] == [[[10, 20, 30, 50]]] * 3
    assert np.isnan(found[0].landmarks).all()


def test_the_users_box_follows_the_scale_of_the_frames_and_stops_at_the_edge():
    detector = choose_detector("box", OFFLINE, DetectorSettings(box=(100, 100, 900, 400), frame_size=(800, 600)))
    (found,) = detector.detect(np.zeros((1, 300, 400, 3), np.uint8))
    assert found.boxes_xyxy.tolist() == [[50, 50, 400, 200]]


def test_a_box_beside_the_picture_is_refused_with_the_size():
    detector = choose_detector("box", OFFLINE, DetectorSettings(box=(900, 10, 950, 60)))
    with pytest.raises(UsageError, match=r"900,10,950,60 lies outside the picture of 80x60"):
        detector.detect(np.zeros((1, 60, 80, 3), np.uint8))


def test_the_box_detector_asks_for_a_box():
    with pytest.raises(UsageError, match="no box is given"):
        choose_detector("box", OFFLINE, DetectorSettings())


# YuNet


def test_yunet_rows_become_boxes_and_points_of_the_full_picture(fake_yunet):
    fake = fake_yunet([yunet_row(10, 20, 40, 60, 0.6), yunet_row(100, 20, 50, 70, 0.9)])
    detector = choose_detector("yunet", OFFLINE, DetectorSettings(min_size_px=20), Path("any.onnx"))
    (found,) = detector.detect(np.zeros((1, 480, 640, 3), np.uint8))
    assert fake.sizes[1:] == [(320, 240)]
    assert found.boxes_xyxy.tolist() == [[200, 40, 300, 180], [20, 40, 100, 160]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.6])
    assert np.allclose(found.landmarks[1, 0], (2 * (10 + 40 * 0.3), 2 * (10 + 40 * 0.4)))


def test_yunet_looks_closer_where_it_saw_nobody(fake_yunet):
    fake = fake_yunet([yunet_row(10, 20, 40, 60, 0.6)], least_side=600)
    detector = choose_detector("yunet", OFFLINE, DetectorSettings(), Path("any.onnx"))
    assert len(detector.detect(np.zeros((1, 720, 1280, 3), np.uint8))[0]) == 1
    assert fake.sizes[1:] == [(320, 180), (640, 360)]
    assert len(detector.detect(np.zeros((1, 200, 300, 3), np.uint8))[0]) == 0


def test_yunets_points_go_from_left_to_right_on_a_head_upside_down(fake_yunet):
    row = yunet_row(10, 20, 100, 100, 0.9)
    row[4:8], row[10:14] = [*row[6:8], *row[4:6]], [*row[12:14], *row[10:12]]
    fake_yunet([row])
    (found,) = choose_detector("yunet", OFFLINE, DetectorSettings(), Path("any.onnx")).detect(
        np.zeros((1, 300, 300, 3), np.uint8)
    )
    assert found.landmarks[0, 0, 0] < found.landmarks[0, 1, 0]
    assert found.landmarks[0, 3, 0] < found.landmarks[0, 4, 0]


def test_a_damaged_yunet_file_is_named(tmp_path):
    (tmp_path / "yunet.onnx").write_bytes(b"not a network")
    with pytest.raises(WeightsError, match=r"yunet\.onnx: OpenCV cannot read it"):
        choose_detector("yunet", OFFLINE, DetectorSettings(), tmp_path / "yunet.onnx")


def test_a_file_that_this_opencv_cannot_run_is_found_out_at_once(monkeypatch):
    class Failing:
        def setInputSize(self, size):  # noqa: N802 - OpenCV's name
            raise cv2.error("no such layer")

    monkeypatch.setattr(yunet.cv2.FaceDetectorYN, "create", lambda *args: Failing())
    with pytest.raises(WeightsError, match="cannot read it"):
        choose_detector("yunet", OFFLINE, DetectorSettings(), Path("old.onnx"))
    runtime = Runtime(offline=True)
    assert choose_detector("auto", runtime, DetectorSettings(), Path("old.onnx")).name == "cascade"


def test_making_yunet_leaves_opencvs_log_level_as_it_was(fake_yunet, monkeypatch):
    class Logging:
        LOG_LEVEL_ERROR, level, seen = 2, 5, []

        def getLogLevel(self):  # noqa: N802 - OpenCV's name
            return self.level

        def setLogLevel(self, level):  # noqa: N802 - OpenCV's name
            self.level = level
            self.seen.append(level)

    for logging in (Logging(), None):
        monkeypatch.setattr(yunet.cv2.utils, "logging", logging, raising=False)
        fake_yunet([])
        choose_detector("yunet", OFFLINE, DetectorSettings(), Path("any.onnx"))
    assert Logging.seen == [2, 5]


@pytest.mark.skipif(not YUNET.exists(), reason="the YuNet file is not here")
def test_yunet_finds_the_astronaut(astronaut):
    (found,) = choose_detector("yunet", OFFLINE, DetectorSettings(), YUNET).detect(astronaut[None])
    assert overlap(found.boxes_xyxy[0], FACE[None].astype(np.float32))[0] > 0.75
    assert np.abs(found.landmarks[0, 3:].mean(axis=0) - (223.1, 146.2)).max() < 8


# Choice


def test_auto_takes_yunet_when_its_file_is_there(fake_yunet, monkeypatch):
    fake_yunet([])
    monkeypatch.setattr(weights, "locate", lambda name, runtime, download: Path("yunet.onnx"))
    assert choose_detector("auto", OFFLINE, DetectorSettings()).name == "yunet"


@pytest.mark.parametrize("offline", [True, False])
def test_auto_falls_back_to_the_cascade_and_says_so(monkeypatch, offline):
    asked = []
    monkeypatch.setattr(weights, "locate", lambda name, runtime, download: asked.append((name, download)))
    runtime = Runtime(offline=offline)
    assert choose_detector("auto", runtime, DetectorSettings()).name == "cascade"
    assert asked == [("yunet", not offline)]
    assert "cascade" in runtime.notes[0]


def test_yunet_asked_for_by_name_is_never_replaced(monkeypatch):
    monkeypatch.setattr(weights, "locate", lambda name, runtime, download: None)
    with pytest.raises(WeightsError, match="weights get yunet"):
        choose_detector("yunet", OFFLINE, DetectorSettings())


def test_s3fd_is_loaded_only_when_asked_for(monkeypatch):
    calls = []

    class Fake:
        @staticmethod
        def load(path, runtime, settings):
            calls.append(path)
            return "a detector"

    monkeypatch.setitem(__import__("sys").modules, detectors.__name__ + ".s3fd", Fake)
    monkeypatch.setattr(detectors, "s3fd", Fake, raising=False)
    assert choose_detector("s3fd", OFFLINE, DetectorSettings(), Path("s3fd.pth")) == "a detector"
    assert calls == [Path("s3fd.pth")]


# Shared by the detectors


def test_of_two_boxes_on_one_face_the_better_stays():
    found = faces([[0, 0, 100, 100], [10, 0, 110, 100], [300, 0, 400, 100], [20, 20, 60, 60]], [0.5, 0.9, 0.4, 0.3])
    assert without_repeats(found, 0.35).scores.tolist() == pytest.approx([0.9, 0.4])


def test_scaling_and_joining_keep_box_and_points_together():
    one = Detections(np.array([[1, 2, 3, 4]], np.float32), np.ones(1, np.float32), np.ones((1, 5, 2), np.float32))
    both = joined([no_detections(), scaled(one, 2.0, (10, 20))])
    assert both.boxes_xyxy.tolist() == [[12, 24, 16, 28]]
    assert both.landmarks[0, 0].tolist() == [12, 22]


def test_a_picture_is_scaled_down_but_never_up():
    small, factor = scale_down(np.zeros((720, 1280, 3), np.uint8), 320)
    assert small.shape == (180, 320, 3)
    assert factor == 4
    same, factor = scale_down(np.zeros((20, 30, 3), np.uint8), 320)
    assert same.shape == (20, 30, 3)
    assert factor == 1
