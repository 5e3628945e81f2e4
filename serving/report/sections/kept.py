"""How is "kept" defined, and what moves with it?"""

from __future__ import annotations

from features.core.language import say
from serving.drawing.bars import draw_intervals
from serving.drawing.html import sentence
from serving.report.figures import whole_percent
from serving.report.picture import Picture, Section
from serving.report.source import Source
from serving.report.written_tables import Row


def kept_section(source: Source) -> Section:
    """The share that stayed, under other definitions of staying."""
    question = say("How is “kept” defined, and what moves with it?")
    rows = source.tables.rows("kept")
    if not rows:
        return Section("kept", question, source.missing("kept"))
    facts = source.facts
    if facts.contractual:
        answer = sentence(
            "A customer is kept who still has cover {n} days later. The days of grace after a term "
            "decide whether a late renewal counts.",
            n=facts.horizon_days,
        )
    else:
        answer = sentence(
            "A customer is kept who is active within {n} days. With fewer days more customers "
            "count as gone, although they did nothing different.",
            n=facts.horizon_days,
        )
    title = say("Stayed, by definition")
    dots = [
        source.bar(
            row,
            _name(source, row),
            "kept",
            "share",
            ends=True,
        )
        for row in rows
    ]
    picture = Picture(
        title,
        sentence(
            "The share of the eligible customers who stayed, if “kept” is defined with these days. "
            "Each row is about the customers who were eligible so long ago, so the rows need not "
            "rise. The number used here is chosen in the configuration."
        ),
        source.view(
            rows,
            ("by", "term"),
            ("days", "count"),
            ("kept", "share"),
            ("low", "share"),
            ("high", "share"),
            ("configured", "term"),
            ("n", "count"),
        ),
        draw_intervals(title, dots, whole_percent).markup(),
    )
    return Section("kept", question, answer, [picture])


def _name(source: Source, row: Row) -> str:
    if source.facts.contractual:
        text = say("{n} days of grace", n=row["days"])
    else:
        text = say("{n} days", n=row["days"])
    return say("{text} (used here)", text=text) if row["configured"] == "yes" else text
