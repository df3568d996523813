"""Odds and ends of the host."""

OPENED: list[str] = []


def open_folder(path: str) -> None:
    OPENED.append(path)
