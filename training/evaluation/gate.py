"""The gate: is the new release at least as good as the one that is served, on the same later rows?

Both answer the challenger's evaluation rows. Of the challenger the early fit answers, which saw none of them. The
release that is served answers itself where it was trained on no outcome of these rows. Else it would be judged on what
it was told: then its recipe (columns, settings, weights) answers, fitted on the challenger's training dates.

Refused: log loss worse beyond the paired interval by customers, calibration worse by more than chance alone makes, a
slice worse beyond an interval widened for the number of slices, or reasons that hardly anybody keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.core.instants import day_text
from features.core.settings import Settings
from features.engine.columns import ColumnOf
from features.tables.history import History
from serving.release.release import Release
from serving.scoring.reasons import leading
from serving.scoring.scorer import Scorer, stage_index
from training import metrics
from training.evaluation import baseline_comparison, reliability, slices
from training.examples import Examples, labelled
from training.plan import Plan

PASSES, REFUSED, NOT_JUDGED = "passes", "refused", "not judged"
STEADY = 0.3  # share of eligible rows that keep their strongest reason; below, nobody would know the customers again
TOLD = 2000  # rows whose reasons are compared
AS_SERVED, RECIPE, SEEN = (
    "as served",
    "its recipe on our training dates",
    "as served, which saw these outcomes",
)
Fit = Callable[[Release, pa.Table, Examples], Scorer]


@dataclass(frozen=True)
class Side:
    """One of the two: its scorer, its rows of the evaluation dates with labels, and its columns."""

    scorer: Scorer
    rows: pa.Table
    columns: list[ColumnOf]


def judge(
    scorer: Scorer,
    champion: Release | None,
    made: Examples,
    dates: Plan,
    history: History,
    settings: Settings,
    *,
    fit: Fit,
) -> dict[str, Any]:
    """`champion` (id), `verdict`, `why`, and where both could answer how they compare; aggregates only.

    `scorer`: the challenger's early fit. `fit` fits a release's recipe on labelled rows, given the examples they are of.
    """
    if champion is None:
        return _verdict(None, PASSES, "nothing is served yet")
    if differs := _other_question(champion, history, settings):
        return _verdict(
            champion.id, NOT_JUDGED, f"not comparable: another {', another '.join(differs)}"
        )
    judged, at = _dates(champion, dates, settings)
    ours = Side(scorer, made.at(at), list(made.columns))
    try:
        theirs = _champion(champion, judged, at, made, dates, history, settings, fit=fit)
    except (KeyError, TypeError):
        return _verdict(
            champion.id, NOT_JUDGED, "not comparable: its recipe is of an older version"
        )
    if not _same_rows(ours.rows, theirs.rows):
        return _verdict(champion.id, NOT_JUDGED, "not comparable: other rows or outcomes")
    days = [day_text(each, zone=settings.zone) for each in at]
    return {
        "champion": champion.id,
        "champion_is": judged,
        "as_of": days,
        **compare(ours, theirs, made.at(dates.train)),
    }


def compare(ours: Side, theirs: Side, early: pa.Table) -> dict[str, Any]:
    """`verdict` and `why`, from the table of both on the same rows; `early` are the challenger's training rows."""
    rows, y = ours.rows, ours.rows["churned"].to_numpy()
    ids, eligible = rows["customer_id"].to_numpy().astype(str), rows["eligible"].to_numpy()
    (p, p_next), (their_p, their_next) = (side.scorer.score(side.rows) for side in (ours, theirs))
    masks = {"everyone": np.ones(len(y), dtype=bool), "eligible": eligible}
    table = {who: _beside(y[m], p[m], their_p[m], ids[m]) for who, m in masks.items()}
    who = next(
        (
            who
            for who in ("eligible", "everyone")
            if table[who]["customers"] >= baseline_comparison.FEWEST
        ),
        None,
    )
    if who is None:
        return {
            "population": None,
            "table": table,
            **_verdict_only(NOT_JUDGED, "too few customers to tell"),
        }
    m = masks[who]
    lost = metrics.losses(y[m], p[m]) - metrics.losses(y[m], their_p[m])
    found = {
        "population": who,
        "table": table,
        "worst_slice": _worst_slice(
            early if who == "everyone" else early.filter(early["eligible"]),
            rows.filter(pa.array(m)),
            ours,
            y[m],
            lost,
            ids[m],
        ),
        "same_reasons": _same_reasons(ours, theirs, np.flatnonzero(eligible)),
        "next_stage": _next_stage(ours, theirs, p_next, their_next, m),
    }
    why = _objections(found)
    return {**found, "verdict": REFUSED if why else PASSES, "why": why}


