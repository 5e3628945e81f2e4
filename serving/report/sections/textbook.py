"""The textbook against your data."""

from __future__ import annotations

from features.core.language import percent, say, term
from serving.drawing.bars import draw_intervals
from serving.report.figures import Kind, sentence
from serving.report.picture import Picture, Section
from serving.report.source import Source


def textbook_section(source: Source) -> Section:
    """Ten claims of the books, and whether they hold here."""
    question = say("Do the claims of the textbooks hold here?")
    rows = source.tables.rows("textbook")
    if not rows:
        return Section("textbook", question, source.missing("textbook"))
    answer = sentence(
        "Of {n} claims {holds} hold here, {fails} do not, and {open} cannot be told.",
        n=source.total("claims"),
        holds=source.total("claims: holds"),
        fails=source.total("claims: does not hold"),
        open=source.total("claims: cannot be told"),
    )
    title = say("Who stays: with the sign, less without it")
    compared = [row for row in rows if row["difference"] is not None]
    dots = [
        source.bar(row, term(row["claim"]), "difference", "share", ends=True) for row in compared
    ]
    text = sentence(
        "Right of zero those with the sign stay more often. These are associations: nobody was "
        "drawn by lot, so none is an effect."
    )
    columns: tuple[tuple[str, Kind], ...] = (
        ("claim", "term"),
        ("verdict", "term"),
        ("difference", "share"),
        ("low", "share"),
        ("high", "share"),
        ("n_with", "count"),
        ("n_without", "count"),
    )
    markup = draw_intervals(title, dots, lambda share: percent(share, 0)).markup() if dots else None
    picture = Picture(title, text, source.view(rows, *columns), markup, is_open=True)
    return Section("textbook", question, answer, [picture], source.notes("textbook"))
