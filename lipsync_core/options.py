"""Every setting once: name, default, range, label and help. The command, the nodes and the tab are built from it.

A field's name is saved in users' workflows and scripts: renaming one is a breaking change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from .errors import UsageError
from .knobs import Knob, check_value, knob
from .timing import FITS, parse_fps

WIDEST_ANGLE = 90.0  # degrees that a head may be turned by hand
MOST_ANGLES = 1000  # numbers in one curve
GROUPS = ("Engine", "Face", "Timing", "Silence", "Blend", "Restoration", "Motion", "Picture", "Output", "Performance")


@dataclass(frozen=True)
class LipSyncOptions:
    """All settings of a run. Checks itself: a value out of range raises UsageError naming label and value."""

    # fmt: off
    # Engine
    engine: str = knob("auto", "Engine", "Engine",
        "What moves the mouth, with sadtalker the whole head of a portrait. auto: the engine of the checkpoint that is "
        "named, else puppet, which needs no download.", choices=("auto", "puppet", "wav2lip", "sadtalker"))
    checkpoint: str = knob("", "Engine", "Checkpoint",
        "Name from `lipsync weights list` or path of a checkpoint. Its network is recognised by its tensors.",
        file=True, weights=True)
    strength: float = knob(1.0, "Engine", "Lip strength",
        "How far the mouth opens: 1 as heard, 0 closed, 2 exaggerated.", low=0.0, high=2.0, step=0.05)
    seed: int = knob(0, "Engine", "Seed",
        "Same seed, input and options give the same frames.", low=0, high=2 ** 31 - 1, step=1)

    # Face
    detector: str = knob("auto", "Face", "Face detector",
        "auto: yunet when its file is there or can be downloaded, else cascade, which needs none. box: the face "
        "box given below, or the extent of the mask file.", choices=("auto", "yunet", "s3fd", "cascade", "box"))
    which_face: str = knob("largest", "Face", "Which face",
        "Which face speaks when there are several. index counts from the left, point takes the face at a place.",
        choices=("largest", "left", "right", "top", "bottom", "center", "all", "index", "point"))
    face_index: int = knob(0, "Face", "Face number",
        "For 'index': 0 is the leftmost face.", low=0, high=99, step=1, advanced=True)
    face_point: str = knob("", "Face", "Face point",
        "For 'point': x,y in pixels of the picture.", advanced=True)
    box: str = knob("", "Face", "Face box",
        "x1,y1,x2,y2 in pixels: the face's box on every frame, instead of detection.")
    face_threshold: float = knob(0.5, "Face", "Face threshold",
        "Lower finds more faces, and more false ones.", low=0.05, high=0.99, step=0.01)
    min_face: int = knob(32, "Face", "Smallest face",
        "Faces less wide than this are ignored.", low=16, high=1024, step=1, unit="px", advanced=True)
    detect_every: int = knob(5, "Face", "Detect every",
        "Look for faces on every n-th frame and track in between. 1 looks on each.",
        low=1, high=50, step=1, unit="frames", advanced=True)
    no_face: str = knob("keep", "Face", "Frames without a face",
        "keep them as they are, hold the last box, interpolate the box, or stop with an error.",
        choices=("keep", "hold", "interpolate", "stop"))
    smoothing: float = knob(0.2, "Face", "Box smoothing",
        "Centred window over the face box; it never crosses a cut. 0 turns it off.",
        low=0.0, high=2.0, step=0.05, unit="s", advanced=True)
    pad_top: int = knob(0, "Face", "Pad top",
        "Pixels added above the box.", low=-512, high=512, step=1, unit="px", advanced=True)
    pad_bottom: int = knob(10, "Face", "Pad bottom",
        "Pixels added below the box, to take the chin in.", low=-512, high=512, step=1, unit="px", advanced=True)
    pad_left: int = knob(0, "Face", "Pad left",
        "Pixels added left of the box.", low=-512, high=512, step=1, unit="px", advanced=True)
    pad_right: int = knob(0, "Face", "Pad right",
        "Pixels added right of the box.", low=-512, high=512, step=1, unit="px", advanced=True)
    static: bool = knob(False, "Face", "First frame only",
        "Use only the first frame of a video, as a still portrait.", advanced=True)

    # Timing
    fps: str = knob("", "Timing", "Frame rate",
        "Of the result, like 25 or 30000/1001. Empty: the video's own; 25 for a picture.")
    fit: str = knob("loop", "Timing", "Speech longer than video",
        "loop, play forth and back (pingpong), hold the last frame, or cut to the shorter of the two.",
        choices=FITS)
    mel_offset_ms: float = knob(0.0, "Timing", "Sound offset",
        "Positive lets the lips come earlier. 0 is the published rule.",
        low=-1000.0, high=1000.0, step=5.0, unit="ms")
    speech_start: float = knob(0.0, "Timing", "Speech from",
        "Leave out the speech before this time.", low=0.0, high=86400.0, step=0.1, unit="s", advanced=True)
    speech_end: float = knob(0.0, "Timing", "Speech until",
        "Leave out the speech after this time. 0: to its end.",
        low=0.0, high=86400.0, step=0.1, unit="s", advanced=True)
    speech_track: int = knob(-1, "Timing", "Sound track",
        "Which sound track of the speech's file is heard, the first is 0. -1: the file's default.",
        low=-1, high=63, step=1, advanced=True)

    # Silence
    gate: bool = knob(True, "Silence", "Close mouth in silence",
        "The mouth closes where nobody speaks.")
    gate_threshold: float = knob(10.0, "Silence", "Gate threshold",
        "How far above the noise floor counts as speech.", low=0.0, high=40.0, step=0.5, unit="dB", advanced=True)
    gate_attack_ms: float = knob(50.0, "Silence", "Gate attack",
        "How early the gate opens before speech.", low=0.0, high=500.0, step=5.0, unit="ms", advanced=True)
    gate_release_ms: float = knob(150.0, "Silence", "Gate release",
        "How slowly it closes after speech.", low=0.0, high=2000.0, step=5.0, unit="ms", advanced=True)

    # Blend
    mask: str = knob("auto", "Blend", "Mask",
        "Which part of the face is replaced. auto: what suits the engine. face: all of it. parsing: what a network "
        "takes for face below the eyes (lipsync weights get parsing_bisenet). user: the mask file.",
        choices=("auto", "mouth", "lower_face", "face", "parsing", "ellipse", "box", "user"))
    occlusion: bool = knob(False, "Blend", "Keep what is in front",
        "Hands, microphones and hair in front of the mouth stay. A network finds them (lipsync weights get "
        "parsing_bisenet); 0.3 s a frame on a CPU.")
    mask_file: str = knob("", "Blend", "Mask file",
        "A grey picture of the frame's size: white is replaced, black stays.", file=True, advanced=True)
    feather: float = knob(0.08, "Blend", "Feather",
        "Softness of the mask's edge, as a share of the face's width.", low=0.0, high=0.5, step=0.01)
    grow: float = knob(0.0, "Blend", "Grow mask",
        "Widen (or shrink) the mask, as a share of the face's width.",
        low=-0.3, high=0.3, step=0.01, advanced=True)
    colour_match: float = knob(1.0, "Blend", "Colour match",
        "Draw the mouth's colour to the frame's: 0 off, 1 fully.", low=0.0, high=1.0, step=0.05)
    grain: float = knob(1.0, "Blend", "Grain match",
        "Give a mouth that is smoother than the frame around it the frame's grain: 0 off, 1 fully.",
        low=0.0, high=1.0, step=0.05)
    paste: str = knob("feather", "Blend", "Paste",
        "feather is fast; pyramid hides differences in light better.", choices=("feather", "pyramid"))
    yaw_limit: float = knob(55.0, "Blend", "Turned-away limit",
        "Where a video's head is turned further to the side, the new mouth fades into the original. 90: never.",
        low=10.0, high=90.0, step=1.0, unit="deg", advanced=True)
    yaw_fade: float = knob(15.0, "Blend", "Turned-away fade",
        "Over how much more turning it fades.", low=0.0, high=45.0, step=1.0, unit="deg", advanced=True)

    # Restoration
    enhancer: str = knob("auto", "Restoration", "Face enhancer",
        "Sharpens what the engine drew. auto: a restorer whose weights are here, where a GPU computes and the engine "
        "draws fewer pixels than the face has; else none.",
        choices=("auto", "none", "gfpgan", "restoreformer", "codeformer"))
    enhancer_checkpoint: str = knob("", "Restoration", "Enhancer checkpoint",
        "Name from `lipsync weights list` or path of a checkpoint. Empty: the first that is here.",
        file=True, weights=True, advanced=True)
    enhance_strength: float = knob(0.8, "Restoration", "Enhancer strength",
        "How much of the enhancer's detail is added: 0 none, 1 all of it.", low=0.0, high=1.0, step=0.05)
    enhance_region: str = knob("auto", "Restoration", "Enhanced region",
        "Where detail is added. auto: only where the face was replaced. face: the whole face, which can change who it "
        "is.", choices=("auto", "mouth", "lower_face", "face"))
    enhance_stability: float = knob(1.0, "Restoration", "Enhancer stability",
        "Against flicker: 1 lets detail change no faster than the picture under it, 0 enhances each frame on its own.",
        low=0.0, high=1.0, step=0.05, advanced=True)
    enhance_fidelity: float = knob(0.7, "Restoration", "CodeFormer fidelity",
        "For codeformer: 0 looks best, 1 looks most like the input.",
        low=0.0, high=1.0, step=0.05, advanced=True)

    # Motion
    blink: float = knob(1.0, "Motion", "Blinks",
        "Of a still portrait: 0 none, 1 natural, 2 twice as often.", low=0.0, high=2.0, step=0.1)
    sway: float = knob(1.0, "Motion", "Head motion",
        "Strength of the head's motion in a still portrait: a slight sway with puppet, the whole head with sadtalker. "
        "0 none.", low=0.0, high=2.0, step=0.1)
    preprocess: str = knob("full", "Motion", "Picture mode",
        "sadtalker. full: the head moves inside the whole picture; extfull: with more around it. crop, extcrop: the "
        "result shows the head alone. resize: the whole picture moves, for portraits that are nearly all head.",
        choices=("full", "extfull", "crop", "extcrop", "resize"))
    head_size: str = knob("auto", "Motion", "Head size",
        "sadtalker: side of the square that the network draws, in pixels. auto: what the checkpoint is made for.",
        choices=("auto", "256", "512"))
    still: bool = knob(False, "Motion", "Still head",
        "sadtalker: the head keeps the portrait's pose; lips, face and eyes move.")
    pose_style: int = knob(0, "Motion", "Pose style",
        "sadtalker: one of 46 ways to move the head.", low=0, high=45, step=1)
    expression_scale: float = knob(1.0, "Motion", "Expression scale",
        "sadtalker: how strongly the whole face moves, lips included.", low=0.0, high=3.0, step=0.05)
    yaw: str = knob("", "Motion", "Yaw",
        "sadtalker: degrees between -90 and 90 that the head turns through sideways, at one speed over the clip, like "
        "0,30,-20; two equal ones hold. Empty: its own motion.")
    pitch: str = knob("", "Motion", "Pitch", "sadtalker: the same up and down.")
    roll: str = knob("", "Motion", "Roll", "sadtalker: the same tilting to the shoulders.")
    blink_video: str = knob("", "Motion", "Blink video",
        "sadtalker: a video whose eyes are followed, and nothing else of it.", file=True)
    pose_video: str = knob("", "Motion", "Pose video",
        "sadtalker: a video whose head is followed, instead of motion made from the voice.", file=True)
    drive_video: str = knob("", "Motion", "Driving video",
        "sadtalker: a video whose whole face is followed, lips included; the speech gives length and sound.", file=True)
    idle: float = knob(0.0, "Motion", "Idle",
        "So many seconds of blinks and head motion without a voice; the speech is not read. 0: speak.",
        low=0.0, high=3600.0, step=0.5, unit="s")
    sharp_lips: str = knob("", "Motion", "Sharp lips",
        "sadtalker: name or file of a Wav2Lip checkpoint that draws the lips of the moving head anew, in the same run.",
        file=True, weights=True)

    # Picture
    resize_factor: int = knob(1, "Picture", "Shrink input",
        "Divide the picture's size by this before anything else.", low=1, high=8, step=1, advanced=True)
    crop: str = knob("", "Picture", "Crop",
        "top,bottom,left,right in pixels: work on this part of the video only; -1 means to the edge.",
        advanced=True)
    rotate: int = knob(0, "Picture", "Rotate",
        "Turn the video clockwise by 0, 90, 180 or 270 degrees.",
        low=0, high=270, step=90, unit="deg", advanced=True)

    # Output
    crf: int = knob(18, "Output", "Quality (crf)",
        "H.264 quality: lower is better and larger; 18 looks like the source.", low=0, high=51, step=1)
    preset: str = knob("veryfast", "Output", "Encoder preset",
        "Faster presets make larger files.",
        choices=("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"))
    label: str = knob("auto", "Output", "Visible label",
        "A small 'AI-generated' tag in the picture. auto: where the weights' licence asks for it.",
        choices=("auto", "on", "off"))
    label_seconds: float = knob(0.0, "Output", "Label time",
        "Show the label for the first seconds only. 0: throughout.",
        low=0.0, high=3600.0, step=0.5, unit="s", advanced=True)
    strict: bool = knob(False, "Output", "Strict",
        "A damaged or repaired input is an error instead of a warning.", advanced=True)
    output_audio: str = knob("", "Output", "Sound to keep",
        "A file whose sound goes into the result instead of the speech that drives the lips.", file=True)

    # Performance
    device: str = knob("auto", "Performance", "Device",
        "auto, cpu, cuda, cuda:1, mps ... as torch names them.")
    precision: str = knob("auto", "Performance", "Precision",
        "auto: fp16 on a GPU, bf16 on a CPU that computes it natively, else fp32.",
        choices=("auto", "fp32", "fp16", "bf16"))
    batch_size: int = knob(16, "Performance", "Batch size",
        "Frames that go through at once; halved by itself when memory runs out.", low=1, high=256, step=1)
    compile: bool = knob(False, "Performance", "Compile",
        "torch.compile the generator: slow start, then faster on a GPU.", advanced=True)
    cache: bool = knob(True, "Performance", "Remember faces",
        "Keep the face track of a file, so that the next voice starts at once.", advanced=True)
    # fmt: on

    def __post_init__(self) -> None:
        for row in fields(self):
            check_value(row, getattr(self, row.name))
        self._check_together()

    def _check_together(self) -> None:
        """Values that must fit each other or have a form of their own."""
        if self.fps:
            parse_fps(self.fps)
        if self.rotate not in (0, 90, 180, 270):
            raise UsageError(f"Rotate is {self.rotate}. It must be 0, 90, 180 or 270.")
        if self.speech_end and self.speech_end <= self.speech_start:
            raise UsageError(f"Speech until ({self.speech_end} s) must lie after Speech from ({self.speech_start} s).")
        if self.mask == "user" and not self.mask_file:
            raise UsageError("Mask is 'user', but no mask file is given. Name one, or choose another mask.")
        if self.detector == "box" and not self.box and not self.mask_file:
            raise UsageError("Face detector is 'box', but no box is given. Set the face box to x1,y1,x2,y2.")
        if self.which_face == "point":
            self.numbers("face_point", 2)
        if self.box:
            left, top, right, bottom = self.numbers("box", 4)
            if right <= left or bottom <= top:
                raise UsageError(f"The face box {self.box} is empty. It is x1,y1,x2,y2 with x2 > x1 and y2 > y1.")
        if self.crop:
            self.numbers("crop", 4)
        self._check_motion()

    def _check_motion(self) -> None:
        for name in ("yaw", "pitch", "roll"):
            self.angles(name)

    def numbers(self, name: str, count: int) -> tuple[float, ...]:
        """A field like 'x1,y1,x2,y2' as numbers; commas or spaces between them."""
        text = str(getattr(self, name))
        values = _numbers(text) or ()
        if len(values) != count:
            raise UsageError(f"{knobs()[name].label} is '{text}'. It takes {count} numbers with commas between them.")
        return values

    def angles(self, name: str) -> tuple[float, ...]:
        """A field like '0,30,-20' as degrees; () where it is empty."""
        text = str(getattr(self, name))
        values = _numbers(text)
        if values is None or len(values) > MOST_ANGLES or any(not abs(value) <= WIDEST_ANGLE for value in values):
            raise UsageError(
                f"{knobs()[name].label} is '{text}'. It takes numbers between -{WIDEST_ANGLE:g} and {WIDEST_ANGLE:g} "
                f"degrees with commas between them, {MOST_ANGLES} at most."
            )
        return values


def _numbers(text: str) -> tuple[float, ...] | None:
    """The numbers of a text, with commas or spaces between them; None where something else is in it."""
    try:
        return tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        return None


def knobs() -> dict[str, Knob]:
    """Field name -> Knob, in the order of the class."""
    return {row.name: row.metadata["knob"] for row in fields(LipSyncOptions)}


def defaults() -> dict[str, Any]:
    """Field name -> default value."""
    return {row.name: row.default for row in fields(LipSyncOptions)}


def from_mapping(values: Mapping[str, Any]) -> LipSyncOptions:
    """Options from names and values, as a host or a file gives them; an unknown name is an error."""
    unknown = sorted(set(values) - set(knobs()))
    if unknown:
        raise UsageError(f"There is no option '{unknown[0]}'. Known: {', '.join(knobs())}.")
    return LipSyncOptions(**values)
