"""From the user's files to a commented `lifecycle.toml`.

files ─► columns (what is each column?) ─► tables (which table is each file? its SELECT)
      ─► business (archetype, activity, horizon, zone, currency) ─► one TOML page
"""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

from features.core.errors import BadSetting, ColumnMissing, QueryFailed, StoreFailed
from lifecycle.init import business
from lifecycle.init.source import Source
from lifecycle.init.tables import (
    Part,
    assign_tables,
    list_tables,
    open_engine,
    open_file,
    overlap_note,
)
from lifecycle.init.toml_page import Guess, render_page, toml_string


def write(files: list[Path], out: Path) -> list[dict[str, str]]:
    """Write a configuration for `files` to `out`; returns the guesses: what, guess, reason.

    Raises BadSetting where `out` exists or its folder does not; FileMissing, QueryFailed or
    EmptyTable for a file that cannot be read; ColumnMissing where no file holds events; StoreFailed
    where `out` cannot be written. Nothing is written then.
    """
    out = Path(out)
    _refuse_out(out)
    guesses = _guess_all([Path(path) for path in files], out)
    try:
        with out.open("x", encoding="utf-8") as page:
            page.write(render_page(guesses))
    except OSError as error:
        raise StoreFailed(
            where=str(out),
            got=error.strerror or "a write that failed",
            rule="init writes one file.",
            fix="Name another --out, in a folder that can be written to.",
        ) from error
    return [
        {"what": guess.key, "guess": guess.value, "reason": " ".join(guess.reasons)}
        for guess in guesses
    ]


def _refuse_out(out: Path) -> None:
    if out.exists():
        raise BadSetting(
            where=f"--out {out}",
            got="a file that exists already",
            rule="init never overwrites a file.",
            fix="Name another --out or delete it.",
        )
    if not out.resolve().parent.is_dir():
        raise BadSetting(
            where=f"--out {out}",
            got="a folder that does not exist",
            rule="init writes one file and creates no folders.",
            fix="Create the folder, or name another --out.",
        )


def _guess_all(files: list[Path], out: Path) -> list[Guess]:
    (connection, keywords), taken = open_engine(), set[str]()
    paths = dict.fromkeys(path.resolve() for path in files)  # a file named twice is read once
    tables = [table for path in paths for table in list_tables(path)]
    sources = [open_file(connection, path, taken=taken, keywords=keywords) for path in tables]
    try:
        parts, unused = assign_tables(sources)
        _refuse_without_events(sources, parts, unused)
        activity = business.choose_activity(connection, parts)
        return [
            _guess_files(sources, unused, out),
            activity.guess,
            *business.guess_scales(connection, parts),
            business.guess_archetype(parts),
            business.guess_zone(parts),
            business.guess_currency(parts),
            *(_guess_table(connection, name, parts, activity.table) for name in parts),
            business.guess_horizon(connection, parts, activity),
        ]
    except duckdb.Error as error:
        raise QueryFailed(
            where="init",
            got=f"a guessed SELECT that does not run ({type(error).__name__})",
            rule="All rows are written like the sampled ones.",
            fix="Correct the rows that are written differently, or write the configuration by "
            "hand (docs/contract.md).",
        ) from error


def _refuse_without_events(
    sources: list[Source], parts: dict[str, list[Part]], unused: dict[str, str]
) -> None:
    if {"transactions", "interactions"} & set(parts):
        return
    read = [
        f"{source.path.name}: {unused[source.name]}" for source in sources if source.name in unused
    ]
    read += [
        f"{part.source.path.name}: {table}" for table, files in parts.items() for part in files
    ]
    raise ColumnMissing(
        where="init",
        got=f"no transactions and no interactions ({'; '.join(read)})",
        rule="At least one file has a customer (customer_id, client_id, user_id …), a time (date, "
        "order_date, timestamp …) and an amount (amount, total, price and quantity …) or an event "
        "(event, kind, visits …).",
        fix="Rename the columns of your file to these names, or write the SELECT by hand: "
        "docs/contract.md.",
    )


def _guess_table(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    parts: dict[str, list[Part]],
    activity_table: str,
) -> Guess:
    select = business.union_select(parts[name])
    reasons = [reason for part in parts[name] for reason in part.reasons]
    if name == "customers":
        events = business.union_select(parts[activity_table])
        reasons.append(overlap_note(connection, select, events))
    return Guess(f"tables.{name}", toml_string(select), tuple(reasons))


def _guess_files(sources: list[Source], unused: dict[str, str], out: Path) -> Guess:
    used = [source for source in sources if source.name not in unused]
    listed = ", ".join(
        f"{source.name} = {toml_string(_path_from(source.path, out))}" for source in used
    )
    not_used = [
        f"not used: {source.path.name}: {unused[source.name]}."
        for source in sources
        if source.name in unused
    ]
    reason = "the paths of your files, relative to the folder of this file."
    return Guess("files", f"{{ {listed} }}", (reason, *not_used))


def _path_from(path: Path, out: Path) -> str:
    """The path relative to the folder of `out`; absolute where both share only the root."""
    folder = out.resolve().parent
    try:
        shared = Path(os.path.commonpath([folder, path]))
    except ValueError:  # two drives
        return path.as_posix()
    if shared == Path(shared.anchor):
        return path.as_posix()
    return Path(os.path.relpath(path, folder)).as_posix()
