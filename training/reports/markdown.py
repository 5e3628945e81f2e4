"""Markdown of the card: tables, sentences, and names that people gave without their markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from features.core.language import say


def markdown_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table and an empty line after it; no lines without rows."""
    body = [
        "| " + " | ".join(one_line(cell).replace("|", "\\|") for cell in row) + " |" for row in rows
    ]
    head = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return [*head, *body, ""] if body else []


def one_line(text: str) -> str:
    """A text that people gave, on one line and without markup."""
    return " ".join(text.split()).replace("<", "&lt;")


def sentence(line: str) -> str:
    """A line of a terminal text as a sentence."""
    line = one_line(line)
    return say("{text}.", text=f"{line[:1].upper()}{line[1:]}")
