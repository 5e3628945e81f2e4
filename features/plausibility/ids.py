"""Ids of customers that are no customers: placeholders, one id for many people, two for one."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np

from features.core.contract import ALL_TABLES
from features.core.joined_groups import joined_groups
from features.core.settings import Settings
from features.plausibility.finding import Finding, percent_of
from features.tables.history import History
from features.tables.queries import first_value

PLACEHOLDERS = (
    *("n/a", "#n/a", "na", "nan", "null", "none", "nil", "undefined", "unknown", "guest"),
    *("anonymous", "anon", "deleted", "test", "default", "dummy", "unbekannt", "gast", "#ref!"),
    *("#value!", "(blank)", "(none)", "(not set)", "not set", "nobody", "no customer", "customer"),
)
# An id of punctuation alone, of zeros alone, or -1.
_EMPTY_LOOKING = r"^([^\p{L}\p{N}]+|-?0+([.]0+)?|-1)$"
# An id has an outsized share from this share of the rows and this many times the 95 % point on.
OUTSIZED_SHARE, OUTSIZED_TIMES, FEWEST_ROWS = 0.05, 5, 100
UNKNOWN_SHARE, UNKNOWN_SHARE_OF_CUSTOMERS = 0.20, 0.95
LEAST_SHARED = 0.05  # of the ids of the table of activity, or of those of all others, if fewer
FEWEST_IDS = 20
SAME_ID = (
    "Check that {} selects the same id of the person as the other tables "
    "(another number, a prefix, upper case, leading zeros?)."
)
ID_COLUMNS = {"referrals": ("referrer_id", "referred_id")}


def id_columns(name: str) -> tuple[str, ...]:
    """The columns of a table that hold ids of customers; none for costs."""
    columns = ID_COLUMNS.get(name, ("customer_id",))
    return tuple(column for column in columns if column in ALL_TABLES[name].names)


def find_ids(history: History, settings: Settings) -> Iterator[Finding]:
    """Placeholders, an id with an outsized share, ids equal but for case, ids nobody else knows."""
    names = [name for name in (*history.names, *history.further) if id_columns(name)]
    _count_ids(history.connection, names)
    for name in names:
        for column in id_columns(name):
            yield from _placeholders(history.connection, name, column)
        if name in history.names and name != "customers":
            yield from _outsized(history.connection, name)
    yield from _equal_but_for_case(history.connection, names)
    yield from _groups_apart(history.connection, names)
    if len(names) > 1:
        for name in names:
            if name == settings.activity.table:
                yield from _meets_nobody(history.connection, name, names)
            else:
                yield from _unknown_elsewhere(history.connection, name, names)


def _count_ids(connection: duckdb.DuckDBPyConnection, names: list[str]) -> None:
    """A table of (id, n) for each column of ids: its rows by id. Ids are few beside rows."""
    for name in names:
        for column in id_columns(name):
            connection.execute(
                f"CREATE OR REPLACE TEMP TABLE {_counted(name, column)} AS "
                f"SELECT {column} AS id, count(*) AS n FROM {name} WHERE {column} IS NOT NULL "
                "GROUP BY ALL"
            )


def _counted(name: str, column: str = "customer_id") -> str:
    return f"_ids_of_{name}_{column}"


def _counted_ids(name: str) -> str:
    """SQL for the ids of a table that were counted, each once."""
    return " UNION ".join(f"SELECT id FROM {_counted(name, column)}" for column in id_columns(name))


def matched_share(connection: duckdb.DuckDBPyConnection, name: str, others: list[str]) -> float:
    """The share of a table's ids that one of the `others` has too; 1 for a table without ids."""
    ids, unknown = _count_unknown(connection, name, others)
    return 1 - unknown / ids if ids else 1.0


def _placeholders(
    connection: duckdb.DuckDBPyConnection, name: str, column: str
) -> Iterator[Finding]:
    words = ", ".join(f"'{word}'" for word in PLACEHOLDERS)
    rows = connection.execute(
        f"SELECT id, n FROM {_counted(name, column)} "
        f"WHERE lower(id) IN ({words}) OR regexp_matches(id, '{_EMPTY_LOOKING}') "
        "ORDER BY n DESC, id"
    ).fetchall()
    rows = [row for row in rows if not (row[0] == "0" and _counts_from_zero(connection, name))]
    if rows:
        count = sum(n for _, n in rows)
        shown = tuple(text for text, _ in rows)[:3]
        quoted = ", ".join(f"'{text}'" for text in shown)
        yield Finding(
            "placeholder_ids",
            name,
            f"{count:,} rows have a {column} that looks like no customer ({quoted}): "
            "all of them count as one person.",
            f"Leave them out in the SELECT of {name}: WHERE {column} NOT IN ({quoted}); or select "
            "another id of the person, such as lower(email).",
            counts={"rows": count, "ids": len(rows)},
            values=shown,
        )


