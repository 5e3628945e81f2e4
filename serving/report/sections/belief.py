"""Can I believe 30 percent?"""

from __future__ import annotations

from markupsafe import Markup

from features.core.language import day, say
from serving.drawing.bars import draw_intervals
from serving.drawing.html import sentence
from serving.drawing.lines import Line, Point, draw_lines
from serving.report.figures import joined, whole_percent
from serving.report.model_tables import OURS
from serving.report.picture import Picture, Section
from serving.report.source import Source
from serving.report.written_tables import Row

_DATES = 13


def belief_section(source: Source) -> Section:
    """Calibration, lift and rates of dates that were not trained on."""
    question = say("Can I believe 30 percent?")
    groups = source.tables.rows("calibration")
    pictures = [*_calibration(source, groups), *_gains(source), *_figures(source), *_rates(source)]
    if not groups:
        return Section("belief", question, source.missing("calibration"), pictures)
    return Section("belief", question, _answer(source, groups), pictures)


def _answer(source: Source, groups: list[Row]) -> Markup:
    near = min(groups, key=lambda row: (abs(row["predicted"] - 0.3), row.number))
    text = sentence(
        "Nearest to 30%: trained without {day} and later days, the model predicted {predicted} for "
        "{n} customers; of 100 like these, {of_100} left.",
        day=day(source.facts.evaluated_on) if source.facts.evaluated_on else "–",
        predicted=source.figure(near, "predicted", "share"),
        n=source.figure(near, "n", "count"),
        of_100=source.figure(near, "of_100", "days"),
    )
    return joined(
        text,
        sentence(
            "In {within} of {all} such groups predicted and observed agree (the 95% interval holds "
            "the prediction).",
            within=source.total("calibration groups that hold"),
            all=source.total("calibration groups"),
        ),
    )


def _calibration(source: Source, groups: list[Row]) -> list[Picture]:
    points = [
        Point(
            row["predicted"],
            value,
            "predicted",
            source.drawn(row, "low", "share"),
            source.drawn(row, "high", "share"),
        )
        for row in groups
        if (value := source.drawn(row, "observed", "share")) is not None
    ]
    if not points:
        return []
    title = say("Predicted and observed")
    canvas = draw_lines(
        title,
        [Line(say("ten groups of eligible customers"), "series-1", points)],
        whole_percent,
        write_x=whole_percent,
        x_name=say("predicted probability of leaving"),
        y_ends=(0.0, 1.0),
        even=True,
    )
    return [
        Picture(
            title,
            sentence(
                "On the dotted line as many left as predicted; below it fewer, above it more. The "
                "vertical lines are 95% intervals."
            ),
            source.view(
                groups,
                ("predicted", "share"),
                ("observed", "share"),
                ("low", "share"),
                ("high", "share"),
                ("of_100", "days"),
                ("n", "count"),
            ),
            canvas.markup(),
        )
    ]


def _gains(source: Source) -> list[Picture]:
    rows = source.tables.rows("gains")
    if not rows:
        return []
    names = (
        ("recall", say("our model"), "series-1"),
        (
            "baseline_recall",
            say("best simple baseline: {name}", name=rows[0]["baseline"]),
            "series-2",
        ),
    )
    lines = [
        Line(
            label,
            look,
            [
                Point(row["contacted"], value, "contacted")
                for row in rows
                if (value := source.drawn(row, column, "share")) is not None
            ],
        )
        for column, label, look in names
    ]
    title = say("How many of those who leave are among the riskiest")
    canvas = draw_lines(
        title,
        lines,
        whole_percent,
        write_x=whole_percent,
        x_name=say("riskiest customers, share"),
        even=True,
    )
    return [
        Picture(
            title,
            sentence(
                "Of the eligible customers who left, {ours} were among the riskiest tenth by our "
                "model, {theirs} by the best simple baseline, and a tenth would be by chance "
                "(dotted).",
                ours=source.figure(rows[0], "recall", "share"),
                theirs=source.figure(rows[0], "baseline_recall", "share"),
            ),
            source.view(
                rows,
                ("contacted", "share"),
                ("recall", "share"),
                ("baseline_recall", "share"),
                ("baseline", "term"),
                ("n", "count"),
            ),
            canvas.markup(),
        )
    ]


def _figures(source: Source) -> list[Picture]:
    rows = source.tables.rows("model_figures")
    if not rows:
        return []
    eligible = [row for row in rows if row["who"] == "eligible"]
    ours = [row for row in eligible if row["model"] == OURS]
    text = sentence(
        "Eligible are those for whom the answer matters. Everyone includes those who left long "
        "ago, who are easy: their figures look better and say less."
    )
    if ours:
        pairs = sentence(
            "Of two eligible customers of whom one left, the model gives that one the higher "
            "risk in {pairs} of 100 pairs (AUROC; 50 is chance).",
            pairs=source.figure(ours[0], "pairs_of_100", "days"),
        )
        text = joined(pairs, text)
    return [
        Picture(
            say("The model beside simple baselines"),
            text,
            source.view(
                rows,
                ("who", "term"),
                ("model", "term"),
                ("auroc", "number"),
                ("low", "number"),
                ("high", "number"),
                ("log_loss", "number"),
                ("lift", "number"),
                ("rate", "share"),
                ("n", "count"),
            ),
            is_open=True,
        )
    ]


def _rates(source: Source) -> list[Picture]:
    rows = source.tables.rows("churn_rates")[-_DATES:]
    if not rows:
        return []
    title = say("How many eligible customers left, by date")
    dots = [source.bar(row, day(row["date"]), "rate", "share", ends=True) for row in rows]
    return [
        Picture(
            title,
            sentence(
                "The share of the customers eligible on the date who left within the horizon. "
                "Where it moves, a probability learned on earlier dates is too high or too low."
            ),
            source.view(
                rows,
                ("date", "day"),
                ("rate", "share"),
                ("low", "share"),
                ("high", "share"),
                ("split", "term"),
                ("n", "count"),
            ),
            draw_intervals(title, dots, whole_percent).markup(),
        )
    ]