def lines(account: dict[str, Any]) -> list[str]:
    """The gate in words, a line each; none where the account has none (base rates, older releases)."""
    found = account.get("gate")
    if not found:
        return []
    told = "; ".join(found["why"])
    if found["champion"] is None or "table" not in found:
        against = f" against release {found['champion']}" if found["champion"] else ""
        return [f"gate{against}: {found['verdict']} ({told})"]
    out = [
        f"gate against release {found['champion']} ({found['champion_is']}) on {', '.join(found['as_of'])}"
    ]
    out += [
        _line(who, found["table"][who])
        for who in metrics.POPULATIONS
        if found["table"][who]["log_loss"]
    ]
    if worst := found.get("worst_slice"):
        out.append(
            f"  worst of {worst['among']} slice(s): {worst['of']} {worst['name']}, log loss {_interval(worst)}"
        )
    if found.get("same_reasons") is not None:
        out.append(f"  strongest reason kept by {found['same_reasons']:.0%} of eligible customers")
    if stages := found.get("next_stage"):
        beside = (
            _interval(stages)
            if stages["difference"] is not None
            else "each by its own stages, not judged"
        )
        out.append(
            f"  next stage: log loss {stages['ours']:.4f} beside {stages['champion']:.4f}, {beside}"
        )
    return [*out, f"  verdict: {found['verdict']}{f': {told}' if told else ''}"]


def _line(who: str, row: dict[str, Any]) -> str:
    told = f"  {who}: log loss {row['log_loss']['ours']:.4f} beside {row['log_loss']['champion']:.4f}, {_interval(row['log_loss'])}"
    ece = row["ece"]
    return told if ece is None else f"{told}; off by {ece['ours']:.1%} beside {ece['champion']:.1%}"


def _interval(found: dict[str, Any]) -> str:
    return f"{found['difference']:+.4f} ({found['low']:+.4f} … {found['high']:+.4f})"


def _verdict(champion: str | None, verdict: str, why: str) -> dict[str, Any]:
    return {"champion": champion, **_verdict_only(verdict, why)}


def _verdict_only(verdict: str, why: str) -> dict[str, Any]:
    return {"verdict": verdict, "why": [why]}


def _other_question(champion: Release, history: History, settings: Settings) -> list[str]:
    """What makes the labels of the two another question, in words."""
    now, then = settings.definitions(), champion.made_for
    asked = {
        "business": ("business",),
        "activity": ("activity",),
        "horizon": ("churn", "horizon_days"),
        "label latency": ("churn", "label_latency_days"),
        "grace": ("churn", "grace_days"),
    }
    differs = [what for what, path in asked.items() if _under(now, path) != _under(then, path)]
    return differs + (["set of tables"] if set(champion.tables) - set(history.names) else [])


def _under(stated: dict[str, Any], path: tuple[str, ...]) -> Any:
    for name in path:
        stated = stated.get(name) if isinstance(stated, dict) else None
    return stated


def _dates(champion: Release, dates: Plan, settings: Settings) -> tuple[str, tuple[int, ...]]:
    """Who answers for the champion, and on which evaluation dates: those after all it was told, if there are any."""
    newest = pq.read_table(champion.folder / "base.parquet")["as_of"][0].as_py()
    window = settings.outcome_window_us
    unseen = tuple(at for at in dates.evaluate if at >= newest + window)
    if unseen:
        return AS_SERVED, unseen
    return (RECIPE if "found" in champion.evaluation else SEEN), dates.evaluate


def _champion(
    champion: Release,
    judged: str,
    at: tuple[int, ...],
    made: Examples,
    dates: Plan,
    history: History,
    settings: Settings,
    *,
    fit: Fit,
) -> Side:
    if judged == RECIPE and set(champion.scorer.columns) <= set(made.names):
        return Side(fit(champion, made.at(dates.train), made), made.at(at), list(made.columns))

    def built(instants: tuple[int, ...]) -> pa.Table:
        parts = (
            labelled(
                history,
                settings,
                each,
                definitions=champion.scorer.definitions,
                columns=champion.columns,
            )
            for each in instants
        )
        return pa.concat_tables(rows for rows, _, _ in parts).combine_chunks()

    scorer = champion.scorer
    if judged == RECIPE:
        rows = built(dates.train)
        theirs = Examples(rows, tuple(champion.columns), scorer.definitions, (), 0, scorer.columns)
        scorer = fit(champion, rows, theirs)
    return Side(scorer, built(at), champion.columns)


def _same_rows(one: pa.Table, other: pa.Table) -> bool:
    return all(one[name].equals(other[name]) for name in ("customer_id", "as_of", "churned"))


