"""Rows that are no transactions: tests, and orders that nobody has paid yet."""

from __future__ import annotations

from features.tables.parsing import literal
from lifecycle.init.cells import Cell
from lifecycle.init.draft import Draft, leave_out
from lifecycle.init.kinds import kind_counts, status_of
from lifecycle.init.source import Source, squash
from lifecycle.init.value_words import FLAG_WORDS

# Flags by name: the value that leaves a row out, and what the row is.
_FLAGS = {
    **dict.fromkeys(("test", "istest", "testmode", "testorder", "sandbox"), ("true", "tests")),
    **dict.fromkeys(("livemode", "live", "islive"), ("false", "tests")),
    **dict.fromkeys(("isdeleted", "deleted"), ("true", "deleted")),
}


def leave_out_by_flags(source: Source, draft: Draft) -> None:
    """Rows that a flag calls a test: `test` is true, or `livemode` is false."""
    for column in source.types:
        meaning = _FLAGS.get(squash(column))
        if meaning is None:
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
