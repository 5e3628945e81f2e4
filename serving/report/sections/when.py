"""When will they come back, or leave?"""

from __future__ import annotations

from markupsafe import Markup

from features.core.language import number, percent, say
from features.recipes.stages import STAGES
from serving.drawing.lines import Line, Point, draw_lines
from serving.report.figures import Kind, sentence, stage_name
from serving.report.picture import CustomerList, Picture, Section
from serving.report.source import Source, stage_look
from serving.report.written_tables import Row

_COLUMNS: tuple[tuple[str, Kind], ...] = (
    ("stage", "stage"),
    ("days", "count"),
    ("p", "share"),
    ("n", "count"),
)


def when_section(source: Source) -> Section:
    """The section; without scores it says what to type."""
    question = say("When will they come back, or leave?")
    rows = source.tables.rows("curves")
    if not rows:
        return Section("when", question, source.missing("curves"))
    kind = "p_lost" if source.facts.contractual else "p_active"
    stay = [row for row in rows if row["kind"] == kind]
    back = [row for row in rows if row["kind"] == "p_return"]
    pictures = [*_curves(source, stay, back=False), *_curves(source, back, back=True)]
    return Section("when", question, _answer(source, back), pictures)


def _answer(source: Source, back: list[Row]) -> Markup:
    dormant = [row for row in back if row["stage"] == "dormant"]
    if not dormant:
        return sentence("The curves say how likely an activity is within so many days.")
    last = max(dormant, key=lambda row: row["days"])
    return sentence(
        "About {p} of the dormant customers are expected back within {days} days.",
        p=source.figure(last, "p", "share"),
        days=source.figure(last, "days", "count"),
    )


def _curves(source: Source, rows: list[Row], *, back: bool) -> list[Picture]:
    lines = []
    for stage in STAGES:
        points = [
            Point(float(row["days"]), value, "days")
            for row in rows
            if row["stage"] == stage and (value := source.drawn(row, "p", "share")) is not None
        ]
        if points:
            lines.append(Line(stage_name(stage), stage_look(stage), points))
    if not lines:
        return []
    title, text = _words(source, back=back)
    canvas = draw_lines(
        title,
        lines,
        lambda share: percent(share, 0),
        write_x=number,
        x_name=say("days from now"),
        y_ends=(0.0, 1.0),
    )
    return [
        Picture(
            title,
            text,
            source.view(rows, *_COLUMNS),
            canvas.markup(),
            CustomerList(
                "when_back" if back else "when",
                ("stage", "expected_next_days", "p_churn", "clv"),
                where="stage IN ('dormant', 'churned')" if back else "eligible",
                order="expected_next_days NULLS LAST, customer_id",
            ),
        )
    ]


def _words(source: Source, *, back: bool) -> tuple[str, Markup]:
    if back:
        return say("How likely those who are gone come back"), sentence(
            "The mean probability of an activity within so many days, of dormant and churned "
            "customers."
        )
    if source.facts.contractual:
        return say("How likely cover is lost"), sentence(
            "The mean probability that the cover is lost within so many days, by stage."
        )
    return say("How likely the next activity is"), sentence(
        "The mean probability of an activity within so many days, by stage. A slow customer is "
        "not a lost one."
    )
