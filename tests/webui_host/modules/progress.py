"""Which job waits, runs, is done."""

import itertools

current_task = None
pending_tasks: dict = {}
finished_tasks: list = []
_numbers = itertools.count(1)


def create_task_id(task_type: str) -> str:
    return f"task({task_type}-{next(_numbers):07})"


def add_task_to_queue(task) -> None:
    pending_tasks[task] = True


def start_task(task) -> None:
    global current_task
    current_task = task
    pending_tasks.pop(task, None)


def finish_task(task) -> None:
    global current_task
    if current_task == task:
        current_task = None
    finished_tasks.append(task)
