"""Refunds that stand in the row of their order: a row of their own for each.

An order that was given back was bought before, so it is a purchase and a refund.
"""

from __future__ import annotations

from dataclasses import dataclass

from lifecycle.init.cells import Cell, read_cell
from lifecycle.init.draft import Draft, RowsLeftOut, where_sql
from lifecycle.init.kinds import is_status_name, kind_counts
from lifecycle.init.money_sql import product_sql, text_sql
from lifecycle.init.questions import Answer, Answers, Question
from lifecycle.init.settle import question_key
from lifecycle.init.source import Source, constant_kind, squash
from lifecycle.init.status_words import is_partial_refund
from lifecycle.init.words import SYNONYMS, UPDATED

# Names of the time at which the money went back.
_TIMES = (
    "refundedat", "refunddate", "refundeddate", "refundedon", "refundtime", "refundeddateutc",
    "erstattetam", "dateremboursement", "fechareembolso", "datareembolso", "退款时间",
)  # fmt: skip

# Flags of an order that was given back; `is_refund` is a flag of a row that is a refund.
_STATE_FLAGS = ("refunded", "isrefunded", "returned", "isreturned")


@dataclass(frozen=True)
class Refunds:
    """The rows of a file with a refund beside their purchase.

    condition: SQL that is true for them. amount: SQL of the refund; '' = that of the order. column:
    that of the refund, '' where a status says it. at: when the money went back, or None.
    """

    condition: str
    amount: str
    column: str
    at: Cell | None


def kind_of_file(source: Source, table: str, cells: dict[str, Cell]) -> str | None:
    """The kind of every row by the file's name, or of refunds by the names of its columns."""
    kind = constant_kind(source, table)
    if table != "transactions" or (kind is not None and kind != "purchase"):
        return kind
    amount, when = cells.get("amount"), cells.get("occurred_at")
    refunds = {squash(name) for name in SYNONYMS["transactions"]["refunded"].split()}
    is_refund = (amount is not None and squash(amount.column) in refunds) or (
        when is not None and squash(when.column) in _TIMES
    )
    return "refund" if is_refund else kind


def split_refunds(
    source: Source,
    cells: dict[str, Cell],
    money: list[Cell],
    refunded: Cell | None,
    draft: Draft,
    answers: Answers,
) -> list[Refunds]:
    """The refunds beside their purchases, whose rows become purchases in `draft`.

    money: the columns of the amount. refunded: the column of refunds, as it is settled.
    """
    result = []
    column = refunded and _by_column(source, refunded, draft)
    if column:
        result.append(column)
    if refunded is None:
        _name_partial_refunds(source, cells, draft)
    status = _by_status(source, cells, money, draft, answers, column or None)
    if status:
        result.append(status)
    if result and "kind" in draft.selected:
        kind = draft.selected["kind"]
        any_of = " OR ".join(f"({each.condition})" for each in result)
        draft.selected["kind"] = f"CASE WHEN {any_of} THEN 'purchase' ELSE {kind} END"
    return result


def _by_column(source: Source, refunded: Cell, draft: Draft) -> Refunds | None:
    """The refunds of a column of amounts, where it is over 0; None where no row has one."""
    number = f"TRY_CAST({refunded.sql} AS DECIMAL(18, 4))"
    condition = f"{number} > 0"
    draft.used.add(refunded.column)
    unread = f"{number} IS NULL AND trim({text_sql(source, refunded.column)}) <> ''"
    rows, odd = source.query(
        f"SELECT count(*) FILTER ({condition}), count(*) FILTER ({unread}) FROM {source.sample}"
    )[0]
    if odd:
        draft.notes.append(
            f"CHECK: cells of {refunded.column} that are no amount: {odd:,}; they are no refund."
        )
    if not rows:
        return None
    if "kind" in draft.selected:
        kind = draft.selected["kind"]
        condition += f" AND coalesce({kind}, 'purchase') IN ('purchase', 'refund')"
    return Refunds(condition, refunded.sql, refunded.column, _time_of_refund(source, _TIMES))


def _by_status(
    source: Source,
    cells: dict[str, Cell],
    money: list[Cell],
    draft: Draft,
    answers: Answers,
    column: Refunds | None,
) -> Refunds | None:
    """The orders whose status alone says that they were given back; None where there are none.

    A row with the id of a purchase is no order, but the refund of that purchase.
    """
    name = _state_column(source, cells, draft)
    if not name:
        return None
    kind, amount = draft.selected["kind"], product_sql(source, money)
    condition = f"{kind} = 'refund' AND {amount} > 0"
    if column is not None:
        condition += f" AND ({column.condition}) IS NOT TRUE"
    where = where_sql(draft) or " WHERE true"
    id_ = cells["transaction_id"].sql if "transaction_id" in cells else "NULL"
    bought = f"SELECT {id_} FROM {source.sample}{where} AND {kind} = 'purchase'"
    rows, known = source.query(
        f"SELECT count(*), count(*) FILTER ({id_} IN ({bought})) FROM {source.sample}{where} "
        f"AND {condition}"
    )[0]
    if not rows or rows == known:
        return None
    updated = tuple(squash(name) for name in UPDATED.split())
    at = _time_of_refund(source, _TIMES) or _time_of_refund(source, updated)
    if _ask_status(source, name, rows, known, answers, draft) == "refunds":
        return None
    return Refunds(condition, "", "", at)


def _name_partial_refunds(source: Source, cells: dict[str, Cell], draft: Draft) -> None:
    """Say how many purchases were given back in part, where no column has the amount."""
    if "kind" not in draft.selected or "kind" not in cells:
        return
    counts = kind_counts(source, cells["kind"].column)
    rows = sum(count for word, count in counts.items() if is_partial_refund(word))
    if rows:
        draft.notes.append(
            f"CHECK: {cells['kind'].column} says of {rows:,} rows that a part was given back, and "
            "no column has that amount: they are purchases of their whole amount. Export the "
            "column of the refunded amount too."
        )


