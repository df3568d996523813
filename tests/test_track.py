"""Faces through time: looking, linking, gaps, cuts, policies, smoothing, choosing, keeping."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lipsync_core.errors import Cancelled, InputError, UsageError
from lipsync_core.face.cache import load_tracks, save_tracks
from lipsync_core.face.cuts import CutFinder
from lipsync_core.face.detectors import DetectorSettings, choose_detector
from lipsync_core.face.landmarks import LandmarkFinder
from lipsync_core.face.policy import Searched, apply_policy, missing_ranges, require_face
from lipsync_core.face.seek import TrackSettings
from lipsync_core.face.select import select_faces
from lipsync_core.face.smooth import pad_boxes, smooth_rows, smooth_track, window_frames
from lipsync_core.face.track import ClipFaces, track_faces
from lipsync_core.runtime import Runtime
from lipsync_core.types import Detections, FaceTrack, FrameBatch

SHARED = Path(__file__).parents[2] / "shared"
VIDEOS = sorted((SHARED / "samples" / "video").glob("talk_*.mp4"))
YUNET = SHARED / "weights" / "face_detection_yunet_2026may.onnx"
SIZE = (160, 120)
NO_CUTS = np.zeros(0, np.int64)
SEARCHED = Searched("talk.mp4", Fraction(25), "yunet", 0.5)


class BlobDetector:
    """Every red patch is a face. Counts the frames it was shown."""

    name = "blobs"

    def __init__(self):
        self.looks = 0

    def detect(self, frames):
        self.looks += len(frames)
        return [self._on(frame) for frame in frames]

    def _on(self, frame):
        red = ((frame[..., 0] > 200) & (frame[..., 1] < 60)).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(red)
        rows = [(x, y, x + w, y + h) for x, y, w, h, area in stats[1:count] if area > 30]
        boxes = np.array(rows, np.float32).reshape(-1, 4)
        points = np.full((len(boxes), 5, 2), np.nan, np.float32)
        return Detections(boxes, np.full(len(boxes), 0.9, np.float32), points)


class NearBlobDetector(BlobDetector):
    """The same, with a quick look near known faces."""

    def __init__(self):
        super().__init__()
        self.near = 0

    def detect_near(self, frame, boxes_xyxy):
        self.near += 1
        found = self._on(frame)
        centres = (found.boxes_xyxy[:, :2] + found.boxes_xyxy[:, 2:]) / 2
        known = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
        close = [i for i, c in enumerate(centres) if np.linalg.norm(known - c, axis=1).min() < 20]
        return Detections(found.boxes_xyxy[close], found.scores[close], found.landmarks[close])


def picture(*boxes, tone=90, size=SIZE):
    pixels = np.full((size[1], size[0], 3), tone, np.uint8)
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = (255, 0, 0)
    return pixels


def square(x, y=40, side=30):
    return (x, y, x + side, y + side)


def track(frames, batch_size=7, detector=None, runtime=None, **changes):
    pixels = np.stack(frames)
    batches = (FrameBatch(i, pixels[i : i + batch_size]) for i in range(0, len(pixels), batch_size))
    return track_faces(batches, detector or BlobDetector(), None, TrackSettings(**changes), runtime or Runtime())


def rows(found, boxes=None):
    """A track by hand: which rows are found, and their boxes."""
    count = len(found)
    boxes = np.tile(np.array([10, 20, 50, 70], np.float32), (count, 1)) if boxes is None else boxes
    return FaceTrack(boxes, np.zeros((count, 5, 2), np.float32), np.array(found), np.ones(count, bool))


# Looking


def test_a_still_face_is_found_on_every_frame_with_few_looks():
    detector = BlobDetector()
    clip = track([picture(square(50))] * 41, detector=detector)
    (face,) = clip.tracks
    assert face.found.all()
    assert face.active.all()
    assert (face.boxes_xyxy == (50, 40, 80, 70)).all()
    assert detector.looks == 9
    assert (clip.frame_count, clip.width, clip.height) == (41, *SIZE)


@pytest.mark.parametrize("every", [1, 3, 5, 20])
def test_the_frames_with_a_face_are_known_exactly_however_seldom_it_looks(every):
    here = [not 12 <= frame < 33 for frame in range(60)]
    clip = track([picture(square(50)) if seen else picture() for seen in here], detect_every=every)
    assert clip.tracks[0].found.tolist() == here


@pytest.mark.parametrize("batch_size", [1, 2, 5, 64])
def test_the_size_of_the_batches_changes_nothing(batch_size):
    frames = [picture(square(10 + 2 * i)) if i % 17 < 12 else picture() for i in range(50)]
    clip, other = track(frames, batch_size=batch_size), track(frames, batch_size=11)
    for one, two in zip(clip.tracks, other.tracks, strict=True):
        assert (one.found == two.found).all()
        assert (one.boxes_xyxy == two.boxes_xyxy).all()


@pytest.mark.parametrize("speed", [1, 3])
def test_between_looks_the_box_follows_a_moving_head(speed):
    places = [20 + abs((speed * i) % 160 - 80) for i in range(60)]
    clip = track([picture(square(x)) for x in places], detect_every=5)
    (face,) = clip.tracks
    assert face.found.all()
    assert np.abs(face.boxes_xyxy[:, 0] - places).max() <= 4  # px, of a face 30 px wide


def test_small_frames_give_boxes_in_pixels_of_the_full_frame():
    clip = track([picture(square(50))], scale=4.0)
    assert clip.tracks[0].boxes_xyxy.tolist() == [[200, 160, 320, 280]]
    assert (clip.width, clip.height) == (640, 480)


def test_large_frames_are_searched_on_small_copies():
    seen = []

    class Watching(BlobDetector):
        def detect(self, frames):
            seen.append(frames.shape)
            return super().detect(frames)

    large = picture((400, 300, 700, 600), size=(1280, 720))
    clip = track([large], detector=Watching(), max_side=320)
    assert seen == [(1, 180, 320, 3)]
    assert np.abs(clip.tracks[0].boxes_xyxy[0] - (400, 300, 700, 600)).max() <= 4


def test_a_near_detector_looks_everywhere_only_now_and_then():
    detector = NearBlobDetector()
    clip = track([picture(square(50))] * 100, detector=detector)
    assert clip.tracks[0].found.all()
    assert detector.near >= 2 * detector.looks


def test_a_near_detector_still_finds_who_comes_in_later():
    frames = [picture(square(10)) if i < 20 else picture(square(10), square(110)) for i in range(80)]
    clip = track(frames, detector=NearBlobDetector())
    assert len(clip.tracks) == 2
    assert clip.tracks[1].found[:20].sum() == 0
    assert clip.tracks[1].found[20 + 15 :].all()


def test_stop_is_heard_between_batches():
    with pytest.raises(Cancelled):
        track([picture()] * 9, runtime=Runtime(cancelled=lambda: True))


def test_without_frames_there_is_nobody():
    clip = track_faces([], BlobDetector(), None, TrackSettings(), Runtime())
    assert (clip.tracks, clip.frame_count) == ((), 0)


def test_the_landmark_finder_calms_a_rough_detector():
    class Rough(BlobDetector):
        rough = True

        def _on(self, frame):
            found = super()._on(frame)
            return Detections(found.boxes_xyxy, found.scores, np.zeros((len(found), 5, 2), np.float32))

    class Sure:
        def __init__(self, sure):
            self.sure = sure

        def refine(self, frame, boxes_xyxy, landmarks):
            points = np.array([[60, 50], [70, 50], [65, 55], [61, 60], [69, 60]], np.float32)
            return points[None], np.array([self.sure], np.float32)

    batch = FrameBatch(0, picture(square(50))[None])
    for sure, box_kept in ((0.9, False), (0.1, True)):
        clip = track_faces([batch], Rough(), Sure(sure), TrackSettings(), Runtime())
        assert (clip.tracks[0].boxes_xyxy[0].tolist() == [50, 40, 80, 70]) is box_kept
        assert clip.tracks[0].landmarks[0, 0].tolist() == [60, 50]
    alone = track_faces([batch], Rough(), None, TrackSettings(), Runtime())
    assert alone.tracks[0].boxes_xyxy[0].tolist() == [50, 40, 80, 70]


# Cuts


def scene(seed, count, drift=1):
    """Frames of one place: large blobs of grey that drift slowly."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.integers(0, 256, (6, 10), dtype=np.uint8), (200 + count * drift, 120))
    return [np.repeat(coarse[:, i * drift : i * drift + 160, None], 3, axis=2) for i in range(count)]


