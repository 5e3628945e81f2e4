"""The files whose format is known, as parts of the contract tables, each choice with a sentence.

files ─► recognised ─► who a row is about, over all files ─► one SELECT a table of a file
      ─► what would count twice is left out ─► terms from payments, if subscriptions are snapshots
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import duckdb

from features.core.contract import CONTRACT
from features.core.errors import SnapshotRefused
from features.tables.parsing import literal
from lifecycle.init.bridges import Bridge, find_bridge
from lifecycle.init.cells import Cell
from lifecycle.init.currency import ask_currency
from lifecycle.init.customers import first_of_each
from lifecycle.init.draft import Draft
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import Format, FormatTable, PersonColumn
from lifecycle.init.formats.overlaps import add_rows_once
from lifecycle.init.formats.person_columns import with_own_ids
from lifecycle.init.formats.registry import recognise
from lifecycle.init.formats.same_money import compare_money
from lifecycle.init.parts import Part
from lifecycle.init.people import PersonChoice, PersonValues, choose_people
from lifecycle.init.person_columns import person_candidates
from lifecycle.init.questions import Answers
from lifecycle.init.selects import union_select
from lifecycle.init.source import Source


@dataclass(frozen=True)
class KnownFile:
    """One file of a known format: its contract tables, and the columns that may name the person."""

    source: Source
    format: Format
    tables: tuple[FormatTable, ...]
    people: tuple[PersonColumn, ...]


@dataclass
class KnownParts:
    """What the known files add: parts by table, why a file is not used, and terms from payments."""

    parts: dict[str, list[Part]] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)
    terms_from_payments: bool = False


def split_known(
    sources: Sequence[Source], answers: Answers
) -> tuple[list[KnownFile], list[Source]]:
    """The files of known formats, and the others. BadSetting for several currencies in one file."""
    known, others = [], []
    for source in sources:
        file = _read_file(source, answers)
        if file is None:
            others.append(source)
        else:
            known.append(file)
    return known, others


def _read_file(source: Source, answers: Answers) -> KnownFile | None:
    format_ = recognise(source)
    if format_ is None:
        return None
    columns = FileColumns(source, answers)
    tables = format_.read(columns, answers) if format_.read else ()
    if not tables and not format_.is_snapshot:
        return None
    people = format_.people(columns) if format_.people else tables[0].people
    return KnownFile(source, format_, tables, with_own_ids(columns, people))


def read_known(
    connection: duckdb.DuckDBPyConnection,
    known: Sequence[KnownFile],
    others: dict[str, list[Part]],
    answers: Answers,
) -> KnownParts:
    """The parts of the known files beside those of the `others`, which come first.

    Raises SnapshotRefused where all there is are overwritten subscriptions, and BadSetting where
    two files have two currencies.
    """
    result = KnownParts(parts={table: list(parts) for table, parts in others.items()})
    choices = _choose(connection, known, others)
    added = [
        _parts_of(file, choices[file.source.name], _bridge(file, choices[file.source.name], others))
        for file in known
        if file.tables
    ]
    for parts in sorted(added, key=_newest, reverse=True):
        add_rows_once(result.parts, parts)
    result.parts = {name: result.parts[name] for name in CONTRACT if name in result.parts}
    _leave_out_same_money(connection, known, result)
    _refuse_two_currencies(result.parts.get("transactions", []), answers)
    for file in known:
        if file.format.is_snapshot:
            _settle_snapshot(connection, file, choices[file.source.name], result)
    return result


def _choose(
    connection: duckdb.DuckDBPyConnection,
    known: Sequence[KnownFile],
    others: dict[str, list[Part]],
) -> dict[str, PersonChoice]:
    """Who a row of each file is about; the columns of the other files are settled already."""
    candidates = {
        part.source.name: [_values(part.source, part.cells["customer_id"].sql)]
        for parts in others.values()
        for part in parts
    }
    for file in known:
        candidates[file.source.name] = [_values(file.source, person.sql) for person in file.people]
    return choose_people(connection, candidates)


def _values(source: Source, sql: str) -> PersonValues:
    return PersonValues(f"SELECT {sql} FROM {source.whole}")


def _bridge(file: KnownFile, choice: PersonChoice, others: dict[str, list[Part]]) -> Bridge | None:
    """The way over a file that has both ids, where no other file knows the file's own."""
    if choice.shared is None or choice.shared > choice.misspelt:
        return None
    sources = {part.source.name: part.source for parts in others.values() for part in parts}
    persons = {
        part.source.name: part.cells["customer_id"] for parts in others.values() for part in parts
    }
    candidates = {name: person_candidates(source) for name, source in sources.items()}
    candidates[file.source.name] = [Cell(person.column, person.sql) for person in file.people]
    return find_bridge(file.source, candidates, persons, sources)


