"""Processes that prepare shards, and what happens when one of them dies or hangs over a video.

A decoder can end its process (a fault in native code, no memory) or never come back. Each hand is therefore a process
of its own that says which video it is at. A task whose hand died is done again when nothing else runs; the video at
which that one dies is left out, and said.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from ..errors import LipSyncError
from ..runtime import Runtime
from .prepare import Made, make_shard
from .prepare_plan import Task

SILENT_SECONDS = 3600.0  # without a sign of life (one is given for every batch of frames) a process hangs
_LOOK_EVERY = 0.5  # s
_PLACE, _BEATS, _STOP = 0, 1, 2  # of the numbers that a hand shares with us; without a lock, which the dead keep

# spawn: a fork of a process that has used torch's threads can hang
_CONTEXT = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Died:
    """A process that ended over a task. place: of the video it was at, -1 before the first. why: a sentence."""

    place: int
    why: str


class Hand:
    """One process. It does one task at a time and is replaced when it dies."""

    def __init__(self, runtime: Runtime) -> None:
        self.task: Task | None = None
        self._runtime = runtime
        self._process: Any = None
        self._pipe: Any = None
        self._marks: Any = None
        self._beats, self._since = -1, 0.0

    def give(self, task: Task, deadly: dict[int, str]) -> None:
        if self._process is None or not self._process.is_alive():
            self.end()
            self._start()
        self.task = task
        self._marks[_PLACE], self._beats, self._since = -1, -1, time.monotonic()
        with suppress(OSError):  # it has died meanwhile; `take` finds out
            self._pipe.send((task, deadly, self._runtime))

    def take(self) -> Made | Died | None:
        """What came of the task, None when it is not done. Raises what the task raised."""
        if self.task is None:
            return None
        try:
            if self._pipe.poll():
                answer = self._pipe.recv()
                self.task = None
                if isinstance(answer, LipSyncError):
                    raise answer
                made: Made = answer
                return made
        except (EOFError, ConnectionError):
            self._process.join()
            return self._dead(_cause(self._process.exitcode))
        if self._hangs():
            return self._dead(f"the process that read it gave no sign of life for {SILENT_SECONDS / 60:.0f} minutes.")
        return None

    @property
    def pipe(self) -> Connection | None:
        """What becomes ready when there is something to take."""
        return self._pipe if self.task is not None else None

    def end(self) -> None:
        """Ask the process to go, and see that it does."""
        if self._process is None:
            return
        self._marks[_STOP] = 1
        self._pipe.close()
        self._process.join(_LOOK_EVERY * 4)
        self._process.kill()
        self._process.join()
        self._process = self._pipe = self.task = None

    def _start(self) -> None:
        self._pipe, theirs = _CONTEXT.Pipe()
        self._marks = _CONTEXT.RawArray("q", 3)
        self._process = _CONTEXT.Process(target=_serve, args=(theirs, self._marks), daemon=True)
        self._process.start()
        theirs.close()

    def _hangs(self) -> bool:
        beats, now = self._marks[_BEATS], time.monotonic()
        if beats != self._beats or not beats:  # before its first it is still starting
            self._beats, self._since = beats, now
        return now - self._since > SILENT_SECONDS

    def _dead(self, why: str) -> Died:
        place = int(self._marks[_PLACE])
        self._process.kill()
        self.end()
        return Died(place, why)


def spread(tasks: Sequence[Task], runtime: Runtime, count: int) -> Iterator[Made]:
    """Do tasks in `count` processes; what came of each, as they are done. Raises Cancelled within a batch of frames."""
    quiet = portable(runtime)
    hands = [Hand(quiet) for _ in range(max(1, min(count, len(tasks))))]
    waiting, again = deque(tasks), list[Task]()
    try:
        while waiting or any(hand.task for hand in hands):
            for hand in hands:
                if hand.task is None and waiting:
                    hand.give(waiting.popleft(), {})
            wait([hand.pipe for hand in hands if hand.pipe is not None], _LOOK_EVERY)
            runtime.check()
            for hand in hands:
                task, answer = hand.task, hand.take()
                if isinstance(answer, Made):
                    yield answer
                elif answer is not None and task is not None:
                    again.append(task)
        for task in again:
            yield _alone(task, hands[0], runtime)
    finally:
        for hand in hands:
            hand.end()


def _alone(task: Task, hand: Hand, runtime: Runtime) -> Made:
    """Do a task over which a process has died, with nothing beside it, and leave out the videos that kill it."""
    deadly: dict[int, str] = {}
    hand.give(task, deadly)
    while True:
        if hand.pipe is not None:
            wait([hand.pipe], _LOOK_EVERY)
        runtime.check()
        answer = hand.take()
        if isinstance(answer, Made):
            return answer
        if answer is None:
            continue
        if answer.place < 0:
            raise RuntimeError(f"a process that prepares shards cannot work: {answer.why}")
        deadly[answer.place] = answer.why
        hand.give(task, deadly)


def portable(runtime: Runtime) -> Runtime:
    """The runtime without what cannot go to another process: progress, the stop button, what a host lends."""
    plain = Runtime()
    folders = tuple(folder.absolute() for folder in runtime.model_dirs)
    cache = runtime.cache_dir.absolute() if runtime.cache_dir else None
    return replace(
        plain,
        device=runtime.device,
        precision=runtime.precision,
        model_dirs=folders,
        offline=runtime.offline,
        cache_dir=cache,
    )


def _cause(code: int) -> str:
    what = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"the process that read it ended ({what})."


def _serve(pipe: Connection, marks: Any) -> None:
    """The life of a hand: a task in, what came of it out, until the other end is closed."""
    import torch

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # they go to the whole group; who started us says when to stop
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_follow, daemon=True).start()
    torch.set_num_threads(1)

    def asked() -> bool:
        marks[_BEATS] += 1
        return bool(marks[_STOP])

    def at(place: int) -> None:
        marks[_PLACE] = place

    while True:
        try:
            task, deadly, runtime = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer: Made | LipSyncError = make_shard(task, replace(runtime, cancelled=asked), deadly, at)
        except LipSyncError as error:
            answer = error
        with suppress(OSError):  # nobody listens any more
            pipe.send(answer)


def _follow() -> None:
    """End with the process that started us, whatever ended that."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