def _counts_from_zero(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Whether ids are the numbers 0, 1, 2 …, and 0 has not more rows than others."""
    if "customer_id" not in ALL_TABLES[name].names:
        return False
    [(ids, numbers, largest)] = connection.execute(
        "SELECT count(*), count(try_cast(id AS BIGINT)), max(try_cast(id AS BIGINT)) "
        f"FROM {_counted(name)}"
    ).fetchall()
    if numbers < ids or largest >= 1.2 * ids:
        return False
    counts = _rows_by_customer(connection, name)
    own = first_value(connection, f"SELECT n FROM {_counted(name)} WHERE id = '0'")
    return bool(own <= max(np.quantile(counts, 0.99), 1))


def _rows_by_customer(connection: duckdb.DuckDBPyConnection, name: str) -> np.ndarray:
    """(customers,) the rows of each, the most first."""
    rows = connection.execute(f"SELECT n FROM {_counted(name)} ORDER BY n DESC")
    return rows.to_arrow_table()["n"].to_numpy()


def _outsized(connection: duckdb.DuckDBPyConnection, name: str) -> Iterator[Finding]:
    counts = _rows_by_customer(connection, name)
    rows = int(counts.sum())
    if rows < FEWEST_ROWS or counts.size < FEWEST_IDS:
        return
    usual = float(np.quantile(counts, 0.95))
    if counts[0] > OUTSIZED_SHARE * rows and counts[0] > OUTSIZED_TIMES * usual:
        yield Finding(
            "outsized_id",
            name,
            f"one customer_id has {percent_of(counts[0], rows)} of the rows ({int(counts[0]):,}); "
            f"95 % of the customers have at most {usual:,.0f}.",
            "Find it with: SELECT customer_id, count(*) FROM … GROUP BY 1 ORDER BY 2 DESC LIMIT 1. "
            "If it is a till, a guest account or a test, leave it out in the SELECT of "
            f"{name}.",
            counts={"rows": int(counts[0]), "share": round(float(counts[0] / rows), 4)},
        )


def _equal_but_for_case(
    connection: duckdb.DuckDBPyConnection, names: list[str]
) -> Iterator[Finding]:
    everybody = " UNION ".join(map(_counted_ids, names))
    [(ids, people)] = connection.execute(
        f"SELECT count(DISTINCT id), count(DISTINCT lower(id)) FROM ({everybody})"
    ).fetchall()
    if people < ids:
        yield Finding(
            "ids_equal_but_for_case",
            names[0] if len(names) == 1 else ", ".join(names),
            f"{ids:,} ids are {people:,} when upper and lower case are the same: "
            f"{ids - people:,} people may count twice.",
            "Write lower(customer_id) AS customer_id in every SELECT, if they are e-mail addresses "
            "or typed by people.",
            counts={"ids": ids, "without_case": people},
        )


def _ids_of(tables: list[str]) -> str:
    """SQL for the ids in these tables, each once, as the column id."""
    return " UNION ".join(
        f"SELECT DISTINCT {column} AS id FROM {each} WHERE {column} IS NOT NULL"
        for each in tables
        for column in id_columns(each)
    )


def _count_unknown(
    connection: duckdb.DuckDBPyConnection, name: str, names: list[str]
) -> tuple[int, int]:
    """(ids of the table, those of them that no other of the tables has)."""
    own, others = _ids_of([name]), _ids_of([each for each in names if each != name])
    [(ids, unknown)] = connection.execute(
        f"SELECT count(*), count(*) FILTER (id NOT IN ({others})) FROM ({own})"
    ).fetchall()
    return ids, unknown


def _groups_apart(connection: duckdb.DuckDBPyConnection, names: list[str]) -> Iterator[Finding]:
    """Tables that share ids among each other, and hardly any with the rest.

    Each of them meets somebody, so that no table looks wrong for itself.
    """

    def share(one: str, other: str) -> bool:
        mine, theirs = _counted_ids(one), _counted_ids(other)
        [(least, both)] = connection.execute(
            f"SELECT least((SELECT count(*) FROM ({mine})), (SELECT count(*) FROM ({theirs}))), "
            f"(SELECT count(*) FROM (({mine}) INTERSECT ({theirs})))"
        ).fetchall()
        # A table without rows is with everybody.
        return bool(both >= LEAST_SHARED * least)

    groups = joined_groups(names, share)
    several = [sorted(group, key=names.index) for group in groups if len(group) > 1]
    if len(several) < 2:
        return
    several.sort(key=lambda group: names.index(group[0]))
    words = " and those of ".join(", ".join(group) for group in several)
    yield Finding(
        "groups_of_tables_apart",
        several[1][0],
        f"the customers of {words} are different people: each group shares its ids, and hardly "
        "any with the other.",
        "Select the same id of the person in all of them: where a file has both ids, look it up "
        "there (SELECT … FROM one JOIN list USING (the other id)).",
        counts={"groups": len(several)},
    )


def _meets_nobody(
    connection: duckdb.DuckDBPyConnection, name: str, names: list[str]
) -> Iterator[Finding]:
    """The table of activity, if hardly anybody of it is in the other tables, nor the other way.

    That few customers have rows elsewhere is usual; that those with rows elsewhere have no activity
    is not.
    """
    own, others = _ids_of([name]), _ids_of([each for each in names if each != name])
    [(ids, elsewhere, both)] = connection.execute(
        f"SELECT (SELECT count(*) FROM ({own})), (SELECT count(*) FROM ({others})), "
        f"(SELECT count(*) FROM (({own}) INTERSECT ({others})))"
    ).fetchall()
    if ids and elsewhere and both < LEAST_SHARED * min(ids, elsewhere):
        yield Finding(
            "ids_no_other_table_knows",
            name,
            f"{both:,} of its {ids:,} ids are among the {elsewhere:,} ids of the other tables: the "
            "customers with activity and those with other rows are not the same people.",
            SAME_ID.format(name),
            counts={"ids": ids, "unknown": ids - both},
        )


def _unknown_elsewhere(
    connection: duckdb.DuckDBPyConnection, name: str, names: list[str]
) -> Iterator[Finding]:
    ids, unknown = _count_unknown(connection, name, names)
    limit = UNKNOWN_SHARE_OF_CUSTOMERS if name in ("customers", "leads") else UNKNOWN_SHARE
    if ids and unknown > limit * ids:
        yield Finding(
            "ids_no_other_table_knows",
            name,
            f"{unknown:,} of {ids:,} ids ({percent_of(unknown, ids)}) are in no other table: "
            "their rows meet nobody.",
            SAME_ID.format(name),
            counts={"ids": ids, "unknown": unknown},
        )
