"""Rows that are no transactions: tests, and orders that nobody has paid yet."""

from __future__ import annotations

from features.tables.parsing import literal
from lifecycle.init.cells import Cell, read_cell
from lifecycle.init.draft import Draft, leave_out
from lifecycle.init.kinds import kind_counts, status_of
from lifecycle.init.source import Source, squash
from lifecycle.init.value_words import FLAG_WORDS

# Flags by name: the value that leaves a row out, and what the row is.
_FLAGS = {
    **dict.fromkeys(("test", "istest", "testmode", "testorder", "sandbox"), ("true", "tests")),
    **dict.fromkeys(("livemode", "live", "islive"), ("false", "tests")),
    **dict.fromkeys(("isdeleted", "deleted"), ("true", "deleted")),
    **dict.fromkeys(("ispaid", "paid", "bezahlt", "istbezahlt"), ("false", "not paid yet")),
    **dict.fromkeys(
        ("paye", "estpaye", "pagado", "pago", "已支付", "是否支付"), ("false", "not paid yet")
    ),
}


# Flags that say what a row is, where no other column does.
_KIND_FLAGS = {
    **dict.fromkeys(("isrefund", "refund", "refunded", "isrefunded", "isreturn"), "refund"),
    **dict.fromkeys(("returned", "isreturned"), "refund"),
    **dict.fromkeys(("failed", "isfailed", "declined"), "payment_failed"),
    **dict.fromkeys(("cancelled", "canceled", "iscancelled", "iscanceled", "voided"), "void"),
}


def choose_kind_by_flags(source: Source, cells: dict[str, Cell], draft: Draft) -> None:
    """The kind by flags such as `is_refund`; a status goes first, for what it calls a purchase."""
    whens = ""
    for column in source.types:
        kind = _KIND_FLAGS.get(squash(column), "")
        if not kind or (kind == "refund" and "refunded" in cells):
            continue
        flag = read_cell(source, column, "flag", "transactions", required=False)
        if flag is None:
            continue
        text = f"lower(trim(CAST({flag.sql} AS VARCHAR)))"
        condition = f"{text} IN ('true', '1', 'yes', 't', 'y')"
        rows = source.query_count(f"SELECT count(*) FROM {source.sample} WHERE {condition}")
        draft.used.add(column)
        if rows:
            whens += f" WHEN {condition} THEN '{kind}'"
            draft.notes.append(f"{column} is true on {rows:,} rows: they are of kind {kind}.")
    if not whens:
        return
    given = draft.selected.get("kind")
    if given is None:
        draft.selected["kind"] = f"CASE{whens} END"
    else:
        draft.selected["kind"] = (
            f"CASE WHEN coalesce({given}, 'purchase') <> 'purchase' THEN {given}{whens} "
            f"ELSE {given} END"
        )


def leave_out_by_flags(source: Source, draft: Draft) -> None:
    """Rows that a flag calls no purchase: `test` is true, or `livemode` or `is_paid` is false."""
    for column in source.types:
        meaning = _FLAGS.get(squash(column))
        if meaning is None or column in draft.used:  # `paid` may be the amount
            continue
        if read_cell(source, column, "flag", "transactions", required=False) is None:
            continue
        value, what = meaning
        text = f"lower(trim(CAST({source.sql(column)} AS VARCHAR)))"
        words = ", ".join(literal(word) for word in FLAG_WORDS[value].split())
        draft.used.add(column)
        leave_out(source, draft, f"{what} ({column})", f"{text} IN ({words})")


def leave_out_by_status(source: Source, cells: dict[str, Cell], draft: Draft) -> None:
    """Rows whose status says that nothing was paid yet, or that they are tests."""
    if "kind" not in draft.selected:
        return
    column = cells["kind"].column
    means = {word: status_of(word) for word in kind_counts(source, column)}
    text = f"lower(trim({source.sql(column)}))"
    for status, what in (("pending", "not paid yet"), ("test", "tests")):
        words = sorted({word.lower() for word, meaning in means.items() if meaning == status})
        if words:
            listed = ", ".join(literal(word) for word in words)
            leave_out(source, draft, f"{what} ({column})", f"{text} IN ({listed})")
    # Words that a person called no purchase.
    leave_out(source, draft, f"no purchase ({column})", f"{draft.selected['kind']} = 'pending'")
