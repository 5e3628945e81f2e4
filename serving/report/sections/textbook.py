"""The textbook against your data."""

from __future__ import annotations

from features.core.language import say, term
from serving.drawing.bars import draw_intervals
from serving.drawing.html import sentence
from serving.report.figures import Kind, write
from serving.report.picture import Picture, Section
from serving.report.source import Source


def textbook_section(source: Source) -> Section:
    """Ten claims of the books, and whether they hold here."""
    question = say("Do the claims of the textbooks hold here?")
    rows = source.tables.rows("textbook")
    if not rows:
        return Section("textbook", question, source.missing("textbook"))
    answer = sentence(
        "Of {n} claims, hold here: {holds}; do not hold: {fails}; cannot be decided with these "
        "data: {open}.",
        n=source.total("claims"),
        holds=source.total("claims: holds"),
        fails=source.total("claims: does not hold"),
        open=source.total("claims: cannot be told"),
    )
    title = say("Difference in staying: with the sign minus without it")
    # Claims about money have a definition of their own, and no place on an axis of staying.
    compared = [row for row in rows if row["difference"] is not None and row["n_without"]]
    dots = [
        source.bar(row, term(row["claim"]), "difference", "points", ends=True) for row in compared
    ]
    text = sentence(
        "In points of 100: right of zero those with the sign stay more often, left of it less "
        "often (a claim that they leave holds there). These are associations, and no effects."
    )
    columns: tuple[tuple[str, Kind], ...] = (
        ("claim", "term"),
        ("verdict", "term"),
        ("difference", "points"),
        ("low", "points"),
        ("high", "points"),
        ("n_with", "count"),
        ("n_without", "count"),
    )
    markup = (
        draw_intervals(title, dots, lambda share: write(share, "points")).markup() if dots else None
    )
    picture = Picture(title, text, source.view(rows, *columns), markup, is_open=True)
    return Section("textbook", question, answer, [picture], source.notes("textbook"))
