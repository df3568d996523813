"""What training on drawn people is worth, on clips of people that were held out: agreement and openings of mouths."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lipsync_core.metrics.sync import FPS, Sync, score_sync
from lipsync_core.metrics.syncnets import ExpertScore, Sound
from lipsync_core.networks.syncnet import SyncNetColor
from lipsync_core.runtime import Runtime
from lipsync_core.timing import MEL_COLUMNS_PER_SECOND, mel_windows
from lipsync_core.training.config import config_from
from lipsync_core.training.jobs import load_expert, new_generator
from lipsync_core.training.shards import ClipPlace, read_frames, read_mel
from lipsync_core.types import Float, Pixels
from lipsync_core.weights import load_state_dict
from lipsync_core.weights.load import metadata_of

from .mouth_reader import MouthReader, taught_reader

SHIFTS = range(-5, 6)
_MARGIN = 5  # frames at both ends that only shifted clips see
_COLUMNS = 16  # mel columns of five frames

Generate = Callable[[Pixels, Float], Pixels]


def measured(work: Path, known: Sequence[ClipPlace], held: Sequence[ClipPlace]) -> list[str]:
    """The tables of what was made on clips of `held`. known: clips that were trained on."""
    torch.set_grad_enabled(False)
    expert = load_expert(work / "expert" / "model.safetensors", Runtime())
    makers = {name: generator(work, name) for name in ("without", "with", "longer, with")}
    with torch.enable_grad():
        reader = taught_reader(known)
    save_sheet(work / "sheet.png", held[:6], makers)
    return [offsets(expert, held), agreement(expert, held, makers), openings(reader, held, makers)]


def generator(work: Path, name: str) -> Generate:
    """frames, mel -> the frames with mouths that say it; the first frame is the only mouth that is seen."""
    path = work / name / "model.safetensors"
    config = config_from(json.loads(metadata_of(path)["config"]))
    network = new_generator(config)
    network.load_state_dict(load_state_dict(path, Runtime()))
    network.eval()

    def make(frames: Pixels, mel: Float) -> Pixels:
        picture = torch.from_numpy(np.ascontiguousarray(frames[..., ::-1])).permute(0, 3, 1, 2).float() / 255
        masked = picture.clone()
        masked[:, :, picture.shape[2] // 2 :] = 0
        face = torch.cat([masked, picture[:1].expand_as(picture)], dim=1)
        sound = torch.from_numpy(mel_windows(mel, 0, len(frames), FPS, config.mel_offset_ms))
        made = torch.cat([network(a, b) for a, b in zip(torch.split(sound, 50), torch.split(face, 50), strict=True)])
        return (made.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()[..., ::-1]

    return make


def offsets(expert: SyncNetColor, held: Sequence[ClipPlace]) -> str:
    """How often the protocol finds by how many frames lips and sound were moved against each other."""
    right = dict.fromkeys(SHIFTS, 0)
    for clip in held:
        frames, mel = read_frames(clip, range(len(clip.frames))), read_mel(clip)
        for shift in SHIFTS:
            found = judged(expert, frames[_MARGIN - shift : len(frames) - _MARGIN - shift], mel[:, _COLUMNS:]).offset
            right[shift] += abs(found - shift) <= 1
    shares = [f"{100 * right[shift] / len(held):.0f} %" for shift in SHIFTS]
    rows = ["| moved by | " + " | ".join(map(str, SHIFTS)) + " | all |", "|---" * (len(shares) + 2) + "|"]
    whole = 100 * sum(right.values()) / len(held) / len(right)
    return "\n".join(
        [*rows, f"| found within 1 frame, {len(held)} clips | " + " | ".join(shares) + f" | {whole:.1f} % |"]
    )


def judged(expert: SyncNetColor, frames: Pixels, mel: Float) -> Sync:
    """The protocol of `lipsync score --net expert` on crops that are there already."""
    sound = Sound(np.empty((13, 0), np.float32), mel, len(frames))
    return score_sync([frames], ExpertScore(expert, sound, "cpu"), Runtime(), "clip")


def agreement(expert: SyncNetColor, held: Sequence[ClipPlace], makers: dict[str, Generate]) -> str:
    """LSE-like scores: the trained expert's distance and confidence, and what share has the right offset."""
    pairs: dict[str, Callable[[int], tuple[Pixels, Float]]] = {
        "real": lambda i: (_frames(held[i]), read_mel(held[i])),
        "shuffled: the sound of another clip": lambda i: (_frames(held[i]), read_mel(held[i - 1])),
    }
    for name, make in makers.items():
        pairs[f"made {name} the expert"] = lambda i, make=make: (
            make(_frames(held[i]), read_mel(held[i])),
            read_mel(held[i]),
        )  # type: ignore[misc]
        pairs[f"made {name} the expert, another's sound"] = lambda i, make=make: (
            make(_frames(held[i]), read_mel(held[i - 1])),
            read_mel(held[i - 1]),
        )  # type: ignore[misc]
    rows = ["| lips and sound | distance | confidence | offset within 1 | sync loss |", "|---|---|---|---|---|"]
    torch.manual_seed(0)
    for judge_name, judge in (("", expert), (", before training", SyncNetColor(expert.size, 16).eval())):
        for name, pair in pairs.items():
            if judge is expert or name.startswith(("real", "shuffled")):
                rows.append(_row(name + judge_name, judge, [pair(i) for i in range(len(held))]))
    return "\n".join(rows)


