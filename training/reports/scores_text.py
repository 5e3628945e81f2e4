"""What a batch run says on a terminal: customers by stage, and the riskiest with their reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from features.core.language import ENGLISH, current_language, join_words, mark, say, term
from features.engine.consent import without_consent
from features.recipes.stages import CHINESE, STAGES
from serving.release.score_table import CANCELLED, WITHOUT
from serving.scoring.reason_language import say_reason
from training.formats import decimals, pad

# Whose rate a score can be where no model answers, finest first.
RATE_LEVELS = {
    "own_past": mark("their own past"),
    "stage": mark("the stage"),
    "eligibility": mark("those who are as eligible as they are"),
    "segment": mark("the segment"),
    "everyone": mark("everyone"),
}
# Characters of the bar of the most frequent stage.
LONGEST_BAR = 30
REASONS = ("reason_1", "reason_2", "reason_3")


def scores_text(
    folder: Path, *, as_of: str | None = None, riskiest: int = 10, consent: bool = False
) -> str:
    """Customers by stage, and the riskiest eligible ones who can still be kept, with reasons.

    Who has cancelled is counted apart.

    `folder` is that of a run. `consent`: only those are named whose consent is true, where
    customers have the flag. It names customers: for the owner's terminal alone.
    """
    rows = pq.read_table(folder / "scores.parquet").to_pylist()
    counts = {stage: sum(row["stage"] == stage for row in rows) for stage in STAGES}
    longest = max(counts.values()) or 1
    at = say("  customers by stage as of {as_of}", as_of=as_of) if as_of else None
    lines = [at or say("  customers by stage")]
    lines += [
        f"    {_stage_names(stage)}{number:>8,}  {_bar(number / longest)}".rstrip()
        for stage, number in counts.items()
    ]
    lines += [*_rate_lines(rows), *_without_lines(rows)]
    eligible = [row for row in rows if row["eligible"] and row["p_churn"] is not None]
    cancelled = [row for row in eligible if CANCELLED in row["warnings"]]
    staying = [row for row in eligible if CANCELLED not in row["warnings"]]
    refused = _refused_in_lists(folder, staying) if consent else set()
    listed = [row for row in staying if row["customer_id"] not in refused]
    listed.sort(key=lambda row: (-row["p_churn"], row["customer_id"]))
    shown = listed[:riskiest]
    who = say("{customers:,} eligible customers", customers=len(staying))
    if cancelled:
        text = say(
            "  {customers:,} have cancelled already; their cover still runs",
            customers=len(cancelled),
        )
        lines += ["", text]
        who = say("{customers:,} eligible customers who have not cancelled", customers=len(staying))
    if staying:
        mean = sum(row["p_churn"] for row in staying) / len(staying)
        lines += ["", say("  {who}: mean p_churn {mean}", who=who, mean=decimals(mean))]
        lines += ["", say("  the {customers} riskiest of them", customers=len(shown))]
    else:
        lines += ["", say("  no scores of {who}", who=who)]
    if refused:
        lines.append(
            say("  ({customers:,} of them are not listed: no consent)", customers=len(refused))
        )
    for row in shown:
        p = decimals(row["p_churn"])
        lines.append(f"    {row['customer_id']:<12} p_churn {p}  {term(row['stage'])}")
        lines += [f"{'':17}{say_reason(row[key])}" for key in REASONS if row[key]]
    return "\n".join(lines)


def _stage_names(stage: str) -> str:
    """The stage in both languages, the reader's first."""
    if current_language() == ENGLISH:
        return f"{stage:<10}{CHINESE[stage]:<6}"
    return f"{pad(term(stage), 8)}{stage:<10}"


def _refused_in_lists(folder: Path, rows: list[dict[str, Any]]) -> set[str]:
    """Ids without consent; none where no customer of the run has a flag."""
    file = folder / "history" / "customers.parquet"
    if not file.is_file():
        return set()
    customers = pq.read_table(file)
    if customers["consent"].null_count == customers.num_rows:
        return set()
    return without_consent(customers, [row["customer_id"] for row in rows])


def _bar(share: float) -> str:
    return "█" * round(LONGEST_BAR * share)


def _without_lines(rows: list[dict[str, Any]]) -> list[str]:
    """One line where scores do without a table, because it was silent."""
    marks = Counter(table for row in rows for table in _marks(row, WITHOUT))
    if not marks:
        return []
    return [
        "",
        say(
            "  scored without {tables}, which had fallen silent (lifecycle check says since when): "
            "{customers:,} customers.",
            tables=say(" and ").join(sorted(marks)),
            customers=max(marks.values()),
        ),
        say("  The figures of these scores stand in the card, under Without a table."),
    ]


def _rate_lines(rows: list[dict[str, Any]]) -> list[str]:
    """How many scores are rates instead of a model's answer, and whose rates."""
    rated = [row["warnings"] for row in rows if _marks(row, "rate_of:")]
    levels = [level for row in rows for level in _marks(row, "rate_of:")]
    counts = join_words(
        say("{rows:,} by the rate of {whose}", rows=levels.count(level), whose=say(words))
        for level, words in RATE_LEVELS.items()
        if level in levels
    )
    if not levels:
        return []
    lines = ["", say("  scores are rates, not a model's: {rates}", rates=counts)]
    if all("no_skill" in marks and _without(marks) for marks in rated):
        lines.append(say("  Why: the model without the silent tables is no better than chance."))
    return lines


def _marks(row: dict[str, Any], prefix: str) -> list[str]:
    """What follows the prefix in each warning of a row that begins with it."""
    return [mark.removeprefix(prefix) for mark in row["warnings"] if mark.startswith(prefix)]


def _without(marks: Iterable[str]) -> bool:
    return any(mark.startswith(WITHOUT) for mark in marks)
