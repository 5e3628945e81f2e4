"""What the words of a status mean: purchases, failed payments, voids, and rows that are neither."""

from __future__ import annotations

from dataclasses import dataclass

from features.tables.parsing import literal
from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import LeftOut

_SHOWN_WORDS = 3


@dataclass(frozen=True)
class Statuses:
    """The words of one vendor's status by what they mean, each a text of words between bars.

    left_out: words of rows that are no event yet, such as pending. Words are in lower case, with
    spaces between their parts.
    """

    purchase: str
    refund: str = ""
    payment_failed: str = ""
    void: str = ""
    left_out: str = ""

    @property
    def kinds(self) -> dict[str, list[str]]:
        """The words of each kind of transaction."""
        kinds = {
            "purchase": self.purchase,
            "refund": self.refund,
            "payment_failed": self.payment_failed,
            "void": self.void,
        }
        return {kind: words.split("|") for kind, words in kinds.items() if words}


def status_word(columns: FileColumns, names: str, *, prefix: str = "") -> str:
    """SQL for the status in lower case. prefix: left away, such as "wc-"."""
    word = columns.lower(names)
    return f"replace({word}, {literal(prefix)}, '')" if prefix else word


def kind_sql(word: str, statuses: Statuses) -> str:
    """SQL for the kind; an unknown word stays, so that the contract rejects and counts its rows."""
    whens = "".join(
        f" WHEN {word} IN ({_listed(words)}) THEN {literal(kind)}"
        for kind, words in statuses.kinds.items()
    )
    return f"CASE{whens} ELSE coalesce(nullif({word}, ''), 'no status') END"


def is_word(word: str, words: str) -> str:
    """SQL that is true where the status is one of the words (between bars)."""
    return f"{word} IN ({_listed(words.split('|'))})"


def left_out_rows(word: str, statuses: Statuses, what: str) -> tuple[LeftOut, ...]:
    """The rows whose status says that nothing has happened yet."""
    if not statuses.left_out:
        return ()
    return (LeftOut(what, is_word(word, statuses.left_out)),)


def unknown_notes(
    columns: FileColumns, word: str, statuses: Statuses, *, only: str = "true"
) -> tuple[str, ...]:
    """A sentence about words that nobody knows, with their counts; nothing where all are known.

    only: SQL of the rows that have a status at all.
    """
    known = [each for words in statuses.kinds.values() for each in words]
    known += statuses.left_out.split("|")
    rows = columns.source.query(
        f"SELECT coalesce(nullif({word}, ''), 'no status') AS word, count(*) "
        f"FROM {columns.source.whole} WHERE ({word} IN ({_listed(known)})) IS NOT TRUE "
        f"AND ({only}) GROUP BY ALL ORDER BY 2 DESC, 1"
    )
    if not rows:
        return ()
    shown = ", ".join(f"'{text}' ({count:,} rows)" for text, count in rows[:_SHOWN_WORDS])
    more = f" and {len(rows) - _SHOWN_WORDS} more" if len(rows) > _SHOWN_WORDS else ""
    return (
        f"CHECK: {word} has words that are not known: {shown}{more}; the contract "
        "rejects these rows until the SELECT says what they are.",
    )


def _listed(words: list[str]) -> str:
    """The words as SQL, those of several parts with each sign that vendors write between them."""
    signs = (" ", "_", "-")
    spelled = dict.fromkeys(word.replace(" ", sign) for word in words if word for sign in signs)
    return ", ".join(literal(word) for word in spelled)