def _parts_of(file: KnownFile, choice: PersonChoice, bridge: Bridge | None) -> list[Part]:
    """One part a table of the file, all by the same person."""
    person = file.people[choice.number]
    if bridge is not None:
        person = next(each for each in file.people if each.column == bridge.own.column)
    note = (
        bridge.note
        if bridge
        else f"customer_id is {person.column} ({person.what}): {choice.share_note}."
    )
    if choice.misspelt and not bridge:
        note = (
            f"CHECK: {note} {choice.misspelt:,} of them are written there in another case or with "
            "other zeros, and are not joined: write lower(…) or ltrim(…, '0') AS customer_id in "
            "both SELECTs."
        )
    parts: list[Part] = []
    for table in file.tables:
        # A refund may name the person in another column than a payment does.
        own = next((each for each in table.people if each.what == person.what), person)
        who = Cell(own.column, bridge.sql(own.sql) if bridge else own.sql)
        parts.append(_part(file, table, who, note="" if parts else note))
    return parts


def _part(
    file: KnownFile,
    table: FormatTable,
    person: Cell,
    *,
    note: str,
) -> Part:
    """note: who the rows are about; '' in all but the first table of the file."""
    source = file.source
    cells = {"customer_id": person, **table.columns}
    where = [f"({each.condition}) IS NOT TRUE" for each in table.left_out]
    where += [f"({table.only}) IS TRUE"] if table.only else []
    listed = ", ".join(f"{cell.sql} AS {name}" for name, cell in cells.items())
    select = f"SELECT {listed} FROM {source.name}"
    select += f" WHERE {' AND '.join(where)}" if where else ""
    reasons = _first_notes(file, table, note) if note else []
    reasons += [note for cell in table.columns.values() for note in cell.notes]
    reasons += table.notes
    clocks = frozenset(cell.clock for cell in table.columns.values() if cell.clock)
    if table.currency:
        cells["currency"] = Cell("currency", literal(table.currency))
    part = Part(source, table.table, cells, select, tuple(reasons), clocks, Draft({}))
    return _without_repeats(part) if table.table == "customers" else part


def _first_notes(file: KnownFile, table: FormatTable, note: str) -> list[str]:
    """What the file is, who its rows are about, and how many of them are left out."""
    source = file.source
    notes = [
        f"{source.label} has the columns of {file.format.name} ({source.rows:,} rows).",
        note,
        f"not read: {file.format.leaves[0].lower()}{file.format.leaves[1:]}",
    ]
    earlier = "false"
    for each in table.left_out:
        # A row that two conditions leave out is counted once.
        rows = source.query_count(
            f"SELECT count(*) FROM {source.whole} "
            f"WHERE ({each.condition}) AND ({earlier}) IS NOT TRUE"
        )
        earlier = f"{earlier} OR ({each.condition})"
        if rows:
            notes.append(f"left out: {rows:,} rows {each.what}.")
    return notes


def _without_repeats(part: Part) -> Part:
    """Of several rows of one customer the last one in the order of their cells."""
    who = part.cells["customer_id"].sql
    repeated = part.source.query_count(
        f"SELECT count({who}) - count(DISTINCT {who}) FROM {part.source.whole}"
    )
    if not repeated:
        return part
    cells = ", ".join(
        f"CAST({cell.sql} AS VARCHAR) DESC NULLS LAST"
        for name, cell in part.cells.items()
        if name != "customer_id"
    )
    select = f"{part.select} {first_of_each(who, cells)}"
    note = f"{repeated:,} rows repeat a customer: one row of each counts."
    return _changed(part, select, note)


