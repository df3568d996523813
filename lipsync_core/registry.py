"""An explicit table of plug-ins: no decorators, no folder scan, no work at import."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Generic, TypeVar

from .errors import UsageError

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to rows, in the order they were added. `kind` is the word that errors use."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._rows: dict[str, T] = {}

    def add(self, name: str, row: T) -> None:
        if name in self._rows:
            raise ValueError(f"{self.kind} '{name}' is already in the table")
        self._rows[name] = row

    def __getitem__(self, name: str) -> T:
        if name in self._rows:
            return self._rows[name]
        near = difflib.get_close_matches(name, self._rows, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise UsageError(f"There is no {self.kind} '{name}'.{hint} Known: {', '.join(self._rows)}.")

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def items(self) -> Iterator[tuple[str, T]]:
        return iter(self._rows.items())
