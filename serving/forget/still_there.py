"""Where forgotten customers still stand that is not ours to change, and what learned from them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import duckdb
import pyarrow.parquet as pq

from features.core.errors import LifecycleError
from features.core.forgotten import Forgotten
from features.core.language import say
from features.core.progress import print_status
from features.core.settings import Settings, home
from features.tables.forgotten_rows import customer_columns, forgotten_rows_sql
from features.tables.parsing import quote_identifier
from features.tables.remove_rows import INSTANTS, Removed
from features.tables.sources import Reading, read_tables
from serving.release import seen_future
from serving.release.release_store import stored_folders

HOLDOUT, RELEASE = "predictions.parquet", b"release"


def find_in_files(settings: Settings, forgotten: Forgotten) -> tuple[dict[str, Any], Removed]:
    """By table of the settings the rows, the customers, and the files they come from.

    `not_read`: why the files could not be read, if so. Also whom they are of, and since when.
    """
    total = Removed()
    print_status(say("looking where they still stand"))
    # What was got may be a cell with an id: the receipt has the rule.
    try:
        tables = read_tables(settings, Reading(only_counted=True, with_forgotten=True))
    except LifecycleError as error:
        return {"tables": {}, "not_read": f"{error.where}: {error.rule}"}, total
    places: dict[str, Any] = {}
    for name, counts in tables.counts.items():
        if name not in settings.selects or not counts.read:
            continue
        rows = _rows_of(tables.connection, name, forgotten)
        total.add(rows)
        if rows.rows:
            places[name] = {
                "rows": rows.rows,
                "customers": len(rows.ids),
                "files": _files_of(tables.connection, settings, name),
            }
    return {"tables": places, "not_read": None}, total


def _rows_of(connection: duckdb.DuckDBPyConnection, name: str, forgotten: Forgotten) -> Removed:
    columns = [row[0] for row in connection.execute(f"DESCRIBE {name}").fetchall()]
    where = forgotten_rows_sql(connection, name, columns, name, forgotten)
    if where is None:
        return Removed()
    result = Removed()
    result.rows = connection.execute(f"SELECT count(*) FROM {name} WHERE {where}").fetchall()[0][0]
    instants = [each for each in INSTANTS if each in columns]
    since = f"least({', '.join(f'min({each})' for each in instants)})" if instants else "NULL"
    for column in customer_columns(columns):
        rows = connection.execute(
            f"SELECT {quote_identifier(column)}, {since} FROM {name} WHERE {where} GROUP BY 1"
        ).fetchall()
        firsts = dict(rows)
        result.ids.update(forgotten.among(firsts))
        result.first.update({each: firsts[each] for each in result.ids & {*firsts} if firsts[each]})
    return result


def _files_of(connection: duckdb.DuckDBPyConnection, settings: Settings, name: str) -> list[str]:
    try:
        named = {each.lower() for each in connection.get_table_names(settings.selects[name])}
    except duckdb.Error:
        named = {each.lower() for each in settings.files}
    return [path for each, path in settings.files.items() if each.lower() in named]


def find_releases(first: Mapping[str, int], removed: Mapping[str, Removed]) -> list[dict[str, Any]]:
    """Of each release, of how many of them there was something before its newest outcome window
    ended, and how many are among its predictions for evaluation.

    first: since when there is something of a customer (µs UTC). removed: by file of the home.
    Nothing says whom a model learned from: these are all it can have learned from.
    """
    releases = []
    for folder in stored_folders():
        try:
            seen = json.loads((folder / seen_future.FILE).read_bytes())
            until = max(int(seen["outcomes_until"]), int(seen["population_as_of"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        before = [name for name, at in first.items() if at < until]
        releases.append(
            {
                "release": folder.name,
                "may_have_learned_from": len(before),
                "evaluated_on": len(_evaluated(folder.name, removed)),
            }
        )
    return releases


def holdout_releases() -> dict[str, str]:
    """The release of each file of predictions, by path relative to the home."""
    of = {}
    for path in sorted((home() / "mlruns" / "holdout").glob(f"*/{HOLDOUT}")):
        try:
            name = (pq.read_schema(path).metadata or {}).get(RELEASE, b"").decode()
        except (OSError, ValueError):
            continue
        of[path.relative_to(home()).as_posix()] = name
    return of


def _evaluated(release: str, removed: Mapping[str, Removed]) -> Collection[str]:
    of = holdout_releases()
    ids: set[str] = set()
    for file, each in removed.items():
        if of.get(file) == release:
            ids |= each.ids
    return ids
