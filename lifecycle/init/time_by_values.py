"""The time of what happened where no header says so: a column with a time in nearly every row."""

from __future__ import annotations

from dataclasses import replace

from lifecycle.init.cell import MIN_FIT, Cell
from lifecycle.init.source import Source, split_words, squash
from lifecycle.init.words import LEAKY, SYNONYMS, UPDATED

# Words of times that are not those of what happened: of a person, of an end, of what is to come.
_OTHER_TIMES = """
    birth birthday dob geburtsdatum geburtstag geboren naissance nacimiento nascimento aniversario
    due fallig faellig echeance vencimiento vencimento delivered delivery shipped shipping expiry
    expires valid until end ends ended ende fin fim last letzte letzter dernier derniere ultimo
    ultima updated modified synced exported imported loaded paid since seit depuis desde
    生日 出生日期
"""
_LONGEST_YEARS = 30  # dates of births reach further


def time_by_values(source: Source, person: Cell, readings: dict[str, Cell]) -> Cell | None:
    """The column that is the time of the rows, marked as a guess; None where none can be it.

    readings: the columns that can be read as times, as they are read. Of several that are filled
    in nearly every row, the one that is mostly the earliest in its row.
    """
    possible = [
        cell
        for column, cell in readings.items()
        if not _is_named_otherwise(column) and _is_of_the_row(source, person, cell)
    ]
    if not possible:
        return None
    if len(possible) == 1:
        [cell] = possible
        why = "because it has a time in nearly every row and no header says which column it is"
    else:
        cell = _earliest(source, possible)
        others = ", ".join(each.column for each in possible if each is not cell)
        why = f"because it is the earliest in its row; others with times are {others}"
    note = f"CHECK: {cell.column} is used as occurred_at {why}."
    return replace(cell, notes=(note, *cell.notes))


def _is_named_otherwise(column: str) -> bool:
    # A day of an order without an amount is a payment that cannot be read, and is refused as such.
    names = [SYNONYMS["customers"]["acquired_at"], SYNONYMS["feedback"]["resolved_at"]]
    names += [SYNONYMS["transactions"]["occurred_at"]]
    names += [SYNONYMS["contracts"][role] for role in ("ends_at", "cancelled_at", "recorded_at")]
    known = {squash(word) for words in (*names, UPDATED, LEAKY) for word in words.split()}
    return squash(column) in known or bool(set(_OTHER_TIMES.split()) & set(split_words(column)))


def _is_of_the_row(source: Source, person: Cell, cell: Cell) -> bool:
    """Whether nearly every row has a time, which is neither one for all nor one for each person."""
    who, when = f"CAST({person.sql} AS VARCHAR)", _time(cell)
    filled, times, people, pairs, years = source.query(
        f"SELECT count({when}), count(DISTINCT {when}), count(DISTINCT {who}), "
        f"count(DISTINCT ({who}, {when})), date_diff('year', min({when}), max({when})) "
        f"FROM {source.sample}"
    )[0]
    if filled < MIN_FIT * source.sampled or times < min(2, source.sampled):
        return False
    is_of_person = people < MIN_FIT * source.sampled and pairs <= people
    return not is_of_person and years <= _LONGEST_YEARS


def _earliest(source: Source, cells: list[Cell]) -> Cell:
    first = f"least({', '.join(map(_time, cells))})"
    counts = ", ".join(f"count(*) FILTER ({_time(cell)} = {first})" for cell in cells)
    rows = source.query(f"SELECT {counts} FROM {source.sample}")[0]
    return cells[rows.index(max(rows))]


def _time(cell: Cell) -> str:
    return f"TRY_CAST(CAST({cell.sql} AS VARCHAR) AS TIMESTAMP)"
