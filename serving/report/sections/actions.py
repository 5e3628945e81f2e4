"""What to do?"""

from __future__ import annotations

from dataclasses import replace

from features.core.language import number, say
from serving.drawing.bars import draw_bars, draw_intervals
from serving.drawing.html import sentence
from serving.report.figures import Kind, joined, write
from serving.report.picture import CustomerList, Picture, Section
from serving.report.source import Source
from serving.report.written_tables import FEWEST, Row


def actions_section(source: Source) -> Section:
    """The campaigns that were decided and what they changed; without one, what to begin with."""
    question = say("What to do?")
    rows = source.tables.rows("campaigns")
    pictures = [*_newest_actions(source), *_campaigns(source, rows), *_win_back(source)]
    if rows:
        newest = rows[-1]
        answer = sentence(
            "The newest campaign, {name}, was decided on {day}: {treated} customers to contact, "
            "and {held_out} who are left alone so that its effect can be told. Its verdict: "
            "{verdict}.",
            name=source.figure(newest, "campaign", "own"),
            day=source.figure(newest, "decided", "day"),
            treated=source.figure(newest, "treated", "count"),
            held_out=source.figure(newest, "held_out", "count"),
            verdict=source.figure(newest, "verdict", "term"),
        )
        return Section("actions", question, answer, pictures, source.notes("win_back_stages"))
    answer = sentence(
        "Nothing is decided here yet: what a contact changes is known only after a campaign in "
        "which some customers, drawn by chance, are not contacted. lifecycle decide draws one."
    )
    if source.tables.rows("worth"):
        begin = sentence(
            "Until then begin with the list of those at stake (above), and with dormant customers "
            "who may come back."
        )
        answer = joined(answer, begin)
    return Section("actions", question, answer, pictures, source.notes("win_back_stages"))


def _newest_actions(source: Source) -> list[Picture]:
    """What the newest campaign does, by action; a table alone."""
    rows = _without_few(source.tables.rows("campaign_actions"))
    if not rows:
        return []
    view = source.view(
        rows,
        ("action", "own"),
        ("channel", "own"),
        ("treated", "count"),
        ("held_out", "count"),
        ("cost", "money"),
        ("expected_profit", "money"),
    )
    text = sentence(
        "Of the campaign {name}: for how many customers each action is meant, what it costs, and "
        "the profit that is expected of it. Who is held out gets nothing, so that the effect can "
        "be told.",
        name=source.figure(rows[0], "campaign", "own"),
    )
    return [Picture(say("What the newest campaign does"), text, view, is_open=True)]


def _without_few(rows: list[Row]) -> list[Row]:
    """The rows without counts of few customers, and without a second one beside a single one.

    The counts of an arm add up to that of the campaign, which is shown.
    """
    few_of: dict[int, dict[str, int]] = {row.number: {} for row in rows}
    withheld: dict[int, frozenset[str]] = {row.number: frozenset() for row in rows}
    for column in ("treated", "held_out"):
        counts = [(int(row.count_of(column)), row.number) for row in rows if row[column]]
        few = [each for each in counts if each[0] < FEWEST]
        columns = (column, "cost", "expected_profit") if column == "treated" else (column,)
        for count, place in few:
            few_of[place] |= {f"customers_{name}": count for name in columns}
        if len(few) == 1 and len(counts) > 1:
            place = min(set(counts) - set(few))[1]
            withheld[place] |= frozenset(columns)
    return [
        replace(row, cells={**row.cells, **few_of[row.number]}, withheld=withheld[row.number])
        for row in rows
    ]


def _campaigns(source: Source, rows: list[Row]) -> list[Picture]:
    """What each campaign changed, and what it cost."""
    if not rows:
        return []
    title = say("What campaigns changed: kept with the contact minus kept without")
    measured = [row for row in rows if row["difference"] is not None]
    dots = [source.bar(row, row["campaign"], "difference", "points", ends=True) for row in measured]
    markup = None
    if dots:
        markup = draw_intervals(title, dots, lambda share: write(share, "points")).markup()
    text = sentence(
        "In points of 100: right of zero the campaign kept more customers than would have stayed "
        "without it. Only where the line does not cross zero is it more than chance. Profit is the "
        "money that came more within {days} days, minus the cost.",
        days=source.facts.horizon_days,
    )
    columns: tuple[tuple[str, Kind], ...] = (
        ("campaign", "own"),
        ("decided", "day"),
        ("verdict", "term"),
        ("treated", "count"),
        ("held_out", "count"),
        ("difference", "points"),
        ("low", "points"),
        ("high", "points"),
        ("expected_profit", "money"),
        ("cost", "money"),
        ("profit", "money"),
        ("profit_low", "money"),
        ("profit_high", "money"),
        ("return_on_cost", "number"),
    )
    return [Picture(title, text, source.view(rows, *columns), markup, is_open=True)]


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
