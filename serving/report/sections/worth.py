"""What are they worth?"""

from __future__ import annotations

from features.core.language import number, say, term
from serving.drawing.bars import draw_bars
from serving.drawing.html import sentence
from serving.drawing.lines import Line, Point, draw_lines
from serving.drawing.matrix import draw_matrix
from serving.report.figures import joined, whole_percent
from serving.report.picture import CustomerList, Picture, Section
from serving.report.source import Source
from serving.report.written_tables import Row

_EVERY = 0.05  # of the customers: a mark on the curve


def worth_section(source: Source) -> Section:
    """The section; without money it says so."""
    question = say("What are they worth?")
    top = source.tables.row("pyramid", measure="top_20_share")
    pictures = [*_pyramid(source), *_matrix(source), *_tiers(source), *_segments(source)]
    if top is None:
        return Section("worth", question, source.missing("pyramid"), pictures)
    answer = sentence(
        "The fifth of the customers who spent the most brought {share} of the money of the last "
        "year.",
        share=source.figure(top, "value", "share"),
    )
    everybody = source.tables.row("worth", by="all")
    if everybody is not None:
        together = sentence(
            "All customers together are expected to bring {clv} within {days} days, {mean} each.",
            days=source.facts.value_days,
            clv=source.figure(everybody, "clv", "money"),
            mean=source.figure(everybody, "mean_clv", "money"),
        )
        answer = joined(answer, together)
    return Section("worth", question, answer, pictures)


def _pyramid(source: Source) -> list[Picture]:
    rows = [row for row in source.tables.rows("pyramid", measure="lorenz") if _is_marked(row)]
    years = list(dict.fromkeys(row["year"] for row in rows))
    lines = []
    for place, year in enumerate(years):
        points = [
            Point(row["customer_share"], value, "customer_share")
            for row in rows
            if row["year"] == year and (value := source.drawn(row, "value", "share")) is not None
        ]
        lines.append(Line(term(year), f"series-{place + 1}", points))
    if not any(line.points for line in lines):
        return []
    title = say("How unequal the money is")
    canvas = draw_lines(
        title,
        lines,
        whole_percent,
        write_x=whole_percent,
        x_name=say("share of the customers, those with the least money first"),
        y_ends=(0.0, 1.0),
        even=True,
    )
    return [
        Picture(
            title,
            sentence(
                "If all customers brought the same, the curve would be the dotted line. The "
                "further it hangs below, the more of the money comes from few."
            ),
            source.view(
                rows,
                ("year", "term"),
                ("customer_share", "share"),
                ("value", "share"),
                ("n", "count"),
            ),
            canvas.markup(),
        )
    ]


def _is_marked(row: Row) -> bool:
    steps = (row["customer_share"] or 0.0) / _EVERY
    return abs(steps - round(steps)) < 1e-6


def _matrix(source: Source) -> list[Picture]:
    rows = source.tables.rows("value_matrix")
    if not rows:
        return []
    levels = ("high", "low")
    values = {}
    for row in rows:
        value = source.drawn(row, "n", "count")
        if value is not None and value.number:
            values[levels.index(row["predicted"]), levels.index(row["current"])] = value
    title = say("What they brought, and what they are expected to bring")
    expected, brought = say("expected"), say("brought in the last year")
    canvas = draw_matrix(
        title,
        [term(level) for level in levels],
        [term(level) for level in levels],
        values,
        row_name=f"{expected} ↓",
        column_name=f"{brought} →",
        power=0.5,
    )
    return [
        Picture(
            title,
            sentence(
                "How many customers brought much or little, and are expected to bring much or "
                "little. High is the fifth with the most. The suggestion in the table is a rule "
                "of thumb, and no effect that was measured."
            ),
            source.view(
                rows,
                ("current", "term"),
                ("predicted", "term"),
                ("n", "count"),
                ("money_share", "share"),
                ("clv_share", "share"),
                ("mean_p_churn", "share"),
                ("stance", "long"),
            ),
            canvas.markup(),
            is_open=True,
            customers=CustomerList(
                "value_matrix",
                ("current", "predicted", "clv", "p_churn", "stage"),
                where="current IS NOT NULL",
                order="current, predicted, clv DESC NULLS LAST, customer_id",
            ),
        )
    ]


def _tiers(source: Source) -> list[Picture]:
    rows = [row for row in source.tables.rows("tiers") if row["money_share"] is not None]
    if not rows:
        return []
    title = say("Tiers by the money of the last year")
    bars = [source.bar(row, _tier_name(row), "money_share", "share") for row in rows]
    return [
        Picture(
            title,
            joined(
                sentence("The share of the money that each tier brought."),
                sentence("Below zero there were more refunds than purchases.")
                if any(row["money_share"] < 0 for row in rows)
                else None,
            ),
            source.view(
                rows,
                ("tier", "term"),
                ("n", "count"),
                ("share", "share"),
                ("money", "money"),
                ("money_share", "share"),
            ),
            draw_bars(title, bars, whole_percent).markup(),
            CustomerList("tiers", ("tier", "stage", "clv", "p_churn"), where="tier IS NOT NULL"),
        )
    ]


def _tier_name(row: Row) -> str:
    if row.is_small:
        return term(row["tier"])
    return say("{tier}, {n:,} customers", tier=term(row["tier"]), n=row["n"])


def _segments(source: Source) -> list[Picture]:
    rows = source.tables.rows("rfm_segments")
    if not rows:
        return []
    title = say("Customers by recency, frequency and money (RFM)")
    bars = [source.bar(row, f"RFM: {term(row['segment'])}", "n", "count") for row in rows]
    return [
        Picture(
            title,
            sentence(
                "These names are no stages: an RFM segment compares a customer with the other "
                "customers of today, a stage compares a customer with their own rhythm."
            ),
            source.view(
                rows,
                ("segment", "term"),
                ("n", "count"),
                ("share", "share"),
                ("money_last_year", "money"),
                ("mean_recency_days", "days"),
            ),
            draw_bars(title, bars, number).markup(),
            CustomerList(
                "rfm",
                ("rfm_segment", "stage", "clv", "p_churn"),
                where="rfm_segment IS NOT NULL",
                order="rfm_segment, customer_id",
            ),
        )
    ]
