"""Who will leave, can still be kept, and what are they worth?"""

from __future__ import annotations

from markupsafe import Markup

from features.core.language import number, percent, say, term
from features.recipes.stages import STAGES
from serving.drawing.bars import draw_bars, draw_intervals
from serving.drawing.html import sentence
from serving.drawing.matrix import draw_matrix
from serving.report.figures import joined, whole_percent
from serving.report.picture import CustomerList, Picture, Section
from serving.report.source import Source, horizon

FIRST_CUSTOMERS = 20


def leaving_section(source: Source) -> Section:
    """The section; without scores it says what to type."""
    question = say("Who may leave and can still be kept, and what are they worth?")
    pictures = [
        *_risk_and_value(source),
        *_first_customers(source),
        *_at_stake(source),
        *_causes(source),
    ]
    answer = _answer(source)
    if answer is None:
        return Section("leaving", question, source.missing("worth"), pictures)
    return Section("leaving", question, answer, pictures, [_difference(source)])


def _answer(source: Source) -> Markup | None:
    everybody = source.tables.row("worth", by="all")
    rate = source.tables.row("indicators", indicator="churn")
    if everybody is None:
        return None
    facts = source.facts
    stake = sentence(
        "{stake} are at stake: so much more are the eligible customers expected to bring within "
        "{value_days} days if none of them leaves within {days} days.",
        stake=source.figure(everybody, "at_stake", "money"),
        value_days=facts.value_days,
        days=facts.horizon_days,
    )
    if facts.contractual:
        who = sentence("Eligible are the customers with cover (a paid term that runs).")
    else:
        who = sentence(
            "Eligible are the customers who were active in the last {days} days: they are not "
            "gone yet.",
            days=facts.eligible_days,
        )
    if rate is None or rate["value"] is None:
        return joined(stake, who)
    left = sentence(
        "Of the customers who were eligible one period of {days} days ago, {rate} left within it "
        "(n = {n}).",
        days=facts.horizon_days,
        rate=source.figure(rate, "value", "share"),
        n=source.figure(rate, "n", "count"),
    )
    return joined(stake, who, left)


def _difference(source: Source) -> Markup:
    """That to leave and to be in the stage churned are two things."""
    if source.facts.contractual:
        return sentence(
            "To leave is to lose or cancel the cover within {days} days; the stage “churned” is "
            "to have none.",
            days=source.facts.horizon_days,
        )
    return sentence(
        "To leave is to do nothing for {days} days. The stage “churned” is more: a silence far "
        "longer than the customer's own rhythm. Who has left may still be loyal or at risk.",
        days=source.facts.horizon_days,
    )


def _risk_and_value(source: Source) -> list[Picture]:
    rows = source.tables.rows("risk_value")
    if not rows:
        return []
    risks = [place / 10 for place in range(10)]
    worths = sorted({row["value_from"] for row in rows}, reverse=True)
    ends = {row["value_from"]: row["value_to"] for row in rows}
    values = {}
    for row in rows:
        value = source.drawn(row, "customers", "count")
        if value is not None:
            column = round(row["risk_from"] * 10)
            values[worths.index(row["value_from"]), column] = value
    title = say("Risk and worth of the eligible customers")
    currency = source.tables.currency
    labels = [f"{number(low)}–{number(ends[low])}" for low in worths]
    days, worth_name = horizon(source.facts), say("worth if they stay")
    risk_name = say("risk within {horizon}, from →", horizon=days)
    canvas = draw_matrix(
        title,
        labels,
        [percent(risk, 0) for risk in risks],
        values,
        row_name=f"{worth_name}, {currency} ↓" if currency else f"{worth_name} ↓",
        column_name=risk_name,
        power=0.5,
    )
    return [
        Picture(
            title,
            sentence(
                "How many customers there are of each risk and worth: further right they are more "
                "likely to leave, further up they are worth more if they stay. The list has them "
                "by what is at stake, the most first. Fewer than ten are not shown."
            ),
            source.view(
                rows,
                ("value_from", "money"),
                ("value_to", "money"),
                ("risk_from", "share"),
                ("risk_to", "share"),
                ("customers", "count"),
                ("at_stake", "money"),
            ),
            canvas.markup(),
            CustomerList(
                "worth_keeping",
                ("at_stake", "p_churn", "clv_if_stays", "stage", "segment", "reason_1", "reason_2"),
                where="eligible AND p_churn IS NOT NULL",
                order="at_stake DESC NULLS LAST, customer_id",
            ),
        )
    ]


def _first_customers(source: Source) -> list[Picture]:
    """The first customers of the list by name, where that is wanted."""
    rows = source.tables.first("customers", FIRST_CUSTOMERS) if source.facts.with_ids else []
    rows = [row for row in rows if row["at_stake"] is not None]
    if not rows:
        return []
    return [
        Picture(
            say("The first customers to keep"),
            sentence("The first of the list, by what is at stake."),
            source.view(
                rows,
                ("customer_id", "text"),
                ("stage", "stage"),
                ("p_churn", "share"),
                ("at_stake", "money"),
                ("reason_1", "reason"),
            ),
        )
    ]


def _at_stake(source: Source) -> list[Picture]:
    by_stage = {row["group"]: row for row in source.tables.rows("worth", by="stage")}
    rows = [by_stage[stage] for stage in STAGES if stage in by_stage]
    rows = [row for row in rows if row["at_stake"]]
    if not rows:
        return []
    title = say("What is at stake, by stage")
    bars = [source.stage_bar(row, row["group"], "at_stake", "money") for row in rows]
    return [
        Picture(
            title,
            sentence(
                "How much more the eligible customers of a stage are expected to bring if none of "
                "them leaves. So much would it be worth to keep all of them; what a contact can "
                "change is another question."
            ),
            source.view(
                rows,
                ("group", "stage"),
                ("at_stake", "money"),
            ),
            draw_bars(title, bars, number).markup(),
        )
    ]


def _causes(source: Source) -> list[Picture]:
    rows = source.tables.rows("leaving")
    if not rows:
        return []
    title = say("How they left: with a word, or in silence")
    dots = [source.bar(row, term(row["cause"]), "share", "share", ends=True) for row in rows]
    return [
        Picture(
            title,
            sentence(
                "Of the customers who left in the last {days} days that are known to their end. "
                "Those who say something can be answered; those who are silent must be noticed. "
                "It is what was recorded, and no proof of why.",
                days=source.facts.horizon_days,
            ),
            source.view(
                rows,
                ("cause", "term"),
                ("n", "count"),
                ("share", "share"),
                ("low", "share"),
                ("high", "share"),
            ),
            draw_intervals(title, dots, whole_percent).markup(),
        )
    ]
