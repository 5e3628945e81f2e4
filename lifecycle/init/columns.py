"""Which column plays which role in a contract table, by its name and its values.

The best synonym wins; only then does the last word of a name count, and the reason says so. A name
alone is not enough: the values must fit the type of the role. Where no name helps, the only column
of the file that can be the time, or the money, is it.
"""

from __future__ import annotations

from dataclasses import replace

from features.core.contract import CONTRACT
from lifecycle.init.cells import Cell, read_cell
from lifecycle.init.customers import MOST_REPEATED, repeated_customers
from lifecycle.init.id_by_values import id_by_values
from lifecycle.init.source import Source, split_words, squash
from lifecycle.init.time_by_values import time_by_values
from lifecycle.init.todays_status import is_todays_status
from lifecycle.init.words import ENDINGS, NOT_BY_ENDING, SYNONYMS

# Roles of init alone: what they are read as.
_OWN_SHAPES = {"price": "money", "refunded": "money"}
# Attributes of customers that a column of statuses may be named like: `Estado` is a state too.
_NO_STATUS = ("segment", "region", "channel")
# Columns that may be empty and still are what their names say.
_MAY_BE_EMPTY = ("cancelled_at", "ends_at")


def assign_roles(source: Source, table: str, person: Cell | None = None) -> dict[str, Cell]:
    """Which column plays which role, if the file were this contract table; each plays one.

    person: the column that names the customer, where it was chosen over all files.
    """
    cells: dict[str, Cell] = {} if person is None else {"customer_id": person}
    for role, names in SYNONYMS[table].items():
        if role in cells:
            continue
        taken = {cell.column for cell in cells.values()}
        for column, by_ending in _candidates(source, role, names):
            is_free = column not in taken and not (role == "refunded" and _is_flag(source, column))
            cell = _cached_cell(source, column, table, role) if is_free else None
            if cell is not None:
                cells[role] = _mark_ending(cell, role) if by_ending else cell
                break
    if "customer_id" in cells and "occurred_at" not in cells:
        _add_time(source, table, cells)
        if table == "transactions" and "occurred_at" not in cells:
            _add_only_columns(source, cells)
    if table == "transactions" and "occurred_at" in cells:
        _add_unique_id(source, cells)
    return _drop_loose_roles(cells)


def _add_time(source: Source, table: str, cells: dict[str, Cell]) -> None:
    """The time of events where no name says so, by the values of the columns.

    A file of one row for each customer, which says nothing that happened, is one of customers; one
    of starts and ends is one of contracts.
    """
    telling = {
        "transactions": {"amount", "price"},
        "feedback": {"score", "resolved_at"},
        "interactions": set(),
    }
    if table not in telling or (telling[table] and not telling[table] & set(cells)):
        return
    repeated = repeated_customers(source, cells["customer_id"]) > MOST_REPEATED * source.sampled
    if (not repeated and table == "interactions") or _has_terms(source):
        return
    taken = {cell.column for role, cell in cells.items() if role != "answered_at"}
    readings = {
        column: cell
        for column in source.types
        if column not in taken
        and not _is_plain_number(source, column)
        and (cell := _cached_cell(source, column, table, "occurred_at")) is not None
        and cell.refusal is None
    }
    answered = {cells["answered_at"].column} if "answered_at" in cells else set()
    first = {column: cell for column, cell in readings.items() if column not in answered}
    person = cells["customer_id"]
    cell = time_by_values(source, person, first) or time_by_values(source, person, readings)
    if cell is not None:
        cells["occurred_at"] = cell


def _add_unique_id(source: Source, cells: dict[str, Cell]) -> None:
    if "transaction_id" in cells or not {"amount", "price"} & set(cells):
        return
    taken = {cell.column for cell in cells.values()}
    readings = {
        column: cell
        for column in source.types
        if column not in taken
        and (cell := _cached_cell(source, column, "transactions", "transaction_id")) is not None
        and _cached_cell(source, column, "transactions", "occurred_at") is None
        and not _has_decimals(source, column)
    }
    cell = id_by_values(source, readings)
    if cell is not None:
        cells["transaction_id"] = cell


def _has_decimals(source: Source, column: str) -> bool:
    return bool(source.count_shapes(column, [r"regexp_matches(v, '^[-\d]*\d[.,]\d+$')"])[1])


