"""The id of a transaction that no header names: the only ids that differ in every row."""

from __future__ import annotations

from dataclasses import replace

from lifecycle.init.cell import Cell
from lifecycle.init.source import Source, split_words

# Numbers of rows that an export or a spreadsheet adds: they are others in the next export.
_ROW_NUMBERS = {"row", "index", "unnamed", "zeile", "ligne", "fila", "linha", "rownum", "行"}
_FEWEST = 20
_ID = r"regexp_matches(x, '^[A-Za-z#_/.-]*\d[A-Za-z0-9_/.-]*$|^[0-9a-f]{8}-')"


def id_by_values(source: Source, readings: dict[str, Cell]) -> Cell | None:
    """The only column whose values are ids and different in every row; None where it is not one.

    readings: the columns that can be it, as they are read.
    """
    possible = [
        cell
        for column, cell in readings.items()
        if split_words(column)
        and not _ROW_NUMBERS & set(split_words(column))
        and _differs_in_every_row(source, cell)
    ]
    if len(possible) != 1:
        return None
    [cell] = possible
    note = f"CHECK: {cell.column} is used as transaction_id only because it differs in every row."
    return replace(cell, notes=(note, *cell.notes))


def _differs_in_every_row(source: Source, cell: Cell) -> bool:
    x = f"trim(CAST({cell.sql} AS VARCHAR))"
    ids, distinct = source.query(
        f"SELECT count(*) FILTER ({_ID}), count(DISTINCT x) FROM (SELECT {x} AS x "
        f"FROM {source.sample})"
    )[0]
    return bool(source.sampled >= _FEWEST and ids == distinct == source.sampled)
