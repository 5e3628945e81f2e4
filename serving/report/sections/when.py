"""When will they come back, or leave?"""

from __future__ import annotations

from markupsafe import Markup

from features.core.language import number, say
from features.recipes.stages import STAGES
from serving.drawing.html import sentence
from serving.drawing.lines import Line, Point, draw_lines
from serving.report.figures import Kind, stage_name, whole_percent
from serving.report.picture import CustomerList, Picture, Section
from serving.report.source import Source, stage_look
from serving.report.written_tables import Row

_COLUMNS: tuple[tuple[str, Kind], ...] = (
    ("stage", "stage"),
    ("days", "count"),
    ("p", "share"),
)


def when_section(source: Source) -> Section:
    """The section; without scores it says what to type."""
    question = say("When will they come back, or leave?")
    rows = source.tables.rows("curves")
    if not rows:
        return Section("when", question, source.missing("curves"))
    kind = "p_lost" if source.facts.contractual else "p_active"
    back = [row for row in rows if row["kind"] == "p_return"]
    gone = {row["stage"] for row in back}
    stay = [row for row in rows if row["kind"] == kind and row["stage"] not in gone]
    pictures = [*_curves(source, stay, back=False), *_curves(source, back, back=True)]
    return Section("when", question, _answer(source, stay, back), pictures)


def _answer(source: Source, stay: list[Row], back: list[Row]) -> Markup:
    if source.facts.contractual:
        everybody = [row for row in stay if row["stage"] == "all"]
        at = [row for row in everybody if row["days"] == source.facts.horizon_days] or everybody
        if not at:
            return sentence("The curves say how likely it is that cover is lost.")
        return sentence(
            "About {p} of the customers with cover are expected to lose it within {days} days.",
            p=source.figure(at[-1], "p", "share"),
            days=source.figure(at[-1], "days", "count"),
        )
    dormant = [row for row in back if row["stage"] == "dormant"]
    if not dormant:
        return sentence("The curves say how likely an activity is within the days from now.")
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
        whole_percent,
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
    if back and source.facts.contractual:
        return say("How likely those whose cover has ended come back"), sentence(
            "The mean probability that a new cover begins within the days from now."
        )
    if back:
        return say("How likely dormant and churned customers come back"), sentence(
            "The mean probability of an activity within the days from now."
        )
    if source.facts.contractual:
        return say("How likely cover is lost"), sentence(
            "The mean probability that the cover is lost within the days from now, by stage. "
            "Cover is a paid term that runs."
        )
    return say("How likely the next activity is"), sentence(
        "The mean probability of an activity within the days from now, by stage of those who are "
        "not gone. A slow customer is not a lost one."
    )
