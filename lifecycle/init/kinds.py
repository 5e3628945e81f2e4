"""Columns of kinds and statuses: their words become the contract's, or name rows to leave out."""

from __future__ import annotations

from features.tables.parsing import literal
from lifecycle.init.cell import Cell, Choice, Option
from lifecycle.init.source import Source, split_words, squash
from lifecycle.init.status_words import PENDING, is_no_purchase, meaning_of

MAX_KINDS = 100
_EVENT_COLUMNS = ("event", "eventtype", "eventname", "action")
_STATUS = {
    "status",
    "state",
    "statut",
    "estado",
    "situacao",
    "zustand",
    "状态",
    "订单状态",
    "支付状态",
}


def read_kind(source: Source, column: str, table: str) -> Cell | None:
    """A column of kinds: known words become the contract's.

    Of transactions, rows that are pending or tests are left out by the caller (see `left_out`), and
    unknown words of a status are asked about. Other unknown words stay as they are, so that the
    contract can reject their rows and count them.
    """
    counts = kind_counts(source, column)
    if not counts or len(counts) > MAX_KINDS:
        return None
    mapped = {value: kind for value in counts if (kind := meaning_of(value, table))}
    unknown = {value: rows for value, rows in counts.items() if value not in mapped}
    x = source.sql(column)
    if table == "transactions":
        return _read_status(source, column, x, counts, mapped, unknown)
    any_word = table == "interactions" and squash(column) in _EVENT_COLUMNS
    if sum(unknown.values()) > sum(counts.values()) / 2 and not any_word:
        return None
    notes = [f"{column} gives the kind; known words become the contract's."]
    if unknown:
        fate = (
            "they stay as they are"
            if table == "interactions"
            else "the contract rejects these rows"
        )
        notes.append(
            f"CHECK: unknown kinds in {column}: {len(unknown)}, on {sum(unknown.values()):,} "
            f"of the sampled rows; {fate}."
        )
    return Cell(column, _kind_sql(x, mapped), notes=tuple(notes))


def kind_counts(source: Source, column: str) -> dict[str, int]:
    """Rows by value; at most one value more than MAX_KINDS."""
    return dict(
        source.query(
            f"SELECT v, count(*) FROM ({source.values(column)}) GROUP BY v ORDER BY v "
            f"LIMIT {MAX_KINDS + 1}"
        )
    )


def status_of(value: str, table: str = "transactions") -> str:
    """The kind that a word of a status means: of the contract, "pending", "test", or ''."""
    return meaning_of(value, table)


def is_status_name(column: str) -> bool:
    """Whether the column holds the status of an order, which changes, and not the kind of a row.

    >>> is_status_name("order_status"), is_status_name("Zahlungsstatus"), is_status_name("type")
    (True, True, False)
    """
    words = {*split_words(column), squash(column)}
    return bool(_STATUS & words) or any(word.endswith("status") for word in words)


def _read_status(
    source: Source,
    column: str,
    x: str,
    counts: dict[str, int],
    mapped: dict[str, str],
    unknown: dict[str, int],
) -> Cell | None:
    """The kind of a transaction, by a column of kinds or of statuses."""
    is_status = is_status_name(column)
    is_kind = "purchase" in mapped.values() or (is_status and (mapped or len(counts) > 1))
    if not is_kind:
        return None  # payment methods, for example
    rows_unknown = sum(unknown.values())
    if not is_status and rows_unknown > sum(counts.values()) / 2:
        return None
    notes = (f"{column} gives the kind; known words become the contract's.",)
    rejected = Cell(column, _kind_sql(x, mapped), notes=notes)
    if not unknown:
        return rejected
    listed = ", ".join(
        f"{value!r} on {rows:,} rows"
        for value, rows in sorted(unknown.items(), key=lambda pair: -pair[1])[:3]
    )
    more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
    no_purchase = {value: PENDING for value in unknown if is_no_purchase(value)}
    as_bought = mapped | dict.fromkeys(unknown, "purchase") | no_purchase
    purchases = Cell(column, _kind_sql(x, as_bought), notes=notes)
    pending = Cell(column, _kind_sql(x, mapped | dict.fromkeys(unknown, PENDING)), notes=notes)
    bought = sum(rows for value, rows in counts.items() if mapped.get(value) == "purchase")
    more_bought = sum(rows for value, rows in unknown.items() if value not in no_purchase)
    but = f", but for those that say no ({rows_unknown - more_bought:,})" if no_purchase else ""
    options = [
        Option(
            "purchases",
            f"these rows are purchases{but}: {bought + more_bought:,} purchases",
            purchases,
        ),
        Option("leave_out", f"these rows are left out: {bought:,} purchases", pending),
        Option("reject", f"the contract rejects these rows: {bought:,} purchases", rejected),
    ]
    if bought:
        options.reverse()
    text = (
        f"unknown kinds in {column} of {source.label}: {len(unknown)} ({listed}{more}), on "
        f"{rows_unknown:,} rows"
    )
    return Cell(column, rejected.sql, notes=notes, choice=Choice(text, tuple(options)))


def _kind_sql(x: str, mapped: dict[str, str]) -> str:
    if all(value == kind for value, kind in mapped.items()):
        return x
    lowered = f"lower(trim({x}))"
    renamed = {value.lower(): kind for value, kind in mapped.items() if value.lower() != kind}
    whens = "".join(
        f" WHEN {literal(value)} THEN {literal(kind)}" for value, kind in sorted(renamed.items())
    )
    return f"CASE {lowered}{whens} ELSE {lowered} END" if whens else lowered
