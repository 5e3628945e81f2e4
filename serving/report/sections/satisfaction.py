"""How satisfied are they, and how many answered?"""

from __future__ import annotations

from markupsafe import Markup

from features.core.language import day, number, say
from features.recipes.stages import STAGES
from serving.drawing.bars import Format, draw_bars, draw_intervals
from serving.drawing.html import sentence
from serving.report.figures import Kind, joined, whole_percent, write
from serving.report.picture import Picture, Section
from serving.report.source import Source
from serving.report.written_tables import Row

_MONTHS = 12
# NPS is written in points of 100, as people know it.
_KINDS: dict[str, Kind] = {"csat": "share", "nps": "points"}
_AXES: dict[str, Format] = {
    "csat": whole_percent,
    "nps": lambda share: number(100 * share),
}


def satisfaction_section(source: Source) -> Section:
    """The section; without feedback it says so."""
    question = say("How satisfied are they, and how many answered?")
    rows = source.tables.rows("satisfaction")
    if not rows:
        return Section("satisfaction", question, source.missing("satisfaction"))
    answered = {row["measure"] for row in rows if row["value"] is not None}
    measures = [name for name in ("csat", "nps") if name in answered]
    pictures = []
    for measure in measures:
        pictures += _by(source, rows, measure, "month") + _by(source, rows, measure, "stage")
    pictures += _complaints(source, rows) + _times(source)
    notes = source.notes("satisfaction", "response_times")
    answers = [_answer(source, rows, measure) for measure in measures]
    answer = answers[0] if answers else sentence("No survey was answered.")
    for more in answers[1:]:
        answer = joined(answer, more)
    return Section("satisfaction", question, answer, pictures, notes)


def _answer(source: Source, rows: list[Row], measure: str) -> Markup:
    [row] = [one for one in rows if one["measure"] == measure and one["dimension"] == "all"][:1]
    kind = _KINDS[measure]
    value = source.figure(row, "value", kind)
    if measure == "csat":
        text = sentence(
            "Of those who answered in the last year, {value} are satisfied (CSAT).", value=value
        )
    else:
        text = sentence(
            "The net promoter score of the last year (NPS, promoters minus detractors, from −100 "
            "to 100) is {value}.",
            value=value,
        )
    if row["response_rate"] is None:
        return joined(text, sentence("How many were asked is not in the data."))
    return joined(
        text,
        sentence(
            "{rate} of its {sent} surveys were answered. If all others were unhappy it would be "
            "{low}, if all were happy {high}.",
            rate=source.figure(row, "response_rate", "share"),
            sent=source.figure(row, "sent", "count"),
            low=source.figure(row, "if_silent_lowest", kind),
            high=source.figure(row, "if_silent_highest", kind),
        ),
    )


def _by(source: Source, rows: list[Row], measure: str, dimension: str) -> list[Picture]:
    mine = [row for row in rows if row["measure"] == measure and row["dimension"] == dimension]
    if dimension == "month":
        mine = sorted(mine, key=lambda row: row["level"])[-_MONTHS:]
    else:
        mine = [row for stage in STAGES for row in mine if row["level"] == stage]
    if not mine:
        return []
    name = {"csat": say("Satisfied (CSAT)"), "nps": say("Net promoter score (NPS)")}[measure]
    by_month = dimension == "month"
    title = (
        say("{measure}, by month", measure=name)
        if by_month
        else say("{measure}, by stage of today", measure=name)
    )
    kind: Kind = "day" if by_month else "stage"
    unit = _KINDS[measure]
    dots = [source.bar(row, write(row["level"], kind), "value", unit, ends=True) for row in mine]
    return [
        Picture(
            title,
            sentence(
                "Of those who answered, with the 95% interval. Who does not answer is not in it: "
                "the table has what it would be if they were all unhappy, or all happy."
            ),
            source.view(
                mine,
                ("level", kind),
                *((name, unit) for name in ("value", "low", "high")),
                ("n", "count"),
                ("response_rate", "share"),
                *((name, unit) for name in ("if_silent_lowest", "if_silent_highest")),
            ),
            draw_intervals(title, dots, _AXES[measure], zero=measure == "csat").markup(),
        )
    ]


def _complaints(source: Source, rows: list[Row]) -> list[Picture]:
    mine = [row for row in rows if row["measure"] == "complaints" and row["dimension"] == "month"]
    mine = sorted(mine, key=lambda row: row["level"])[-_MONTHS:]
    if not mine:
        return []
    title = say("Customers who complained, by month")
    dots = [source.bar(row, day(row["level"]), "value", "share", ends=True) for row in mine]
    return [
        Picture(
            title,
            sentence(
                "The share of the customers who were active or complained in a month and "
                "complained: {first} in {first_month}, {last} in {last_month}.",
                first=source.figure(mine[0], "value", "share"),
                first_month=day(mine[0]["level"]),
                last=source.figure(mine[-1], "value", "share"),
                last_month=day(mine[-1]["level"]),
            ),
            source.view(
                mine,
                ("level", "day"),
                ("value", "share"),
                ("low", "share"),
                ("high", "share"),
                ("complaints", "count"),
                ("n", "count"),
            ),
            draw_intervals(title, dots, whole_percent).markup(),
        )
    ]


def _times(source: Source) -> list[Picture]:
    rows = source.tables.rows("response_times", measure="resolution")
    rows = [row for row in rows if row["median_hours"] is not None]
    if not rows:
        return []
    title = say("How long complaints take")
    bars = [source.bar(row, write(row["level"], "own"), "median_hours", "hours") for row in rows]
    return [
        Picture(
            title,
            sentence(
                "Hours within which half of the complaints of the last year are resolved; open "
                "ones count as not done yet."
            ),
            source.view(
                rows,
                ("measure", "term"),
                ("level", "own"),
                ("median_hours", "hours"),
                ("in_time", "share"),
                ("done", "count"),
                ("n", "count"),
            ),
            draw_bars(title, bars, number).markup(),
        )
    ]
