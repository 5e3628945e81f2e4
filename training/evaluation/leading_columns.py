"""An AUROC too good to be believed: do the columns that lead the model know the outcome?

Where the interval of the AUROC reaches 1, the leak check of `lifecycle audit` runs on the columns
that move the score most. A column that it names and that rests on a clock nobody stated is refused:
nobody can say that its value was known before the outcome. Anything else is one sentence.

An attribute that is stated as constant is looked at whatever the AUROC is: nobody can see when its
value was written, and a status of today tells who has left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from features.audit import leaks
from features.audit.clocks import tables_without_clock
from features.audit.findings import AsOfSlice
from features.audit.ranks import best_auroc
from features.core.errors import LeakSuspected
from features.core.settings import Settings
from features.engine.columns import FeatureColumn
from features.recipes.definitions import Definitions
from features.tables.history import History
from training.evaluation.baseline_comparison import headline_population
from training.evaluation.importance import Explained
from training.formats import decimals

LEADING = 10
REACHES_ONE = 1 - 1e-9
CANCELLED = "cancelled_ending"
TELLING = 0.80  # AUROC of one attribute alone, among customers at risk
FEW = 20  # rows of either outcome; fewer give no reliable AUROC


def check_leading_columns(
    report: Mapping[str, Any],
    scorer: Explained,
    late: pa.Table,
    columns: Sequence[FeatureColumn],
    history: History,
    settings: Settings,
) -> str | None:
    """A sentence where the AUROC's interval reaches 1, else None. `late`: the evaluation rows.

    LeakSuspected where a leading column reveals the outcome and its table has no clock of its own.
    """
    churn = report["churn"]
    who = headline_population(churn, figure="auroc")
    if who is None or churn[who]["auroc_high"] < REACHES_ONE:
        return None
    leading = [
        one["name"] for one in report["importance"]["columns"] if one["name"] in scorer.columns
    ][:LEADING]
    at_risk = _at_risk(late)
    by_name = {column.name: column for column in columns}
    named = _named_by_the_leak_check(late, at_risk, leading)
    without_clock = tables_without_clock(history, settings)
    for name, figure in named.items():
        tables = _tables(by_name[name], history)
        if unknown := sorted(tables & without_clock):
            raise _refusal(name, figure, unknown, churn[who])
    y = late["churned"].to_numpy()[at_risk]
    best = {name: best_auroc(y, _values(late, name)[at_risk]) for name in leading if _both(y)}
    return _sentence(who, churn[who], leading, named, best)


def telling_attributes(train: pa.Table, late: pa.Table, definitions: Definitions) -> str | None:
    """A sentence where attributes stated as constant tell alone who leaves, else None.

    All levels of a text count together, by the share of their training rows that left. Among
    customers at risk at the evaluation dates (`late`).
    """
    at_risk = _at_risk(late)
    y = late["churned"].to_numpy()[at_risk]
    if min(int(y.sum()), int((~y).sum())) < FEW:
        return None
    figures = {}
    for attribute in definitions.attributes:
        names = [name for _, name in attribute.columns if name in late.column_names]
        if attribute.constant and names:
            values = [
                np.column_stack([_values(rows, name) for name in names]) for rows in (train, late)
            ]
            rate = _rate_of_levels(values[0], train["churned"].to_numpy(), values[1])
            score = values[1][:, 0] if len(names) == 1 else rate
            figure = best_auroc(y, score[at_risk])
            if figure >= TELLING:
                figures[attribute.name] = figure
    if not figures:
        return None
    text = ", ".join(f"{name} (AUROC {decimals(each)})" for name, each in figures.items())
    return (
        f"Stated as constant, and alone it tells which eligible customers leave: {text}. A "
        "value that was changed when they left looks like this, and scores of today rest on it. "
        "Unless it never changes, remove it from [contract] constant_attributes, or give the "
        "customers a valid_from."
    )


def _rate_of_levels(train: np.ndarray, churned: np.ndarray, late: np.ndarray) -> np.ndarray:
    """The share that left among training rows of each late row's levels, float64 (rows,)."""
    levels, group = np.unique(np.nan_to_num(train, nan=-1.0), axis=0, return_inverse=True)
    rows = np.bincount(group.ravel(), minlength=len(levels))
    rates = np.bincount(group.ravel(), weights=churned, minlength=len(levels)) / rows
    by_level = {tuple(level): rate for level, rate in zip(levels.tolist(), rates, strict=True)}
    usual = float(churned.mean())
    return np.array(
        [by_level.get(tuple(row), usual) for row in np.nan_to_num(late, nan=-1.0).tolist()]
    )


def _at_risk(rows: pa.Table) -> np.ndarray:
    """Eligible customers who have not agreed by contract to leave, bool (rows,)."""
    eligible = rows["eligible"].to_numpy()
    if CANCELLED not in rows.column_names:
        return eligible
    return eligible & ~(np.nan_to_num(_values(rows, CANCELLED)) > 0)


def _values(rows: pa.Table, name: str) -> np.ndarray:
    return rows[name].cast(pa.float64()).to_numpy()


def _both(y: np.ndarray) -> bool:
    return bool(y.any() and not y.all())


def _named_by_the_leak_check(
    rows: pa.Table, at_risk: np.ndarray, names: Sequence[str]
) -> dict[str, float]:
    """The columns that reveal the outcome alone, with the figure that shows it."""
    instants = rows["as_of"].to_numpy()
    slices = [
        AsOfSlice(int(at), part, part, at_risk[instants == at])
        for at in np.unique(instants)
        for part in [rows.filter(pa.array(instants == at))]
    ]
    findings = leaks.find_revealing_columns(slices, names, frozenset())
    return {finding.where: finding.figure or 1.0 for finding in findings}


def _tables(column: FeatureColumn, history: History) -> set[str]:
    """The tables behind a column; `activity` stands for the table that it is read from."""
    return {
        history.activity_table if table == "activity" else table for table in column.feature.tables
    }


def _refusal(
    name: str, figure: float, tables: Sequence[str], churn: Mapping[str, Any]
) -> LeakSuspected:
    source = " and ".join(tables)
    return LeakSuspected(
        where="train",
        got=f"an AUROC of {decimals(churn['auroc'])} whose interval reaches 1, led by {name} "
        f"({decimals(figure)} alone), from {source}, which has no recorded_at",
        rule="What tells the outcome so well must have been known before it: a value that was "
        "written back afterwards looks like this.",
        fix=f"Add recorded_at to the SELECT of {source}, or state {tables[0]} under [contract] "
        f'arrives_after_hours (0: known at once), or leave it out: [features] off = ["{name}"].',
    )


def _sentence(
    who: str,
    churn: Mapping[str, Any],
    leading: Sequence[str],
    named: Mapping[str, float],
    best: Mapping[str, float],
) -> str:
    text = (
        f"The interval of the AUROC reaches 1 ({decimals(churn['auroc'])} for {who}). The leak "
        f"check ran on the {len(leading)} leading columns: "
    )
    if named:
        return text + (
            f"{', '.join(named)} reveal the outcome, and their tables have a clock. Check that it "
            "is right: lifecycle audit."
        )
    strongest = max(best, key=lambda name: best[name]) if best else None
    figure = f" (highest: {strongest}, {decimals(best[strongest])})" if strongest else ""
    return text + f"none reveals the outcome alone{figure}. With few customers this is chance."