def _beside(y: np.ndarray, ours: np.ndarray, theirs: np.ndarray, ids: np.ndarray) -> dict[str, Any]:
    """Rows and customers; log loss of both with the paired interval, calibration of both with the floor: None where unknown."""
    out: dict[str, Any] = {
        "rows": len(y),
        "customers": len(np.unique(ids)),
        "log_loss": None,
        "ece": None,
    }
    if len(y):
        lost, their = metrics.losses(y, ours), metrics.losses(y, theirs)
        out["log_loss"] = {
            "ours": float(lost.mean()),
            "champion": float(their.mean()),
            **metrics.paired(lost, their, ids),
        }
    told = reliability.figures(y, ours)
    if told["ece"] is not None:
        out["ece"] = {
            "ours": told["ece"],
            "champion": metrics.ece(y, theirs),
            "floor": told["floor"]["high"],
        }
    return out


def _worst_slice(
    early: pa.Table, late: pa.Table, ours: Side, y: np.ndarray, lost: np.ndarray, ids: np.ndarray
) -> dict[str, Any] | None:
    """The slice whose loss surely grew most, its interval widened so that all slices together err once in twenty."""
    from scipy.stats import norm

    found = []
    for cut in slices.cuts(early, late, ours.scorer.definitions):
        for at, name in enumerate(cut.names):
            m = cut.late == at
            if (
                m.sum() >= slices.LEAST_ROWS
                and min(y[m].sum(), (~y[m]).sum()) >= slices.LEAST_OF_EACH
            ):
                spread = metrics.resampled(lost[m][:, None], ids[m]).std()
                found.append((cut.of, name, int(m.sum()), float(lost[m].mean()), float(spread)))
    if not found:
        return None
    reach = norm.ppf(1 - 0.025 / len(found))
    of, name, rows, value, spread = max(
        found, key=lambda one: (one[3] - reach * one[4], one[0], one[1])
    )
    return {
        "of": of,
        "name": name,
        "rows": rows,
        "among": len(found),
        "difference": value,
        "low": float(value - reach * spread),
        "high": float(value + reach * spread),
    }


def _same_reasons(ours: Side, theirs: Side, rows: np.ndarray) -> float | None:
    """The share of these rows whose strongest family of reasons is the same; None where one gives no reasons."""
    some = pa.array(
        rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), TOLD)).astype(int))]
    )
    first, second = (
        leading(side.scorer, side.rows.take(some), side.columns) for side in (ours, theirs)
    )
    if not len(some) or first is None or second is None:
        return None
    return float(np.mean([one == other for one, other in zip(first, second, strict=True)]))


def _next_stage(
    ours: Side, theirs: Side, p_next: np.ndarray, their_next: np.ndarray, m: np.ndarray
) -> dict[str, float | None]:
    """Log loss of both; the difference only where both name the stages alike (definitions learned later move them)."""
    outcome, their_outcome = (
        stage_index(side.rows["outcome_stage"].to_numpy()) for side in (ours, theirs)
    )
    lost, their = (
        metrics.stage_losses(outcome[m], p_next[m]),
        metrics.stage_losses(their_outcome[m], their_next[m]),
    )
    told = {"ours": float(lost.mean()), "champion": float(their.mean())}
    if not np.array_equal(outcome, their_outcome):
        return told | dict.fromkeys(("difference", "low", "high"))
    return told | metrics.paired(lost, their, ours.rows["customer_id"].to_numpy().astype(str)[m])


def _objections(found: dict[str, Any]) -> list[str]:
    row, why = found["table"][found["population"]], []
    if row["log_loss"]["low"] > metrics.SAME:
        why.append(f"log loss worse by {_interval(row['log_loss'])} for {found['population']}")
    if row["ece"] and row["ece"]["ours"] - row["ece"]["champion"] > row["ece"]["floor"]:
        why.append(
            "calibration off by {ours:.1%} beside {champion:.1%}, where chance makes {floor:.1%}".format(
                **row["ece"]
            )
        )
    if (worst := found["worst_slice"]) and worst["low"] > metrics.SAME:
        why.append(f"log loss of {worst['of']} {worst['name']} worse by {_interval(worst)}")
    if found["same_reasons"] is not None and found["same_reasons"] < STEADY:
        why.append(
            f"only {found['same_reasons']:.0%} of eligible customers keep their strongest reason"
        )
    if (stages := found["next_stage"])["low"] is not None and stages["low"] > metrics.SAME:
        why.append(f"log loss of the next stage worse by {_interval(stages)}")
    return why
