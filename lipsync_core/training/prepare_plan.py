"""What there is to prepare, and how it is split: the videos of a folder, one task for each shard, names of clips."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from ..batch import VIDEOS
from ..errors import InputError, UsageError
from ..media import shown_name

ENDINGS = frozenset((*VIDEOS, ".mpeg", ".mts", ".m2ts", ".vob", ".flv", ".3gp", ".wmv", ".asf"))
_PLAIN = re.compile(r"[0-9A-Za-z_]+(/[0-9A-Za-z_]+)*\.mp4")
_NAME_LETTERS = 80  # of a clip's name in a tar, whose plain headers end at 100


@dataclass(frozen=True)
class PrepareSettings:
    """What becomes a clip.

    size: px of the crops. min_face: px, narrower faces are left out. min_seconds, max_seconds: of a clip; longer runs
    are cut. least_sharpness: variance of the Laplacian of grey crops; 0 keeps everything. pads: px top, bottom, left,
    right around the box; the published training has none. net: "", or what offsets are measured with (see
    `metrics.syncnets.NETWORKS`), checkpoint: its weights. least_confidence: faces below it are left out, because
    they do not speak what is heard. per_shard: videos. Raises UsageError for what cannot be.
    """

    size: int = 96
    min_face: int = 48
    min_seconds: float = 1.0
    max_seconds: float = 20.0
    least_sharpness: float = 20.0
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    detector: str = "auto"
    net: str = ""
    checkpoint: str = ""
    least_confidence: float = 1.0
    per_shard: int = 16

    def __post_init__(self) -> None:
        for name, least in (("size", 16), ("per_shard", 1), ("min_face", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"--{name.replace('_', '-')} is {getattr(self, name)}. It takes {least} or more.")
        if not 0 < self.min_seconds <= self.max_seconds < float("inf"):
            raise UsageError("--min-seconds must be more than 0 and no more than --max-seconds.")


@dataclass(frozen=True)
class Found:
    """What lies in a folder. videos: relative to root, with /, sorted. others: files that are no videos by their
    names. troubles: sentences on what could not be looked into.
    """

    root: Path
    videos: tuple[str, ...]
    others: int
    troubles: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """One shard. root: folder that `videos` (relative, with /) lie in. out: path without ending."""

    root: Path
    videos: tuple[str, ...]
    out: Path
    settings: PrepareSettings

    @property
    def key(self) -> str:
        """Changes with everything that the shard is made from."""
        facts = [asdict(self.settings), [[name, _size(self.root / name)] for name in self.videos]]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def find_videos(data: Path, names: tuple[str, ...] = ()) -> Found:
    """Every video under a folder; links to folders are not followed. names: only these (relative, ending may lack).

    Pipes, links that lead nowhere and the like count as videos when they are named so: who reads them says what they
    are. Raises InputError when there is nothing to prepare.
    """
    if not data.is_dir():
        raise InputError(f"{shown_name(data)}: this is not a folder. Give the folder that the videos are in.")
    root = data.absolute()
    videos: list[str] = []
    troubles: list[str] = []
    others = 0

    def unread(error: OSError) -> None:
        where = _relative(Path(error.filename or root), root)
        troubles.append(f"{shown_path(where)}: the folder cannot be read ({error.strerror}).")

    for folder, below, files in os.walk(root, onerror=unread):
        links = [Path(folder, name) for name in below if Path(folder, name).is_symlink()]
        troubles += [f"{shown_path(_relative(link, root))}: links to folders are not followed." for link in links]
        found = [Path(folder, name) for name in files if Path(name).suffix.lower() in ENDINGS]
        others += len(files) - len(found)
        videos += [_relative(path, root) for path in found]
    if names:
        videos, missing = _named(videos, names)
        troubles += missing
    if not videos:
        more = "".join(f" {text}" for text in troubles[:3])
        raise InputError(f"{shown_name(data)}: there is no video in this folder that could be prepared.{more}")
    return Found(root, tuple(sorted(videos)), others, tuple(sorted(troubles)))


def plan_tasks(found: Found, out: Path, settings: PrepareSettings) -> list[Task]:
    """The shards of a folder of videos, in the order of their names."""
    step = settings.per_shard
    parts = (found.videos[start : start + step] for start in range(0, len(found.videos), step))
    out = out.absolute()  # another process may work in another folder
    return [Task(found.root, part, out / f"shard-{number:06d}", settings) for number, part in enumerate(parts)]


def read_names(path: Path) -> tuple[str, ...]:
    """The first word of each line: the lists of LRS2 (train.txt, val.txt, test.txt) have the video's name there.

    Raises InputError for a list that cannot be read or names nothing.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{shown_name(path)}: the list cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise InputError(f"{shown_name(path)}: the list is not text in UTF-8.") from None
    names = tuple(line.split()[0] for line in lines if line.strip())
    if not names:
        raise InputError(f"{shown_name(path)}: the list names no video.")
    return names


def shown_path(name: str) -> str:
    """A relative name as it may be printed and stored: what is no text is escaped."""
    return "/".join(shown_name(part) for part in name.split("/"))


def clip_stem(video: str) -> str:
    """What the names of a video's clips begin with: letters, digits, _ and -, and never the same for two videos.

    In a shard the first point ends the name of a clip, and clips of one name would become one. one/00001.mp4 is
    one-00001; whatever is not as plain as that carries a hash of its name.
    """
    stem = video.rsplit(".", 1)[0]
    if _PLAIN.fullmatch(video) and len(stem) <= _NAME_LETTERS:
        return stem.replace("/", "-")
    mark = hashlib.sha256(video.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{re.sub('[^0-9A-Za-z_]+', '-', stem)[: _NAME_LETTERS - 11]}-{mark}"


def _named(videos: list[str], names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """(those of the list, a sentence on those that are not there)."""
    wanted = set(names)
    chosen = [name for name in videos if name in wanted or name.rsplit(".", 1)[0] in wanted]
    missing = sorted(wanted - set(chosen) - {name.rsplit(".", 1)[0] for name in chosen})
    if not missing:
        return chosen, []
    few = ", ".join(shown_path(name) for name in missing[:3])
    return chosen, [f"{len(missing)} of the {len(wanted)} videos of the list are not in the folder: {few} ..."]


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path != root else "."


def _size(path: Path) -> int:
    """Bytes; -1 for what is not there (any more), leads nowhere or may not be read: once it may, it is done again."""
    try:
        return path.stat().st_size if os.access(path, os.R_OK) else -1
    except OSError:
        return -1