def _changed(part: Part, select: str, note: str) -> Part:
    return replace(part, select=select, reasons=(*part.reasons, note))


def _newest(parts: list[Part]) -> str:
    """The newest time of a file, as text: of two exports of one list the newer one counts."""
    times = [part for part in parts if "occurred_at" in part.cells]
    if not times:
        return ""
    source, sql = times[0].source, times[0].cells["occurred_at"].sql
    return str(source.query(f"SELECT max(CAST({sql} AS VARCHAR)) FROM {source.whole}")[0][0])


def _leave_out_same_money(
    connection: duckdb.DuckDBPyConnection, known: Sequence[KnownFile], result: KnownParts
) -> None:
    """Leave out the files of payments that are for the orders of a file of another format."""
    formats = {file.source.name: file.format for file in known}
    by_file: dict[str, list[Part]] = defaultdict(list)
    for part in result.parts.get("transactions", []):
        by_file[part.source.name].append(part)

    def is_payments(name: str) -> bool:
        return name in formats and formats[name].payments

    single: list[Part] = []
    for name in sorted(by_file, key=is_payments):
        others = [part for part in single if formats.get(part.source.name) != formats.get(name)]
        if is_payments(name) and (reason := _same_money(connection, by_file[name], others)):
            result.unused[name] = reason
        else:
            single += by_file[name]
    if single:
        result.parts["transactions"] = single
    used = {part.source.name for parts in result.parts.values() for part in parts}
    result.unused = {name: why for name, why in result.unused.items() if name not in used}


def _same_money(
    connection: duckdb.DuckDBPyConnection, parts: list[Part], orders: list[Part]
) -> str:
    if not orders:
        return ""
    same = compare_money(connection, union_select(parts), union_select(orders))
    if not same.is_same:
        return ""
    files = ", ".join(dict.fromkeys(part.source.label for part in orders))
    return (
        f"{same.with_order:,} of its {same.payments:,} payments are orders of {files} "
        f"({same.compared}): they would count twice"
    )


def _refuse_two_currencies(parts: list[Part], answers: Answers) -> None:
    """BadSetting where two files have two currencies; the amounts would be added up."""
    rows: dict[str, int] = {}
    for part in parts:
        code = part.cells["currency"].sql.strip("'") if "currency" in part.cells else ""
        if code.isalpha() and len(code) == 3:
            rows[code] = rows.get(code, 0) + part.source.rows
    if len(rows) > 1:
        files = ", ".join(dict.fromkeys(part.source.label for part in parts))
        ask_currency(rows, files, answers)


def _settle_snapshot(
    connection: duckdb.DuckDBPyConnection,
    file: KnownFile,
    choice: PersonChoice,
    result: KnownParts,
) -> None:
    """Terms from the payments of the subscribers; without payments the file is not used."""
    person = file.people[choice.number]
    subscribers = f"SELECT DISTINCT lower({person.sql}) AS who FROM {file.source.whole}"
    paying = 0
    if parts := result.parts.get("transactions"):
        payers = f"SELECT lower(CAST(customer_id AS VARCHAR)) FROM ({union_select(parts)})"
        paying = file.source.query_count(
            f"SELECT count(*) FROM ({subscribers}) WHERE who IN ({payers})"
        )
    what = f"{file.format.name}, one row each that is overwritten as it changes"
    if paying:
        result.terms_from_payments = "contracts" not in result.parts
        result.unused[file.source.name] = (
            f"it has the columns of {what}: its ends were not known before. "
            f"{paying:,} of its {choice.people:,} people pay, so their payments are the terms"
        )
        return
    export = f"the payments or invoices of these customers. {file.format.export}"
    if not any(table in result.parts for table in ("transactions", "interactions")):
        raise SnapshotRefused(
            where=str(file.source.path),
            got=f"{file.source.rows:,} {what}, and no payments",
            rule="A row that is overwritten shows the end of a subscription before anybody knew "
            "it, so it is never read as a term. Terms are built from payments.",
            fix=f"Give init a file more, {export}",
        )
    result.unused[file.source.name] = (
        f"CHECK: it has the columns of {what}: its ends were not known before. "
        f"Terms can be built from {export}"
    )