def test_cuts_are_found_and_drifting_pictures_are_not_cuts():
    finder = CutFinder()
    frames = scene(1, 30) + scene(2, 30, drift=3) + scene(3, 1) + scene(4, 20)
    assert [i for i, frame in enumerate(frames) if finder.begins_scene(frame)] == [30, 60, 61]


def test_noise_is_not_a_cut():
    rng, finder = np.random.default_rng(0), CutFinder()
    frames = [rng.integers(0, 256, (90, 160, 3), dtype=np.uint8) for _ in range(30)]
    assert not any(finder.begins_scene(frame) for frame in frames)


def test_boxes_are_never_mixed_across_a_cut():
    frames = [picture(square(10), tone=30)] * 13 + [picture(square(110, side=40), tone=220)] * 14
    clip = track(frames)
    (face,) = clip.tracks
    assert clip.cuts.tolist() == [13]
    calm = smooth_track(face, 9, clip.cuts)
    for boxes in (face.boxes_xyxy, calm.boxes_xyxy):
        assert (boxes[:13] == (10, 40, 40, 70)).all()
        assert (boxes[13:] == (110, 40, 150, 80)).all()


def test_a_scene_without_the_face_holds_it_but_does_not_claim_to_have_seen_it():
    frames = [picture(tone=20)] * 6 + [picture(square(50), tone=200)] * 10 + [picture(tone=20)] * 9
    clip = track(frames)
    (face,) = clip.tracks
    assert face.found.tolist() == [False] * 6 + [True] * 10 + [False] * 9
    assert (face.boxes_xyxy == (50, 40, 80, 70)).all()
    for policy in ("keep", "hold", "interpolate"):
        assert apply_policy(face, policy, clip.cuts, SEARCHED).active.tolist() == face.found.tolist()


