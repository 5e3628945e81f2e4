"""One file read as one contract table: its SELECT, and what the user is told of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from features.core.contract import CONTRACT
from features.tables.parsing import literal
from lifecycle.init.cells import Cell
from lifecycle.init.clocks import join_clock
from lifecycle.init.customers import complete_customers
from lifecycle.init.draft import Draft, draft_sql, leave_out
from lifecycle.init.feedback import complete_feedback
from lifecycle.init.guests import settle_guests
from lifecycle.init.misfits import misfit_notes
from lifecycle.init.money import currency_of, read_in_currency
from lifecycle.init.nobody import EVENTS, settle_placeholders
from lifecycle.init.orders import complete_transactions
from lifecycle.init.questions import Answers
from lifecycle.init.settle import settle_cell
from lifecycle.init.source import Source, constant_kind, squash, stem_words
from lifecycle.init.todays_status import is_todays_status
from lifecycle.init.value_words import FILE_WORDS, TOTAL_WORDS
from lifecycle.init.words import LEAKY, UPDATED


@dataclass(frozen=True)
class Part:
    """One file read as one contract table.

    Its SELECT, the reasons for the user, and how its times are written (days, naive, offset).
    merged_rows: rows of the file that differ, but are equal in the columns that are read.
    currency: the one that a person chose of several.
    """

    source: Source
    table: str
    cells: dict[str, Cell]
    select: str
    reasons: tuple[str, ...]
    clocks: frozenset[str]
    draft: Draft
    merged_rows: int = 0
    currency: str = ""


def read_part(source: Source, table: str, cells: dict[str, Cell], answers: Answers) -> Part:
    """The SELECT of one file as one table, with its reasons; asks what only a person knows."""
    names = CONTRACT[table].names
    draft = Draft({})
    cells = _drop_load_stamp(source, cells, draft)
    # The money of transactions is settled where it is known whether it is in cents.
    later = ("amount",) if table == "transactions" else ()
    if table == "contracts" and "price" in cells:
        code = answers.given.get("currency") or currency_of(source, cells["price"].column)
        cells = cells | {"price": read_in_currency(source, cells["price"], code)}
    settled = {
        role: settle_cell(source, cell, answers) if role in names and role not in later else cell
        for role, cell in cells.items()
    }
    settled = join_clock(source, settled, draft)
    draft.selected = {name: settled[name].sql for name in names if name in settled}
    draft.used |= {settled[name].column for name in names if name in settled and name not in later}
    readings = [settled[name] for name in draft.selected if name not in later]
    settle_placeholders(source, table, settled, draft, answers)
    if table in EVENTS:
        settle_guests(source, settled, draft, answers)
    _leave_out_totals(source, settled, draft)
    if table == "transactions":
        complete_transactions(source, settled, draft, answers)
    elif table in ("feedback", "interactions"):
        complete_feedback(source, table, settled, draft)
    elif table == "customers":
        complete_customers(source, settled, draft)
    readings = [cell for cell in readings if cell.column in draft.used]
    select = draft_sql(source, draft, names)
    merged = _merged_rows(source, table, draft)
    reasons = (
        _table_note(source, table, settled, draft.selected),
        *(note for cell in readings for note in cell.notes),
        *draft.notes,
        *misfit_notes(source, table, settled),
        *_left_out_notes(source, table, draft.used),
    )
    clocks = frozenset(
        cell.clock
        for role, cell in settled.items()
        if cell.clock and role in draft.selected and cell.column in draft.used
    )
    currency = answers.given.get("currency", "") if table == "transactions" else ""
    return Part(source, table, settled, select, reasons, clocks, draft, merged, currency)


def _drop_load_stamp(source: Source, cells: dict[str, Cell], draft: Draft) -> dict[str, Cell]:
    """The cells without a recording time that is one and the same for every row."""
    cell = cells.get("recorded_at")
    if cell is None or source.sampled < 2:
        return cells
    text = f"CAST({source.sql(cell.column)} AS VARCHAR)"
    if not source.query(f"SELECT min({text}) = max({text}) FROM {source.sample}")[0][0]:
        return cells
    draft.notes.append(
        f"{cell.column} is left out: it is the same in every row, the time of the export."
    )
    return {role: other for role, other in cells.items() if role != "recorded_at"}


def _leave_out_totals(source: Source, cells: dict[str, Cell], draft: Draft) -> None:
    """Rows under the table that add it up: the customer, the id or the time is a word for that."""
    words = ", ".join(literal(word.replace("_", " ")) for word in TOTAL_WORDS.split())
    for role in ("customer_id", "transaction_id", "occurred_at", "starts_at"):
        if role not in cells or source.types[cells[role].column] != "VARCHAR":
            continue
        text = source.sql(cells[role].column)
        condition = f"rtrim(lower(trim({text})), ' :') IN ({words})"
        leave_out(source, draft, f"totals ({cells[role].column})", condition)


def _merged_rows(source: Source, table: str, draft: Draft) -> int:
    """How many rows would count as repeated only because columns are left out.

    Rows that the contract rejects do not count, nor do rows of one transaction: equal rows with an
    id are one row sent twice, whatever the settings say.
    """
    if draft.group_by or draft.further or table == "customers":
        return 0
    # Rows that are equal in the file are repeated; a column that is not read tells others apart.
    share = source.share_by(draft.selected["customer_id"])
    distinct = f"(SELECT DISTINCT * FROM {source.sample} WHERE {share})"
    select = draft_sql(source, replace(draft, from_=distinct), CONTRACT[table].names)
    accepted = [
        f"trim(CAST({name} AS VARCHAR)) <> ''"
        for name in (column.name for column in CONTRACT[table].columns if column.required)
        if name in draft.selected
    ]
    if "transaction_id" in draft.selected:
        accepted.append("coalesce(trim(CAST(transaction_id AS VARCHAR)), '') = ''")
    rows, different = source.query(
        f"SELECT count(*), count(DISTINCT hash(read)) FROM ({select}) AS read "
        f"WHERE {' AND '.join(accepted)}"
    )[0]
    return int(rows) - int(different)


def is_named(source: Source, table: str) -> bool:
    """Whether the file's name speaks of the table or of one of its kinds."""
    words = {squash(word) for word in FILE_WORDS[table].split()}
    return bool(words & stem_words(source)) or constant_kind(source, table) is not None


