"""The SELECT of one file while it is built."""

from __future__ import annotations

from dataclasses import dataclass, field

from lifecycle.init.source import Source


@dataclass(frozen=True)
class RowsLeftOut:
    """Rows that are no rows of the table: a phrase for the user, and the SQL condition."""

    what: str
    condition: str


@dataclass
class Draft:
    """SQL by contract column, and notes.

    left_out: rows that are left out, in order; each is counted for the user. group_by: SQL of the
    keys where several rows become one. further: other drafts over the same rows, whose rows are
    added. from_: what is selected from; ''= the file itself. sign_of_sum: of a purchase of several
    lines the sum decides whether it is a refund.
    """

    selected: dict[str, str]
    notes: list[str] = field(default_factory=list)
    left_out: list[RowsLeftOut] = field(default_factory=list)
    group_by: tuple[str, ...] = ()
    further: list[Draft] = field(default_factory=list)
    from_: str = ""
    used: set[str] = field(default_factory=set)
    sign_of_sum: bool = False


def leave_out(source: Source, draft: Draft, what: str, condition: str) -> int:
    """Leave the rows out for which the SQL condition is true, and say how many; returns that."""
    so_far = where_sql(draft)
    rows = source.query_count(
        f"SELECT count(*) FROM {source.sample}{so_far or ' WHERE true'} AND ({condition})"
    )
    if rows:
        draft.left_out.append(RowsLeftOut(what, condition))
        draft.notes.append(f"{rows:,} of {source.sampled:,} rows are left out: {what}.")
    return rows


def where_sql(draft: Draft) -> str:
    """The WHERE of the draft, with a space before it; '' where no row is left out."""
    conditions = [f"({rows.condition}) IS NOT TRUE" for rows in draft.left_out]
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def draft_sql(source: Source, draft: Draft, names: tuple[str, ...]) -> str:
    """The SELECT; its columns in the order of `names`, the contract's."""
    columns = [(draft.selected[name], name) for name in names if name in draft.selected]
    listed = ", ".join(sql if sql == name else f"{sql} AS {name}" for sql, name in columns)
    group_by = f" GROUP BY {', '.join(draft.group_by)}" if draft.group_by else ""
    select = f"SELECT {listed} FROM {draft.from_ or source.name}{where_sql(draft)}{group_by}"
    return " UNION ALL BY NAME ".join(
        [select, *(draft_sql(source, further, names) for further in draft.further)]
    )