def _state_column(source: Source, cells: dict[str, Cell], draft: Draft) -> str:
    """The column that says what became of an order, by a status or a flag; '' where none does."""
    if "kind" not in draft.selected:
        return ""
    if "kind" in cells and is_status_name(cells["kind"].column):
        return cells["kind"].column
    flags = (column for column in source.types if squash(column) in _STATE_FLAGS)
    return next((column for column in flags if column in draft.used), "")


def _ask_status(
    source: Source, column: str, rows: int, known: int, answers: Answers, draft: Draft
) -> str:
    both = Answer("orders", f"{rows:,} purchases, each with its refund")
    own = Answer("refunds", f"{rows:,} refunds of other purchases")
    also = f"; {known:,} of them have the id of a purchase" if known else ""
    question = Question(
        question_key(source, f"{column} refunds"),
        f"{column} of {source.label} says of {rows:,} rows that they were given back{also}.",
        (own, both) if known else (both, own),
    )
    answer = answers.ask(question)
    draft.notes.append(answers.check_note(question))
    return answer


def _time_of_refund(source: Source, names: tuple[str, ...]) -> Cell | None:
    for column in source.types:
        if squash(column) in names:
            return read_cell(source, column, "instant", "transactions", required=False)
    return None


def add_refund_rows(
    source: Source, cells: dict[str, Cell], refunds: Refunds, draft: Draft, answers: Answers
) -> None:
    """Add the rows of the refunds: kind refund, the id of the order with `#refund`."""
    rows = source.query_count(
        f"SELECT count(*) FROM {source.sample}{where_sql(draft) or ' WHERE true'} "
        f"AND ({refunds.condition})"
    )
    selected = {
        "customer_id": draft.selected["customer_id"],
        "occurred_at": _when(source, cells, refunds, draft),
        "amount": refunds.amount or draft.selected["amount"],
        "kind": "'refund'",
    }
    if "transaction_id" in draft.selected:
        selected["transaction_id"] = f"{draft.selected['transaction_id']} || '#refund'"
    if draft.group_by and refunds.column:
        reduction = _reduction(source, cells, refunds, draft, answers)
        selected["amount"] = f"{reduction}(TRY_CAST({refunds.amount} AS DECIMAL(18, 4)))"
    left_out = [
        *draft.left_out,
        RowsLeftOut("without a refund", f"NOT coalesce({refunds.condition}, false)"),
    ]
    group_by = tuple(key for key in draft.group_by if key != draft.selected.get("kind"))
    draft.further.append(Draft(selected, left_out=left_out, from_=draft.from_, group_by=group_by))
    where = f"{refunds.column} is over 0" if refunds.column else "the status says so"
    time = f"is {refunds.at.column}" if refunds.at else "is that of the order, as no column has it"
    draft.notes.append(
        f"refunds are rows of their own, where {where} ({rows:,}); their time {time}."
    )


def _when(source: Source, cells: dict[str, Cell], refunds: Refunds, draft: Draft) -> str:
    """SQL for the time of the refund: its own, but never before the order's."""
    paid = cells["occurred_at"].sql if draft.group_by else draft.selected["occurred_at"]
    when = paid
    if refunds.at is not None:
        draft.used.add(refunds.at.column)
        own, order = f"CAST({refunds.at.sql} AS VARCHAR)", f"CAST({paid} AS VARCHAR)"
        instants = [f"TRY_CAST({each} AS TIMESTAMPTZ)" for each in (own, order)]
        is_before = f"{instants[0]} < {instants[1]}"
        when = f"CASE WHEN coalesce({own}, '') = '' OR {is_before} THEN {order} ELSE {own} END"
    return f"min({when})" if draft.group_by else when


def _reduction(
    source: Source, cells: dict[str, Cell], refunds: Refunds, draft: Draft, answers: Answers
) -> str:
    """How the refunds of lines become the one of their order: sum, or max where each repeats it.

    Where they differ, each line has its own. Where all are alike and together more than was paid,
    they repeat the order's. Else it is asked.
    """
    number = f"coalesce(TRY_CAST({refunds.amount} AS DECIMAL(18, 4)), 0)"
    amount = draft.selected["amount"]
    orders, differ, exceed, summed, once = source.query(f"""
        SELECT count(*), count(*) FILTER (low < high), count(*) FILTER (total > paid),
               coalesce(sum(total), 0), coalesce(sum(high), 0)
        FROM (SELECT min({number}) AS low, max({number}) AS high, sum({number}) AS total,
                     TRY_CAST({amount} AS DOUBLE) AS paid
              FROM {source.sample}{where_sql(draft)} GROUP BY {cells["transaction_id"].sql}
              HAVING count(*) > 1 AND max({number}) > 0)""")[0]
    if not orders or differ:
        draft.notes.append(f"{refunds.column} is added up over the lines of an order.")
        return "sum"
    if exceed:
        draft.notes.append(
            f"{refunds.column} is the same on all lines of an order and is counted once."
        )
        return "max"
    question = Question(
        question_key(source, refunds.column),
        f"{refunds.column} of {source.label} is the same on all lines of {orders:,} orders.",
        (
            Answer("once", f"it is the refund of the order, sum {float(once):,.2f}"),
            Answer("each", f"each line has its own, sum {float(summed):,.2f}"),
        ),
    )
    answer = answers.ask(question)
    draft.notes.append(answers.check_note(question))
    return "max" if answer == "once" else "sum"
