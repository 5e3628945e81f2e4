"""Are newer customers better?"""

from __future__ import annotations

from markupsafe import Markup

from features.core.language import day, number, say
from serving.drawing.bars import draw_intervals
from serving.drawing.html import sentence
from serving.report.figures import joined, whole_percent, write
from serving.report.picture import CustomerList, Picture, Section
from serving.report.source import Source, largest
from serving.report.summary import compared_months
from serving.report.written_tables import Row

MOST_CHANNELS = 15


def newcomers_section(source: Source) -> Section:
    """The section; without months to compare it says so."""
    question = say("Are newer customers better?")
    age, rows, everybody = compared_months(source.tables)
    pictures = [*_cohorts(source, age, rows, everybody), *_channels(source), *_payback(source)]
    if everybody is None:
        missing = source.missing("retention") if source.tables.missing("retention") else None
        few_months = sentence("Too few months of acquisition have been observed to compare them.")
        return Section("newcomers", question, missing or few_months, pictures)
    notes = source.notes("channels", "channel_ages")
    return Section("newcomers", question, _answer(source, everybody), pictures, notes)


def _answer(source: Source, everybody: Row) -> Markup:
    text = sentence(
        "{share} of all customers are still customers {age} days after they were acquired.",
        share=source.figure(everybody, "retention", "share"),
        age=source.figure(everybody, "age_days", "count"),
    )
    verdict = sentence(
        "Of the {n} newest months of acquisition that can be judged (ten customers and more, "
        "observed for so long), better than all is the 95% interval of {better}, worse that of "
        "{worse}; one month in twenty would be so by chance.",
        n=source.total("months compared"),
        better=source.total("months that are better"),
        worse=source.total("months that are worse"),
    )
    return joined(text, verdict)


def _cohorts(source: Source, age: int, rows: list[Row], everybody: Row | None) -> list[Picture]:
    if everybody is None:
        return []
    title = say("Still customers after {age} days, by month of acquisition", age=age)
    dots = [source.bar(row, day(row["cohort"]), "retention", "share", ends=True) for row in rows]
    at = source.drawn(everybody, "retention", "share")
    return [
        Picture(
            title,
            sentence(
                "Months are compared at the same age, so a young month is not worse for being "
                "young. The line is all customers. A month whose interval crosses it may differ "
                "by chance."
            ),
            source.view(
                [*rows, everybody],
                ("cohort", "cohort"),
                ("retention", "share"),
                ("low", "share"),
                ("high", "share"),
                ("n", "count"),
            ),
            draw_intervals(title, dots, whole_percent, zero=False, at=at).markup(),
            CustomerList(
                "newcomers",
                ("cohort", "channel", "stage", "p_churn", "clv"),
                where="cohort IS NOT NULL",
                order="cohort DESC, customer_id",
            ),
        )
    ]


def _channels(source: Source) -> list[Picture]:
    rows = source.tables.rows("channel_ages")
    ages = sorted({row["age_days"] for row in rows if row["n"] and not row.is_small})
    if not ages:
        return []
    age = ages[-1]
    mine, note = largest([row for row in rows if row["age_days"] == age], MOST_CHANNELS)
    title = say("Money of a customer within {age} days, by channel", age=age)
    dots = [
        source.bar(row, write(row["channel"], "own"), "money_per_customer", "money", ends=True)
        for row in mine
    ]
    return [
        Picture(
            title,
            joined(
                sentence(
                    "Who came through a channel was not drawn by lot: a difference between "
                    "channels is no effect of the channel."
                ),
                note,
            ),
            source.view(
                mine,
                ("channel", "own"),
                ("money_per_customer", "money"),
                ("low", "money"),
                ("high", "money"),
                ("repeat_share", "share"),
                ("n", "count"),
            ),
            draw_intervals(title, dots, number).markup(),
            CustomerList(
                "channels",
                ("channel", "cohort", "stage", "clv"),
                where="channel IS NOT NULL",
                order="channel, customer_id",
            ),
        )
    ]


def _payback(source: Source) -> list[Picture]:
    rows, note = largest(source.tables.rows("channels"), MOST_CHANNELS)
    if not rows:
        return []
    return [
        Picture(
            say("What a customer costs, and when that is paid back"),
            joined(
                sentence(
                    "A customer may cost at most what customers of the channel bring in their "
                    "first year. A cost that was not stated is not zero: then nothing is said."
                ),
                note,
            ),
            source.view(
                rows,
                ("channel", "own"),
                ("cost_per_customer", "money"),
                ("payback_days", "days"),
                ("most_cost", "money"),
                ("early_share", "share"),
                ("n", "count"),
            ),
        )
    ]
