"""What to do?"""

from __future__ import annotations

from features.core.language import number, say
from serving.drawing.bars import draw_bars
from serving.drawing.html import sentence
from serving.report.figures import joined
from serving.report.picture import CustomerList, Picture, Section
from serving.report.source import Source


def actions_section(source: Source) -> Section:
    """What is known without a campaign: who is worth winning back; decisions are not made yet."""
    question = say("What to do?")
    answer = sentence(
        "Nothing is decided here yet: what a contact changes is known only after a campaign in "
        "which some customers, drawn by chance, are not contacted."
    )
    if source.tables.rows("worth"):
        begin = sentence(
            "Until then begin with the list of those at stake (above), and with dormant customers "
            "who may come back."
        )
        answer = joined(answer, begin)
    return Section("actions", question, answer, _win_back(source), source.notes("win_back_stages"))


def _win_back(source: Source) -> list[Picture]:
    rows = source.tables.rows("win_back_stages")
    if not rows:
        return []
    title = say("What dormant and churned customers may bring")
    bars = [source.stage_bar(row, row["stage"], "expected", "money") for row in rows]
    return [
        Picture(
            title,
            sentence(
                "For all customers of the stage together: how likely they come back, times what "
                "they bring within {days} days if they do, minus the cost of winning them back.",
                days=source.facts.value_days,
            ),
            source.view(
                rows,
                ("stage", "stage"),
                ("n", "count"),
                ("worth_it", "count"),
                ("p_return", "share"),
                ("second_life_value", "money"),
                ("expected", "money"),
            ),
            draw_bars(title, bars, number).markup(),
            CustomerList(
                "win_back",
                ("stage", "p_churn", "clv_if_stays", "expected_next_days"),
                where="stage IN ('dormant', 'churned') AND p_churn IS NOT NULL",
                order="(1 - p_churn) * clv_if_stays DESC NULLS LAST, customer_id",
            ),
        )
    ]
