"""Cells of a column of times that are written in another way than the others."""

from __future__ import annotations

from dataclasses import replace

from lifecycle.init.cell import Cell, Choice
from lifecycle.init.source import Source


def keep_odd_cells(source: Source, cell: Cell, text: str) -> Cell:
    """The cell, with the text of what its SQL cannot read, so that the contract names it.

    text: SQL for the column as text. Without it such a cell would be called missing.
    """
    if cell.choice is not None:
        options = tuple(
            replace(option, cell=keep_odd_cells(source, option.cell, text))
            for option in cell.choice.options
        )
        choice = Choice(cell.choice.text, options)
        return replace(options[0].cell, choice=choice, day_order=cell.day_order)
    odd = source.query_count(
        f"SELECT count(*) FROM {source.sample} WHERE ({cell.sql}) IS NULL AND trim({text}) <> ''"
    )
    if not odd or cell.refusal is not None:
        return cell
    note = (
        f"CHECK: cells of {cell.column} that are written in another way than the others: {odd:,}; "
        "`lifecycle check` rejects those that are no time."
    )
    sql = f"coalesce(CAST({cell.sql} AS VARCHAR), {text})"
    return replace(cell, sql=sql, notes=(*cell.notes, note))
