"""One job at a time, and the wrapper of the Generate button."""

import html
import threading
import traceback
from functools import wraps

from modules import progress, shared

queue_lock = threading.Lock()


def wrap_gradio_gpu_call(func, extra_outputs=None):
    @wraps(func)
    def wrapped(*args, **kwargs):
        first = args[0] if args else None
        task = first if isinstance(first, str) and first.startswith("task(") and first.endswith(")") else None
        with queue_lock:
            shared.state.begin(job=task)
            progress.start_task(task)
            try:
                results = func(*args, **kwargs)
            finally:
                progress.finish_task(task)
            shared.state.end()  # not reached when the job fails, as in the host
        return results

    return wrap_gradio_call(wrapped, extra_outputs, add_stats=True)


def wrap_gradio_call(func, extra_outputs=None, add_stats=False):
    @wraps(func)
    def wrapped(*args, **kwargs):
        try:
            results = list(func(*args, **kwargs))
        except Exception as error:
            traceback.print_exc()
            results = [*(extra_outputs or [None, ""]), f"<div class='error'>{html.escape(str(error))}</div>"]
        finally:
            shared.state.skipped = shared.state.interrupted = shared.state.stopping_generation = False
            shared.state.job, shared.state.job_count = "", 0
        if add_stats:
            results[-1] = f"{results[-1]}<div class='performance'></div>"  # the last has to be a string
        return tuple(results)

    return wrapped


def wrap_queued_call(func):
    @wraps(func)
    def wrapped(*args, **kwargs):
        with queue_lock:
            return func(*args, **kwargs)

    return wrapped
