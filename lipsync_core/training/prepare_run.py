"""Many shards at once: processes of one machine, or Ray on many. Both call the same `make_shard`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from ..errors import UsageError
from ..media import output_error, sweep_parts
from ..runtime import Runtime
from .prepare import Made, is_prepared, make_shard
from .prepare_hands import portable, spread
from .prepare_plan import Task

Seen = Callable[[Made], None]


def prepare(
    tasks: Sequence[Task], runtime: Runtime, workers: int = 0, ray: bool = False, seen: Seen | None = None
) -> list[Made]:
    """Do all tasks and return what came of each, in their order. seen: called as each is done.

    workers: processes; 0 works in this one, where a video that kills a decoder ends all. Killed and started again it
    goes on with the shards that are not finished. Raises UsageError without Ray, OutputError where shards cannot be.
    """
    made: dict[str, Made] = {}
    _clear(tasks)
    for row in _ray(tasks, runtime, workers) if ray else _here(tasks, runtime, workers):
        made[row.shard] = row
        runtime.progress("prepare", len(made), len(tasks))
        if seen is not None:
            seen(row)
        runtime.check()
    return [made[task.out.name] for task in tasks]


def _here(tasks: Sequence[Task], runtime: Runtime, workers: int) -> Iterator[Made]:
    if workers <= 0:
        yield from (make_shard(task, runtime) for task in tasks)
    else:
        yield from spread(tasks, runtime, workers)


def _ray(tasks: Sequence[Task], runtime: Runtime, workers: int) -> Iterator[Made]:
    try:
        import ray
    except ImportError:
        raise UsageError("Ray is not installed. Install it: pip install sd-lipsync[ray]") from None
    quiet = portable(runtime)

    def work(row: dict[str, Any]) -> dict[str, Any]:
        (made,) = spread([row["item"]], quiet, 1)  # Ray would begin a task whose process dies again and again
        return {"made": made}

    if not ray.is_initialized():
        ray.init(num_cpus=max(1, workers), include_dashboard=False, log_to_driver=False)
    data: Any = ray.data
    rows = data.from_items(list(tasks), override_num_blocks=len(tasks)).map(work, concurrency=max(1, workers))
    for row in rows.iter_rows():
        yield row["made"]


def _clear(tasks: Sequence[Task]) -> None:
    """Take away what killed runs left half-written, and shards of a run that had more of them: their clips would be
    there twice.
    """
    folder = tasks[0].out.parent
    sweep_parts(folder)
    ours = {task.out.name for task in tasks}
    try:
        for index in sorted(folder.glob("shard-*.json")):
            if index.stem not in ours and is_prepared(index):
                index.unlink()
                with suppress(FileNotFoundError):
                    index.with_suffix(".tar").unlink()
    except OSError as error:
        raise output_error(error, folder / "shard") from None
