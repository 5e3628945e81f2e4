"""Why do they leave?"""

from __future__ import annotations

from markupsafe import Markup

from features.core.language import say
from features.recipes.stages import STAGES
from serving.drawing.bars import draw_intervals
from serving.drawing.html import sentence
from serving.report.figures import Kind, stage_name, whole_percent, write
from serving.report.picture import CustomerList, Picture, Section
from serving.report.source import Source
from serving.report.written_tables import FEWEST, Row

_COLUMNS: tuple[tuple[str, Kind], ...] = (
    ("reason", "reason"),
    ("customers", "count"),
    ("share", "share"),
    ("low", "share"),
    ("high", "share"),
    ("median_value", "number"),
    ("usual_value", "number"),
    ("n", "count"),
)
_MOST = 8


def why_section(source: Source) -> Section:
    """Reasons overall, then of each stage; without scores it says what to type."""
    question = say("Why do they leave?")
    rows = source.tables.rows("reason_shares", direction="raises")
    rows = [row for row in rows if row["reasons"] == 1 and row["customers"] >= FEWEST]
    overall = [row for row in rows if row["stage"] == "all"][:_MOST]
    if not overall:
        return Section("why", question, source.missing("reason_shares"))
    pictures = [_picture(source, say("What raises the risk, all eligible customers"), overall)]
    for stage in STAGES:
        mine = [row for row in rows if row["stage"] == stage][:_MOST]
        if mine and not mine[0].is_small:
            title = say("What raises the risk: {stage}", stage=stage_name(stage))
            pictures.append(_picture(source, title, mine))
    return Section("why", question, _answer(source, overall[0]), pictures)


def _answer(source: Source, first: Row) -> Markup:
    return sentence(
        "Customers leave for many reasons. The most frequent one that raises the risk is like "
        "“{reason}”: {share} of the eligible customers have it. A reason is what moves the risk of "
        "a customer away from the usual one; it is no proof of a cause.",
        reason=write(first["example"], "reason"),
        share=source.figure(first, "share", "share"),
    )


def _picture(source: Source, title: str, rows: list[Row]) -> Picture:
    dots = [
        source.bar(row, write(row["example"], "reason"), "share", "share", ends=True)
        for row in rows
    ]
    return Picture(
        title,
        sentence(
            "The share of the customers who have a reason like this among their three. The number "
            "is that of the customer in the middle; in brackets stands what is usual in the stage."
        ),
        source.view(rows, *_COLUMNS),
        draw_intervals(title, dots, whole_percent).markup(),
        CustomerList(
            "reasons",
            ("stage", "p_churn", "reason_1", "reason_2", "reason_3"),
            where="eligible AND reason_1 IS NOT NULL",
            order="p_churn DESC NULLS LAST, customer_id",
        ),
    )
