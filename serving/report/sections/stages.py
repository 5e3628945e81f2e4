"""How many customers stand where, and which way does it move?"""

from __future__ import annotations

from markupsafe import Markup

from features.core.language import day, number, say
from features.recipes.stages import STAGES
from serving.drawing.bars import draw_bars
from serving.drawing.canvas import Value
from serving.drawing.columns import Column, draw_columns
from serving.drawing.html import sentence
from serving.drawing.matrix import draw_matrix
from serving.report.figures import Kind, joined, stage_name, whole_percent
from serving.report.headers import HEADERS
from serving.report.picture import CustomerList, Picture, Section
from serving.report.source import Source, stage_look
from serving.report.written_tables import Row

_MONTHS = 12
_GROWTH = ("new", "reactivated", "expanded", "contracted", "lost")
_MINUS = ("contracted", "lost")
_GROWTH_NAMES = {part: HEADERS[part] for part in _GROWTH}


def stages_section(source: Source) -> Section:
    """The section; without customers it says so."""
    question = say("How many customers stand where, and which way does it move?")
    now = source.tables.rows("stages_now")
    if not now:
        return Section("stages", question, source.missing("stages_now"))
    pictures = [_now(source, now), *_over_time(source), *_moves(source), *_growth(source)]
    notes = source.notes("growth")
    if source.facts.release is not None:
        notes.append(
            sentence(
                "Scores and lists have the stages of the release, whose thresholds were learned "
                "earlier: for a few customers they differ from those counted here."
            )
        )
    return Section("stages", question, _answer(source, now), pictures, notes)


def _answer(source: Source, now: list[Row]) -> Markup:
    by_stage = {row["stage"]: row for row in now}

    def stage_figure(stage: str, column: str, kind: Kind) -> Markup:
        return source.figure(by_stage[stage], column, kind) if stage in by_stage else Markup("–")

    text = sentence(
        "On {day}, {loyal} customers are loyal, {risk} are at risk, {dormant} are dormant and "
        "{churned} have churned ({share} of all known customers).",
        day=day(source.facts.as_of),
        loyal=stage_figure("loyal", "n", "count"),
        risk=stage_figure("at_risk", "n", "count"),
        dormant=stage_figure("dormant", "n", "count"),
        churned=stage_figure("churned", "n", "count"),
        share=stage_figure("churned", "share", "share"),
    )
    before = [row for row in source.tables.rows("stages_over_time") if row["stage"] == "loyal"]
    earlier = [row for row in before if row["day"] < source.facts.as_of]
    if not earlier:
        return text
    then = max(earlier, key=lambda row: row["day"])
    first = min(earlier, key=lambda row: row["day"])
    return joined(
        text,
        sentence(
            "{then} customers were loyal on {then_day}, and {first} on {first_day}.",
            then=source.figure(then, "customers", "count"),
            then_day=day(then["day"]),
            first=source.figure(first, "customers", "count"),
            first_day=day(first["day"]),
        ),
    )


def _now(source: Source, now: list[Row]) -> Picture:
    bars = [source.stage_bar(row, row["stage"], "n", "count") for row in now]
    title = say("Customers by stage")
    return Picture(
        title,
        sentence(
            "A stage compares the silence of a customer with the rhythm of that customer. All "
            "known customers are counted."
        ),
        source.view(
            now,
            ("stage", "stage"),
            ("n", "count"),
            ("share", "share"),
            ("median_recency_days", "days"),
            ("money_last_year", "money"),
        ),
        draw_bars(title, bars, number).markup(),
        CustomerList("stages", ("stage", "segment", "p_churn", "clv"), order="stage, customer_id"),
    )


def _over_time(source: Source) -> list[Picture]:
    rows = source.tables.rows("stages_over_time")
    days = sorted({row["day"] for row in rows})
    if len(days) < 2:
        return []
    cells = {(row["day"], row["stage"]): row for row in rows}
    columns = [
        Column(
            day(each),
            [
                source.drawn(cells[each, stage], "share", "share")
                if (each, stage) in cells
                else None
                for stage in STAGES
            ],
        )
        for each in days
    ]
    title = say("Stages over time")
    legend = [(stage_look(stage), stage_name(stage)) for stage in STAGES]
    return [
        Picture(
            title,
            sentence(
                "The share of each stage, of the customers who were known on each day. What is "
                "known only later is in none of them. A bar that ends below 100% leaves out stages "
                "of few customers."
            ),
            source.view(
                rows, ("day", "day"), ("stage", "stage"), ("customers", "count"), ("share", "share")
            ),
            draw_columns(title, columns, legend, whole_percent).markup(),
        )
    ]


