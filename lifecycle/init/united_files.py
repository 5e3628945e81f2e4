"""Which files of one contract table are read together.

Two exports of one system are (the columns in use have the same names); rows that are in both are
equal and count once. Two files of different systems may tell of the same purchases: then only the
better one is read, or they are not read at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from lifecycle.init.cells import Cell
from lifecycle.init.refunds import kind_of_file
from lifecycle.init.source import Source

# Share of a file's (customer, amount) pairs that the best file has too: the same purchases.
_SAME_DAYS = 0.9  # of the customers and days of both files, at least
_SAME_EVENTS = 0.3


@dataclass(frozen=True)
class Candidate:
    """One file as one table, with the points that decide which table it becomes."""

    points: int
    source: Source
    cells: dict[str, Cell]


def unite_files(table: str, files: list[Candidate]) -> tuple[list[Candidate], dict[str, str]]:
    """The files that are read together, the best first, and why the others are not, by name."""
    if not files:
        return [], {}
    # Refunds alone are no table of purchases: they follow the orders.
    order = sorted(
        files,
        key=lambda file: (_is_side_file(table, file), -file.points, -file.source.rows),
    )
    used: list[Candidate] = []
    unused: dict[str, str] = {}
    for file in order:
        reason = _reason_against(table, file, used)
        if reason:
            unused[file.source.name] = reason
        else:
            used.append(file)
    return [file for file in files if file in used], unused


def _is_side_file(table: str, file: Candidate) -> bool:
    return kind_of_file(file.source, table, file.cells) in ("refund", "payment_failed")


def _reason_against(table: str, file: Candidate, used: list[Candidate]) -> str:
    """Why the file is not read beside those in use; '' where it is."""
    if not used or table in ("feedback", "interactions"):
        return ""
    best = used[0]
    if table == "transactions" and _is_side_file(table, file):
        return ""
    if any(_same_columns(file, other) for other in used):
        return ""
    if table == "transactions" and not _same_events(file, best):
        return ""
    return f"another file fits {table} better, and both could hold the same events"


def _same_columns(file: Candidate, other: Candidate) -> bool:
    """Whether the columns in use have the same names, or those of one are all among the other's."""
    one = {role: cell.column for role, cell in file.cells.items()}
    two = {role: cell.column for role, cell in other.cells.items()}
    shared = one.items() & two.items()
    needed = {"customer_id", "occurred_at", "amount", "starts_at"} & (set(one) | set(two))
    return needed <= {role for role, _ in shared} and len(shared) >= min(len(one), len(two))


def _same_events(file: Candidate, best: Candidate) -> bool:
    """Whether many (customer, amount) or (customer, day) pairs are in the best file too.

    Invoices have taxes in their amounts, and payments may come a day later.
    """
    if "amount" not in file.cells or "amount" not in best.cells:
        return True
    if _same_days(file, best):
        return True
    pairs = [
        f"SELECT DISTINCT lower(trim(CAST({one.cells['customer_id'].sql} AS VARCHAR))) AS who, "
        f"TRY_CAST({one.cells['amount'].sql} AS DECIMAL(18, 2)) AS amount FROM {one.source.sample}"
        for one in (file, best)
    ]
    count, shared = file.source.query(
        f"SELECT count(*), count(b.who) FROM ({pairs[0]}) AS a LEFT JOIN "
        f"(SELECT *, true AS known FROM ({pairs[1]})) AS b USING (who, amount)"
    )[0]
    return bool(shared >= _SAME_EVENTS * count)


def _same_days(file: Candidate, best: Candidate) -> bool:
    """Whether nearly all customers and days of the file are in the best file, and the reverse."""
    pairs = [
        f"SELECT DISTINCT lower(trim(CAST({one.cells['customer_id'].sql} AS VARCHAR))) AS who, "
        f"TRY_CAST(CAST({one.cells['occurred_at'].sql} AS VARCHAR)[:10] AS DATE) AS day "
        f"FROM {one.source.sample}"
        for one in (file, best)
    ]
    both, mine, theirs = file.source.query(
        f"SELECT (SELECT count(*) FROM ({pairs[0]} INTERSECT {pairs[1]})), "
        f"(SELECT count(*) FROM ({pairs[0]})), (SELECT count(*) FROM ({pairs[1]}))"
    )[0]
    return bool(mine and theirs and both >= _SAME_DAYS * max(mine, theirs))
