"""The gate: is the new release at least as good as the served one, on the same later rows?

Both score the challenger's evaluation rows. For the challenger its early fit scores, which saw none
of them. The champion (the served release) scores itself where it was trained on no outcome of these
rows. Otherwise it would be judged on outcomes that it was trained on: then its recipe (columns,
settings, weights) scores, fitted on the challenger's training dates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.core.instants import day_text
from features.core.language import join_words, say, term
from features.core.settings import Settings
from features.tables.history import History
from serving.release.release import Release
from serving.scoring.scorer import Scorer
from training import metrics
from training.evaluation.gate_comparison import (
    MIN_REASON_OVERLAP,
    NOT_JUDGED,
    PASSES,
    REFUSED,
    Side,
    compare,
    interval_text,
    not_judged,
)
from training.examples import Examples, label_rows
from training.plan import Plan
from training.stored_texts import say_stored

__all__ = [
    "AS_SERVED",
    "MIN_REASON_OVERLAP",
    "NOT_JUDGED",
    "PASSES",
    "RECIPE",
    "REFUSED",
    "SEEN",
    "Side",
    "compare",
    "judge",
    "lines",
    "not_comparable",
]

# How the champion was scored.
AS_SERVED = "as served"
RECIPE = "its recipe on our training dates"
SEEN = "as served, which saw these outcomes"
Fit = Callable[[Release, pa.Table, Examples], Scorer]


def judge(
    scorer: Scorer,
    champion: Release | None,
    examples: Examples,
    dates: Plan,
    history: History,
    settings: Settings,
    *,
    fit: Fit,
) -> dict[str, Any]:
    """`champion` (id), `verdict`, `why`, and the comparison where both models can score.

    `scorer`: the challenger's early fit. `fit` fits a release's recipe on labelled rows, given the
    examples they belong to. Aggregates only.
    """
    if champion is None:
        return {"champion": None, "verdict": PASSES, "why": ["nothing is served yet"]}
    if differs := _label_differences(champion, history, settings):
        return not_comparable(champion.id, f"another {', another '.join(differs)}")
    scored_as, at = _judged_dates(champion, dates, settings.outcome_window_us)
    ours = Side(scorer, examples.rows_at(at), list(examples.columns))
    try:
        theirs = _champion_side(
            champion, scored_as, at, examples, dates, history, settings, fit=fit
        )
    except (KeyError, TypeError):
        return not_comparable(champion.id, "its recipe is of an older version")
    if not _same_rows(ours.rows, theirs.rows):
        return not_comparable(champion.id, "other rows or outcomes")
    return {
        "champion": champion.id,
        "champion_scored": scored_as,
        "as_of": [day_text(each, zone=settings.zone) for each in at],
        **compare(ours, theirs, examples.rows_at(dates.train)),
    }


def not_comparable(champion: str, why: str) -> dict[str, Any]:
    """The section of a challenger that could not be compared with the release `champion`."""
    return {"champion": champion, **not_judged(f"not comparable: {why}")}


def _label_differences(champion: Release, history: History, settings: Settings) -> list[str]:
    """Which settings that define the labels differ between the two, in words."""
    now, then = settings.definitions(), champion.config
    paths = {
        "business": ("business",),
        "activity": ("activity",),
        "horizon": ("churn", "horizon_days"),
        "label latency": ("churn", "label_latency_days"),
        "grace": ("churn", "grace_days"),
    }
    differs = [
        name for name, path in paths.items() if _value_at(now, path) != _value_at(then, path)
    ]
    return differs + (["set of tables"] if set(champion.tables) - set(history.names) else [])


def _value_at(mapping: dict[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = mapping
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _judged_dates(
    champion: Release, dates: Plan, outcome_window_us: int
) -> tuple[str, tuple[int, ...]]:
    """(how the champion is scored, the evaluation dates used).

    The dates after every outcome that it was trained on, if there are any.
    """
    newest = pq.read_table(champion.folder / "population.parquet")["as_of"][0].as_py()
    unseen = tuple(at for at in dates.evaluate if at >= newest + outcome_window_us)
    if unseen:
        return AS_SERVED, unseen
    return (RECIPE if "models" in champion.evaluation else SEEN), dates.evaluate


def _champion_side(
    champion: Release,
    scored_as: str,
    at: tuple[int, ...],
    examples: Examples,
    dates: Plan,
    history: History,
    settings: Settings,
    *,
    fit: Fit,
) -> Side:
    scorer = champion.scorer
    if scored_as == RECIPE and set(scorer.columns) <= set(examples.names):
        fitted = fit(champion, examples.rows_at(dates.train), examples)
        return Side(fitted, examples.rows_at(at), list(examples.columns))

    # The champion needs rows of its own: other definitions, or columns that we do not have.
    def build(instants: tuple[int, ...]) -> pa.Table:
        parts = (
            label_rows(
                history,
                settings,
                each,
                definitions=champion.scorer.definitions,
                columns=champion.columns,
            )
            for each in instants
        )
        built = pa.concat_tables(rows for rows, _, _ in parts).combine_chunks()
        return examples.untreated(built)

    if scored_as == RECIPE:
        rows = build(dates.train)
        theirs = Examples(rows, tuple(champion.columns), scorer.definitions, (), 0, scorer.columns)
        scorer = fit(champion, rows, theirs)
    return Side(scorer, build(at), champion.columns)


def _same_rows(one: pa.Table, other: pa.Table) -> bool:
    return all(one[name].equals(other[name]) for name in ("customer_id", "as_of", "churned"))


def lines(evaluation: dict[str, Any]) -> list[str]:
    """The gate in words, one line each; empty where the evaluation has none."""
    gate = evaluation.get("gate")
    if not gate:
        return []
    why, verdict = say("; ").join(map(say_stored, gate["why"])), say_stored(gate["verdict"])
    champion = gate["champion"]
    if champion is None:
        return [say("gate: {verdict} ({why})", verdict=verdict, why=why)]
    if "populations" not in gate:
        return [
            say(
                "gate against release {champion}: {verdict} ({why})",
                champion=champion,
                verdict=verdict,
                why=why,
            )
        ]
    out = [
        say(
            "gate against release {champion} ({scored}) on {days}",
            champion=champion,
            scored=term(gate["champion_scored"]),
            days=join_words(gate["as_of"]),
        )
    ]
    out += [
        _population_line(who, gate["populations"][who])
        for who in metrics.POPULATIONS
        if gate["populations"][who]["log_loss"]
    ]
    out += _detail_lines(gate)
    last = say("  verdict: {verdict}", verdict=verdict)
    return [*out, last + say(": {why}", why=why) if why else last]


def _population_line(who: str, row: dict[str, Any]) -> str:
    loss, ece = row["log_loss"], row["ece"]
    text = say(
        "  {who}: log loss {both}, difference {interval}",
        who=term(who),
        both=_both(loss, ".4f"),
        interval=interval_text(loss),
    )
    return text if ece is None else text + say("; calibration error {both}", both=_both(ece, ".1%"))


def _both(figures: dict[str, Any], form: str) -> str:
    champion = format(figures["champion"], form)
    return f"{figures['challenger']:{form}}" + say(" (champion {figure})", figure=champion)


def _detail_lines(gate: dict[str, Any]) -> list[str]:
    """The weakest segment, the strongest reasons and the next stage, as far as they are known."""
    out = []
    if worst := gate.get("worst_slice"):
        out.append(
            say(
                "  weakest of {segments} segments: {name}, log loss {interval}",
                segments=worst["compared"],
                name=f"{term(worst['dimension'])} {say_stored(worst['name'])}",
                interval=interval_text(worst),
            )
        )
    if gate.get("same_top_reason") is not None:
        out.append(
            say(
                "  {share:.0%} of eligible customers keep their top reason",
                share=gate["same_top_reason"],
            )
        )
    if stages := gate.get("next_stage"):
        both = _both(stages, ".4f")
        text = say(
            "  next stage: log loss {both}, not comparable: the stage definitions differ", both=both
        )
        if stages["difference"] is not None:
            text = say(
                "  next stage: log loss {both}, difference {interval}",
                both=both,
                interval=interval_text(stages),
            )
        out.append(text)
    return out
