"""One SELECT for all files of a table."""

from __future__ import annotations

from lifecycle.init.parts import Part


def union_select(parts: list[Part]) -> str:
    """One SELECT for all parts of a table."""
    return " UNION ALL BY NAME ".join(part.select for part in parts)