# Linking


def test_two_faces_are_two_tracks_from_left_to_right():
    frames = [picture(square(100 - i), square(5, 10)) for i in range(40)]
    clip = track(frames)
    assert len(clip.tracks) == 2
    assert clip.tracks[0].boxes_xyxy[0].tolist() == [5, 10, 35, 40]
    assert clip.tracks[1].boxes_xyxy[39].tolist() == [61, 40, 91, 70]
    assert all(face.found.all() for face in clip.tracks)


def test_what_flashes_up_for_two_frames_is_no_face():
    frames = [picture(square(10), square(110)) if 20 <= i < 22 else picture(square(10)) for i in range(50)]
    assert len(track(frames, detect_every=1).tracks) == 1


def test_a_short_scene_may_have_a_short_track():
    frames = [picture(tone=20)] * 20 + [picture(square(50), tone=200)] * 4 + [picture(tone=20)] * 20
    assert track(frames).tracks[0].found.sum() == 4


def test_a_face_that_comes_back_is_the_same_face():
    frames = [picture() if 20 <= i < 35 else picture(square(40 + i // 5)) for i in range(60)]
    clip = track(frames)
    assert len(clip.tracks) == 1
    assert missing_ranges(clip.tracks[0].found) == [(20, 34)]


def test_a_face_of_another_size_is_another_face():
    frames = [picture(square(32, side=20)) if i < 30 else picture(square(20, 28, 44)) for i in range(60)]
    assert len(track(frames).tracks) == 2


# Policies


GAP = [True] * 4 + [False] * 4 + [True] * 3 + [False] * 2


def moving(count=13):
    boxes = np.tile(np.array([0, 20, 40, 70], np.float32), (count, 1))
    boxes[:, [0, 2]] += np.arange(count, dtype=np.float32)[:, None]
    return boxes


def test_keep_leaves_frames_without_a_face_alone():
    kept = apply_policy(rows(GAP, moving()), "keep", NO_CUTS, SEARCHED)
    assert kept.active.tolist() == GAP


def test_hold_keeps_the_last_box_and_starts_with_the_first():
    held = apply_policy(rows([False, *GAP[1:]], moving()), "hold", NO_CUTS, SEARCHED)
    assert held.boxes_xyxy[:, 0].tolist() == [1, 1, 2, 3, 3, 3, 3, 3, 8, 9, 10, 10, 10]
    assert held.active.all()


def test_interpolate_moves_between_the_neighbours():
    frames = [picture() if 10 <= i < 20 else picture(square(20 + i // 10 * 10)) for i in range(30)]
    face = apply_policy(track(frames, detect_every=1).tracks[0], "interpolate", NO_CUTS, SEARCHED)
    assert face.active.all()
    assert np.allclose(face.boxes_xyxy[9:21, 0], np.linspace(20, 40, 12))


def test_stop_names_frames_seconds_and_ways_out():
    found = np.ones(400, bool)
    found[120:165] = found[200] = False
    with pytest.raises(InputError) as error:
        apply_policy(rows(found), "stop", NO_CUTS, SEARCHED)
    text = str(error.value)
    assert text.startswith("talk.mp4: no face found in frames 120-164 (4.80-6.60 s), 200 (8.00-8.04 s).")
    assert "now 0.50" in text
    assert "--box" in text
    assert "--no-face" in text


def test_stop_does_not_list_a_hundred_gaps():
    with pytest.raises(InputError, match="and 45 more ranges"):
        apply_policy(rows([i % 2 == 0 for i in range(100)]), "stop", NO_CUTS, SEARCHED)


@pytest.mark.parametrize("policy", ["keep", "hold", "interpolate", "stop"])
def test_a_face_on_every_frame_needs_no_policy(policy):
    face = rows([True] * 5)
    assert apply_policy(face, policy, NO_CUTS, SEARCHED) is face


def test_an_unknown_policy_is_refused():
    with pytest.raises(UsageError, match="keep, hold, interpolate, stop"):
        apply_policy(rows(GAP), "skip", NO_CUTS, SEARCHED)


@pytest.mark.parametrize(
    ("searched", "words"),
    [
        (SEARCHED, ["in any of its 9 frames", "--detector cascade", "--box", "now 0.50"]),
        (Searched("art.png", None, "cascade", 0.3), ["in the picture", "--detector yunet", "now 0.30"]),
        (Searched("art.png", None, "box", 0.3), ["another face box"]),
    ],
)
def test_nobody_at_all_is_an_error_with_the_ways_out(searched, words):
    clip = track([picture()] * 9)
    with pytest.raises(InputError) as error:
        require_face(clip, searched)
    assert all(word in str(error.value) for word in [searched.file, *words])
    require_face(track([picture(square(50))]), searched)


def test_a_picture_has_no_seconds_to_name():
    with pytest.raises(InputError, match=r"in frames 1\. "):
        apply_policy(rows([True, False]), "stop", NO_CUTS, Searched("art.png", None, "cascade", 0.3))


# Smoothing


ROWS = arrays.arrays(np.float32, (20, 3), elements=st.floats(-1000, 1000, width=16))


@given(value=st.floats(-5000, 5000, width=32), window=st.integers(1, 15), cut=st.integers(1, 29))
def test_smoothing_never_moves_a_still_box(value, window, cut):
    still = np.full((30, 4), value, np.float32)
    assert (smooth_rows(still, 2 * window + 1, np.array([cut])) == still).all()


@given(start=st.floats(-100, 100), speed=st.floats(-20, 20), window=st.integers(1, 12), count=st.integers(1, 40))
def test_smoothing_keeps_up_with_a_head_in_steady_motion(start, speed, window, count):
    line = (start + speed * np.arange(count, dtype=np.float32)[:, None]).astype(np.float32)
    assert np.allclose(smooth_rows(line, 2 * window + 1, NO_CUTS), line, atol=1e-3)


@settings(max_examples=50)
@given(values=ROWS, window=st.integers(1, 8), cut=st.integers(1, 19))
def test_smoothing_never_looks_across_a_cut(values, window, cut):
    both = smooth_rows(values, 2 * window + 1, np.array([cut]))
    alone = [smooth_rows(part, 2 * window + 1, NO_CUTS) for part in (values[:cut], values[cut:])]
    assert (both == np.concatenate(alone)).all()


@settings(max_examples=50)
@given(values=ROWS, window=st.integers(1, 8))
def test_smoothing_reads_the_same_forwards_and_backwards(values, window):
    forth = smooth_rows(values, 2 * window + 1, NO_CUTS)
    back = smooth_rows(values[::-1], 2 * window + 1, NO_CUTS)[::-1]
    assert np.allclose(forth, back, atol=1e-2)


@pytest.mark.parametrize("window", [0, 1])
def test_no_window_is_no_smoothing(window):
    values = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    assert smooth_rows(values, window, NO_CUTS) is values


def test_smoothing_takes_most_of_the_shake_away():
    shaky = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    assert smooth_rows(shaky, 5, NO_CUTS).std() < 0.6


def test_a_window_is_told_in_seconds_and_is_odd():
    assert [window_frames(s, Fraction(25)) for s in (0, 0.01, 0.2, 0.28, 1)] == [1, 1, 5, 9, 25]
    assert window_frames(0.2, Fraction(30000, 1001)) == 7


def test_boxes_and_landmarks_are_smoothed_alike():
    places = np.array([0, 0, 0, 6, 0, 0, 0], np.float32)
    face = FaceTrack(
        np.repeat(places[:, None], 4, axis=1),
        np.broadcast_to(places[:, None, None], (7, 5, 2)).copy(),
        np.ones(7, bool),
        np.ones(7, bool),
    )
    calm = smooth_track(face, 3, NO_CUTS)
    assert np.allclose(calm.boxes_xyxy[:, 0], calm.landmarks[:, 0, 0])
    assert calm.boxes_xyxy[3, 0] == 3


# Pads


def test_pads_grow_the_box_as_the_original_did():
    boxes = np.array([[10, 20, 50, 70]], np.float32)
    assert pad_boxes(boxes, (0, 10, 0, 0), (100, 100)).tolist() == [[10, 20, 50, 80]]
    assert pad_boxes(boxes, (1, 2, 3, 4), (100, 100)).tolist() == [[7, 19, 54, 72]]


def test_pads_stop_at_the_edge_of_the_frame():
    boxes = np.array([[5, 5, 95, 95]], np.float32)
    assert pad_boxes(boxes, (50, 50, 50, 50), (100, 98)).tolist() == [[0, 0, 100, 98]]


@given(
    corner=st.tuples(st.floats(-50, 150, width=32), st.floats(-50, 150, width=32)),
    size=st.tuples(st.floats(1, 100, width=32), st.floats(1, 100, width=32)),
    pads=st.tuples(*[st.integers(-100, 100)] * 4),
)
def test_a_padded_box_always_has_a_pixel_inside_the_frame(corner, size, pads):
    boxes = np.array([[corner[0], corner[1], corner[0] + size[0], corner[1] + size[1]]], np.float32)
    left, top, right, bottom = pad_boxes(boxes, pads, (120, 80))[0]
    assert 0 <= left <= right - 1 <= 119
    assert 0 <= top <= bottom - 1 <= 79


# Choosing


@pytest.fixture(scope="module")
def three_faces():
    frame = picture((5, 50, 35, 80), (60, 40, 100, 90), (120, 5, 140, 25))
    return track([frame] * 3).tracks


@pytest.mark.parametrize(
    ("how", "more", "left_edges"),
    [
        ("largest", {}, [60]),
        ("left", {}, [5]),
        ("right", {}, [120]),
        ("top", {}, [120]),
        ("bottom", {}, [5]),
        ("center", {}, [60]),
        ("index", {"index": 2}, [120]),
        ("point", {"point": (10, 60)}, [5]),
        ("point", {"point": (150, 40)}, [120]),
        ("point", {"point": (99, 89)}, [60]),
        ("all", {}, [5, 60, 120]),
    ],
)
def test_the_wished_face_is_chosen(three_faces, how, more, left_edges):
    chosen = select_faces(three_faces, how, SIZE, **more)
    assert [int(face.boxes_xyxy[0, 0]) for face in chosen] == left_edges


def test_of_equal_faces_the_leftmost_is_chosen():
    tracks = track([picture(square(10), square(60), square(110))] * 2).tracks
    assert select_faces(tracks, "largest", SIZE)[0].boxes_xyxy[0, 0] == 10


def test_the_face_under_the_point_wins_over_one_close_by():
    tracks = track([picture((10, 10, 110, 110), (114, 50, 134, 70))] * 2).tracks
    assert select_faces(tracks, "point", SIZE, point=(108, 60))[0].boxes_xyxy[0, 0] == 10


def test_a_face_that_is_not_there_is_refused(three_faces):
    with pytest.raises(UsageError, match=r"Face number is 3, but there are 3 faces\. Set it to 0 to 2"):
        select_faces(three_faces, "index", SIZE, index=3)
    with pytest.raises(UsageError, match="there is 1 face"):
        select_faces(three_faces[:1], "index", SIZE, index=-1)
    with pytest.raises(UsageError, match="no point is given"):
        select_faces(three_faces, "point", SIZE)
    with pytest.raises(UsageError, match="Known: largest"):
        select_faces(three_faces, "nicest", SIZE)


def test_of_nobody_nobody_is_chosen():
    assert select_faces((), "largest", SIZE) == ()


def test_a_track_that_was_never_found_can_still_be_chosen():
    assert len(select_faces((rows([False, False]),), "largest", SIZE)) == 1


# Keeping


def test_what_is_kept_comes_back_the_same(tmp_path):
    frames = [picture(square(20 + i), square(5, 5, 20)) if i % 9 else picture() for i in range(30)]
    clip = track(frames)
    save_tracks(tmp_path / "faces.npz", clip)
    again = load_tracks(tmp_path / "faces.npz")
    assert (again.frame_count, again.width, again.height) == (30, *SIZE)
    assert (again.cuts == clip.cuts).all()
    for one, two in zip(clip.tracks, again.tracks, strict=True):
        assert (one.boxes_xyxy == two.boxes_xyxy).all()
        assert (one.landmarks == two.landmarks).all()
        assert (one.found == two.found).all()
        assert two.active.all()
    assert [path.name for path in tmp_path.iterdir()] == ["faces.npz"]


def test_a_clip_without_faces_can_be_kept_too(tmp_path):
    save_tracks(tmp_path / "faces.npz", ClipFaces((), NO_CUTS, 8, 64, 48))
    again = load_tracks(tmp_path / "faces.npz")
    assert (again.tracks, again.frame_count) == ((), 8)


def test_what_cannot_be_read_is_looked_for_again(tmp_path):
    assert load_tracks(tmp_path / "nothing.npz") is None
    path = tmp_path / "faces.npz"
    save_tracks(path, track([picture(square(50))] * 3))
    whole = path.read_bytes()
    for broken in (whole[: len(whole) // 2], b"", b"PK\x03\x04 no", np.zeros(3).tobytes()):
        path.write_bytes(broken)
        assert load_tracks(path) is None
    np.savez(path, size=np.array([999, 3, 1, 1]), other=np.zeros(1))
    assert load_tracks(path) is None
    np.savez(path, size=np.array([1, 3, 1, 1]), other=np.zeros(1))
    assert load_tracks(path) is None
    parts = {"boxes_xyxy": np.zeros((1, 2, 4)), "landmarks": np.zeros((1, 2, 5, 2)), "found": np.zeros((1, 2), bool)}
    np.savez(path, size=np.array([1, 3, 1, 1]), cuts=NO_CUTS, **parts)
    assert load_tracks(path) is None


# Real heads


def decoded(path, count):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [
            frame.to_ndarray(format="rgb24") for _, frame in zip(range(count), container.decode(stream), strict=False)
        ]
        return np.stack(frames), Fraction(stream.average_rate)


def shake(values, width):
    """Size of the change of motion from frame to frame, as a share of the face's width."""
    return float(np.sqrt((np.diff(values, 2, axis=0) ** 2).mean()) / width)


@pytest.mark.skipif(not VIDEOS, reason="the sample videos are not here")
@pytest.mark.parametrize("name", ["cascade", "yunet"])
def test_the_box_of_a_talking_head_is_calm(name):
    if name == "yunet" and not YUNET.exists():
        pytest.skip("the YuNet file is not here")
    pixels, fps = decoded(VIDEOS[0], 40)
    size = pixels.shape[2], pixels.shape[1]
    runtime, finder = Runtime(offline=True), LandmarkFinder()
    detector = choose_detector(name, runtime, DetectorSettings(frame_size=size), YUNET if name == "yunet" else None)
    clip = track_faces([FrameBatch(0, pixels)], detector, finder, TrackSettings(fps=fps), runtime)
    (face,) = clip.tracks
    assert face.found.all()
    assert len(clip.cuts) == 0
    calm = smooth_track(face, window_frames(0.2, fps), clip.cuts)
    width = float(np.median(calm.boxes_xyxy[:, 2] - calm.boxes_xyxy[:, 0]))
    assert shake(calm.boxes_xyxy, width) < 0.004
    assert shake(calm.landmarks[:, 3:].mean(axis=1), width) < 0.004
    assert np.abs(calm.boxes_xyxy - face.boxes_xyxy).max() < 0.05 * width