def _row(name: str, judge: SyncNetColor, pairs: list[tuple[Pixels, Float]]) -> str:
    scores = [judged(judge, frames, mel) for frames, mel in pairs]
    means = [float(np.mean([getattr(score, key) for score in scores])) for key in ("distance", "confidence")]
    near = np.mean([abs(score.offset) <= 1 for score in scores])
    loss = np.mean([-np.log(np.clip(1 - score.curve[len(score.curve) // 2], 1e-7, 1)) for score in scores])
    return f"| {name} | {means[0]:.3f} | {means[1]:.3f} | {100 * near:.0f} % | {loss:.3f} |"


def openings(reader: MouthReader, held: Sequence[ClipPlace], makers: dict[str, Generate]) -> str:
    """Correlation over each clip of read openings with the true ones of the sound; mean and worst tenth of clips."""
    ways: dict[str, Callable[[ClipPlace], Float]] = {
        "true frames (how well it is read)": lambda clip: reader.read(_frames(clip)),
        "energy mouth: root of the mean power": _follower(_power, held),
        "energy mouth: mean level in dB": _follower(_level, held),
    }
    for name, make in makers.items():
        ways[f"made {name} the expert"] = lambda clip, make=make: reader.read(make(_frames(clip), read_mel(clip)))  # type: ignore[misc]
    rows = ["| mouth | r, mean | r, 10th percentile | spread |", "|---|---|---|---|"]
    for name, way in ways.items():
        said = [way(clip) for clip in held]
        values = [_r(_truth(clip), row) for clip, row in zip(held, said, strict=True)]
        spread = np.mean([row.std() / _truth(clip).std() for clip, row in zip(held, said, strict=True)])
        shown = "" if name.startswith("energy") else f"{spread:.2f}"
        rows.append(f"| {name} | {np.mean(values):.3f} | {np.percentile(values, 10):.3f} | {shown} |")
    return "\n".join(rows)


def _r(one: Float, other: Float) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def _power(mel: Float) -> Float:
    """(80, M) mel -> (M,) root of the power of all bands; 8 units of mel are 100 dB."""
    return np.asarray(np.sqrt((10 ** ((mel + 4) / 8 * 10)).sum(axis=0)), np.float32)


def _level(mel: Float) -> Float:
    return np.asarray(mel.mean(axis=0), np.float32)


def _follower(loudness: Callable[[Float], Float], held: Sequence[ClipPlace]) -> Callable[[ClipPlace], Float]:
    """A mouth that opens as it is loud, with the delay and smoothing (frames) that suit these very clips best."""

    def at(clip: ClipPlace, delay: int, width: int) -> Float:
        curve = loudness(read_mel(clip))
        columns = np.round((np.arange(len(clip.frames)) + 0.5) / float(FPS) * MEL_COLUMNS_PER_SECOND).astype(int)
        padded = np.pad(curve[columns.clip(0, len(curve) - 1)], width, mode="edge")
        return np.roll(np.convolve(padded, np.ones(width) / width, "same")[width:-width], delay)

    choices = [(delay, width) for delay in range(-3, 4) for width in (1, 3, 5, 7)]
    best = max(choices, key=lambda choice: float(np.mean([_r(_truth(clip), at(clip, *choice)) for clip in held])))
    return lambda clip: at(clip, *best)


def save_sheet(path: Path, held: Sequence[ClipPlace], makers: dict[str, Generate]) -> None:
    """Twelve frames of each clip: true, then made by each generator."""
    rows = []
    for clip in held:
        frames, mel = _frames(clip), read_mel(clip)
        places = np.linspace(10, len(frames) - 5, 12).astype(int)
        rows += [
            np.concatenate(list(pixels[places]), axis=1)
            for pixels in (frames, *(make(frames, mel) for make in makers.values()))
        ]
    Image.fromarray(np.concatenate(rows)).save(path)


def _frames(clip: ClipPlace) -> Pixels:
    return read_frames(clip, range(len(clip.frames)))


def _truth(clip: ClipPlace) -> Float:
    return np.asarray(clip.facts["opening"], np.float32)
