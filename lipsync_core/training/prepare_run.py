"""Many shards at once: processes of one machine, or Ray on many. Both call the same `make_shard`."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..runtime import Runtime
from .prepare import Made, Task, make_shard

Seen = Callable[[Made], None]


def prepare(
    tasks: Sequence[Task], runtime: Runtime, workers: int = 1, ray: bool = False, seen: Seen | None = None
) -> list[Made]:
    """Do all tasks and return what came of each, in their order. seen: called as each is done.

    Killed and started again it goes on with the shards that are not finished. Raises UsageError without Ray.
    """
    made: dict[str, Made] = {}
    for row in _ray(tasks, runtime, workers) if ray else _here(tasks, runtime, workers):
        runtime.check()
        made[row.shard] = row
        runtime.progress("prepare", len(made), len(tasks))
        if seen is not None:
            seen(row)
    return [made[task.out.name] for task in tasks]


def _here(tasks: Sequence[Task], runtime: Runtime, workers: int) -> Iterator[Made]:
    if workers <= 1:
        yield from (make_shard(task, runtime) for task in tasks)
        return
    # spawn: a fork of a process that has used torch's threads can hang
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_one_thread) as pool:
        waiting: list[Future[Made]] = [pool.submit(make_shard, task, portable(runtime)) for task in tasks]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _ray(tasks: Sequence[Task], runtime: Runtime, workers: int) -> Iterator[Made]:
    try:
        import ray
    except ImportError:
        raise UsageError("Ray is not installed. Install it: pip install sd-lipsync[ray]") from None
    quiet = portable(runtime)

    def work(row: dict[str, Any]) -> dict[str, Any]:
        return {"made": make_shard(row["item"], quiet)}

    if not ray.is_initialized():
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    data: Any = ray.data
    rows = data.from_items(list(tasks), override_num_blocks=len(tasks)).map(work, concurrency=workers)
    for row in rows.iter_rows():
        yield row["made"]


def portable(runtime: Runtime) -> Runtime:
    """The runtime without what cannot go to another process: progress and the stop button of this one."""
    plain = Runtime()
    return replace(runtime, progress=plain.progress, cancelled=plain.cancelled, notes=[])


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def read_names(path: Path) -> tuple[str, ...]:
    """The first word of each line: the lists of LRS2 (train.txt, val.txt, test.txt) have the video's name there."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(line.split()[0] for line in lines if line.strip())