def _moves(source: Source) -> list[Picture]:
    pictures = []
    realised = [row for row in source.tables.rows("migration") if row["n"]]
    if realised:
        text = sentence(
            "Where the customers of a stage of {days} days ago are now, in percent. Read a row "
            "from left to right; an empty box is not shown (few customers), or nobody.",
            days=source.facts.horizon_days,
        )
        view = [row for row in realised if row["customers"]]
        columns: tuple[tuple[str, Kind], ...] = (
            ("from_stage", "stage"),
            ("to_stage", "stage"),
            ("customers", "count"),
            ("share", "share"),
            ("n", "count"),
        )
        pictures.append(
            Picture(
                say("How customers moved"),
                text,
                source.view(view, *columns),
                _matrix(source, say("How customers moved"), realised),
            )
        )
    expected = source.tables.rows("next_stages")
    if expected:
        text = sentence(
            "Where the customers of a stage are expected in {days} days, in percent: the mean of "
            "their probabilities.",
            days=source.facts.horizon_days,
        )
        view = [row for row in expected if row["expected"]]
        pictures.append(
            Picture(
                say("How customers are expected to move"),
                text,
                source.view(
                    view,
                    ("from_stage", "stage"),
                    ("to_stage", "stage"),
                    ("share", "share"),
                ),
                _matrix(source, say("How customers are expected to move"), expected),
                CustomerList("next_stages", ("stage", "p_churn"), where="p_churn IS NOT NULL"),
            )
        )
    return pictures


def _matrix(source: Source, title: str, rows: list[Row]) -> Markup:
    names = (*STAGES, *sorted({row["from_stage"] for row in rows} - set(STAGES)))
    starts = [name for name in names if any(row["from_stage"] == name for row in rows)]
    ends = [stage for stage in STAGES if any(row["to_stage"] == stage for row in rows)]
    values = {}
    for row in rows:
        value = _whole(source.drawn(row, "share", "share"))
        if value is not None and row["to_stage"] in ends and value.number > 0:
            values[starts.index(row["from_stage"]), ends.index(row["to_stage"])] = value
    return draw_matrix(
        title,
        [_start_name(name) for name in starts],
        [stage_name(name) for name in ends],
        values,
        row_name=say("from ↓"),
        column_name=say("to →"),
    ).markup()


def _start_name(stage: str) -> str:
    return stage_name(stage) if stage in STAGES else say("new since then")


def _whole(value: Value | None) -> Value | None:
    if value is None:
        return None
    text = "<1%" if 0 < value.number < 0.005 else whole_percent(value.number)
    return Value(value.number, value.cell, text)


def _growth(source: Source) -> list[Picture]:
    rows = source.tables.rows("growth", dimension="all")[-_MONTHS:]
    if not rows:
        return []
    columns = []
    for row in rows:
        parts = []
        for part in _GROWTH:
            value = source.drawn(row, part, "money")
            if value is not None and part in _MINUS:
                value = Value(-value.number, value.cell, value.text)
            parts.append(value)
        columns.append(Column(day(row["month"]), parts))
    title = say("Where revenue comes from and goes to")
    last = rows[-1]
    legend = [(f"growth {part}", say(_GROWTH_NAMES[part])) for part in _GROWTH]
    return [
        Picture(
            title,
            sentence(
                "In {month} revenue was {revenue}, {change} against the month before. What is "
                "added stands above the line, what is lost hangs below it; together they are the "
                "change. Who pauses for a month is lost in it, and reactivated after it. Only "
                "months that are over and whose late rows have arrived are shown.",
                month=day(last["month"]),
                revenue=source.figure(last, "revenue", "money"),
                change=source.figure(last, "change", "change"),
            ),
            source.view(
                rows,
                ("month", "day"),
                ("revenue", "money"),
                ("change", "change"),
                *((part, "money") for part in _GROWTH),
            ),
            draw_columns(title, columns, legend, number).markup(),
        )
    ]