def _table_note(
    source: Source, table: str, cells: dict[str, Cell], selected: dict[str, str]
) -> str:
    renamed = [
        f"{cells[role].column} → {role}"
        for role in selected
        if role in cells and cells[role].column != role
    ]
    is_sampled = source.sampled != source.rows
    sampled = f", {source.sampled:,} of them sampled" if is_sampled else ""
    named = "its name and " if is_named(source, table) else ""
    columns = f": {', '.join(renamed)}" if renamed else ", which have the contract's own names"
    return (
        f"{table} is {source.label} ({source.rows:,} rows{sampled}), "
        f"by {named}its columns{columns}."
    )


def _leaky_names(source: Source, columns: list[str]) -> set[str]:
    """The names of columns of customers that say who has left, by their name or their words."""
    statuses = {squash(column) for column in columns if is_todays_status(source, column)}
    return statuses | {squash(word) for word in LEAKY.split()}


def _left_out_notes(source: Source, table: str, used: set[str]) -> list[str]:
    """The columns that are not read; those that must not be read, with the reason."""
    unused = [column for column in source.types if column not in used]
    updated = {squash(word) for word in UPDATED.split()}
    leaky = _leaky_names(source, unused) if table == "customers" else set()
    notes = [
        f"{column} is left out: it is written when somebody leaves or with every visit, so a row "
        "shows today's value and not the one that was known before."
        for column in unused
        if squash(column) in leaky
    ]
    notes += [
        f"{column} is left out: it is the time of the last change, not of the row."
        for column in unused
        if squash(column) in updated
    ]
    plain = [column for column in unused if squash(column) not in leaky | updated]
    return [*notes, *([f"left out: {', '.join(plain)}."] if plain else [])]