def _has_terms(source: Source) -> bool:
    ends = [*role_candidates(source, "contracts", "ends_at")]
    ends += role_candidates(source, "contracts", "cancelled_at")
    return bool(ends and role_candidates(source, "contracts", "starts_at"))


def _add_only_columns(source: Source, cells: dict[str, Cell]) -> None:
    """The time and the money where no name says so: the only columns that can be them."""
    free = [column for column in source.types if column not in {c.column for c in cells.values()}]
    times = {
        column: cell
        for column in free
        if (cell := _cached_cell(source, column, "transactions", "occurred_at")) is not None
        and not _is_plain_number(source, column)
    }
    numbers = {
        column: cell
        for column in free
        if column not in times
        and (cell := _cached_cell(source, column, "transactions", "amount")) is not None
        and source.count_shapes(column, [r"regexp_matches(v, '\d[.,]\d\d?\D*$')"])[1]
    }
    if len(times) != 1 or ("amount" not in cells and len(numbers) != 1):
        return
    given = {"occurred_at": next(iter(times.values()))}
    if "amount" not in cells:
        given["amount"] = next(iter(numbers.values()))
    for role, cell in given.items():
        note = f"CHECK: {cell.column} is used as {role} only because no other column can be it."
        cells[role] = replace(cell, notes=(note, *cell.notes))


def _is_flag(source: Source, column: str) -> bool:
    """Whether `refunded` says yes or no, and is no amount."""
    return read_cell(source, column, "flag", "transactions", required=False) is not None


def _is_plain_number(source: Source, column: str) -> bool:
    count, digits = source.count_shapes(column, [r"regexp_matches(v, '^[\d.]+$')"])
    return count == digits and not source.types[column].startswith(("DATE", "TIMESTAMP"))


def _drop_loose_roles(cells: dict[str, Cell]) -> dict[str, Cell]:
    """A refunded amount is a role only beside an amount."""
    if "refunded" in cells and "amount" not in cells and "price" not in cells:
        cells["amount"] = cells.pop("refunded")
    return cells


def role_candidates(source: Source, table: str, role: str) -> list[str]:
    """The columns whose whole name is that of the role, the best first."""
    names = SYNONYMS[table].get(role, "")
    return [column for column, by_ending in _candidates(source, role, names) if not by_ending]


def role_shape(table: str, role: str) -> str:
    """What the role is read as: id, text, flag, money, number, instant or kind."""
    if role == "kind":
        return "kind"
    contract = {one.name: one for one in CONTRACT[table].columns}.get(role)
    return contract.type if contract else _OWN_SHAPES.get(role, "text")


def _mark_ending(cell: Cell, role: str) -> Cell:
    note = f"CHECK: {cell.column} is used as {role} only because of the last word of its name."
    return replace(cell, notes=(note, *cell.notes), by_ending=True)


def _candidates(source: Source, role: str, names: str) -> list[tuple[str, bool]]:
    """(column, chosen by the ending of its name) of the columns that may play the role, best first.

    Whole names come in the order of the synonyms, endings in the order of the file.
    """
    order = [squash(name) for name in names.split()]
    exact = [
        column
        for column in source.types
        if squash(column) in order and not (role in _NO_STATUS and is_todays_status(source, column))
    ]
    exact.sort(key=lambda column: order.index(squash(column)))
    endings = ENDINGS.get(role, "").split()
    excluded = set(NOT_BY_ENDING.split())
    by_ending = [
        column
        for column in source.types
        if column not in exact and _ends_with(split_words(column), endings, excluded)
    ]
    return [(column, False) for column in exact] + [(column, True) for column in by_ending]


def _ends_with(words: tuple[str, ...], endings: list[str], excluded: set[str]) -> bool:
    return len(words) > 1 and words[-1] in endings and not excluded & set(words)


def _cached_cell(source: Source, column: str, table: str, role: str) -> Cell | None:
    """The column read as the role's type. Tables share most roles, so answers are cached."""
    contract = {one.name: one for one in CONTRACT[table].columns}.get(role)
    required = contract is not None and contract.required
    shape = role_shape(table, role)
    key = (shape, column, required, table if role == "kind" else "")
    if key not in source.cache:
        source.cache[key] = read_cell(source, column, shape, table, required=required)
    cell = source.cache[key]
    if cell is None and role in _MAY_BE_EMPTY and source.is_empty(column):
        return Cell(column, source.sql(column), notes=(f"{column} is empty in every row.",))
    return cell
