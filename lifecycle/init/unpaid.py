"""Orders without the time of their payment: not paid yet, or paid without a note of it."""

from __future__ import annotations

from lifecycle.init.cells import Cell, read_cell
from lifecycle.init.draft import Draft, leave_out, where_sql
from lifecycle.init.questions import Answer, Answers, Question
from lifecycle.init.settle import question_key
from lifecycle.init.source import Source, squash

_PAID_AT = (
    "paidat", "paidon", "paiddate", "datepaid", "paymentdate", "zahlungsdatum", "bezahltam",
    "datepaiement", "fechapago", "datapagamento", "付款时间", "支付时间", "付款日期",
)  # fmt: skip


def settle_unpaid(source: Source, cells: dict[str, Cell], draft: Draft, answers: Answers) -> None:
    """Ask what the rows are whose time of payment is empty, where no status says it."""
    if "kind" in draft.selected:
        return
    for column in source.types:
        if squash(column) not in _PAID_AT or column == cells["occurred_at"].column:
            continue
        if read_cell(source, column, "instant", "transactions", required=False) is not None:
            _ask(source, column, draft, answers)
            return


def _ask(source: Source, column: str, draft: Draft, answers: Answers) -> None:
    is_empty = f"coalesce(trim(CAST({source.sql(column)} AS VARCHAR)), '') = ''"
    rows, empty = source.query(
        f"SELECT count(*), count(*) FILTER ({is_empty}) FROM {source.sample}{where_sql(draft)}"
    )[0]
    if not empty:
        return
    options = [
        Answer("leave_out", f"they are not paid yet: {rows - empty:,} purchases"),
        Answer("keep", f"they are paid too: {rows:,} purchases"),
    ]
    if empty > rows / 2:  # a column that is hardly used says nothing
        options.reverse()
    question = Question(
        question_key(source, column),
        f"{column} of {source.label} is empty on {empty:,} of {rows:,} rows.",
        tuple(options),
    )
    answer = answers.ask(question)
    draft.notes.append(answers.check_note(question))
    if answer == "leave_out":
        draft.used.add(column)
        leave_out(source, draft, f"not paid yet ({column})", is_empty)
