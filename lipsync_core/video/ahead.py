"""Run an iterator ahead of its consumer, on a thread, never more than a few items."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class _End:
    """The source is exhausted, or has failed with `error`."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def read_ahead(source: Iterator[T], depth: int) -> Generator[T, None, None]:
    """The same items in the same order. At most `depth` wait; one more is being made.

    An error of the source is raised here, after the items before it. Closing this iterator closes the source, on its
    own thread, and waits until it has stopped: at most for the item that it is working on.
    """
    items: SimpleQueue[T | _End] = SimpleQueue()
    room = threading.Semaphore(depth)
    stop = threading.Event()

    def produce() -> None:
        error: BaseException | None = None
        try:
            for item in source:
                items.put(item)
                room.acquire()
                if stop.is_set():
                    break
        except BaseException as caught:  # whatever it is, it belongs to the consumer
            error = caught
        finally:
            close = getattr(source, "close", None)  # generators hold open files until they are closed
            if close is not None:
                close()
            items.put(_End(error))

    # A daemon, so that a file system that hangs cannot keep the program from ending.
    thread = threading.Thread(target=produce, name="lipsync-decode", daemon=True)
    thread.start()
    try:
        while not isinstance(item := items.get(), _End):
            room.release()
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        room.release()
        thread.join()
