"""What `check` says of own targets: how many customers have label 1 at the newest complete date, or
an amount other than 0, and what is wrong where nobody has.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from features.core.contract import ALL_TABLES
from features.core.instants import day_text, midnight_before
from features.core.language import say, term
from features.core.settings import Settings
from features.engine.build import current_state
from features.labels.targets import check_targets, observe_targets
from features.plausibility.finding import Finding
from features.recipes.definitions import Definitions
from features.tables.history import History
from training.formats import count, percent

KINDS = 10  # of a table, the most frequent


def targets_report(
    history: History, settings: Settings, definitions: Definitions
) -> dict[str, dict[str, Any]]:
    """By target: kind, as_of, population, customers in it, positive (label 1, or an amount other
    than 0), new (ids without a row); of an amount also the total and the least.

    A SELECT that is no label and no amount is refused. as_of and counts are None where no window is
    complete.
    """
    check_targets(history, settings)
    if not settings.targets:
        return {}
    at = midnight_before(history.data_until - settings.outcome_window_us, settings.zone)
    state = current_state(history.as_of(at), definitions).select("customer_id", "eligible")
    people = state.sort("customer_id").collect(backend="pyarrow").to_native()
    if not people.num_rows:
        return {
            name: {
                "kind": target.key,
                "as_of": None,
                "population": target.population,
                "customers": None,
            }
            for name, target in settings.targets.items()
        }
    observed = observe_targets(history, at, people["customer_id"], settings)
    report = {}
    for name, target in settings.targets.items():
        is_member = people["eligible"].to_numpy() | (target.population == "everyone")
        values = observed[name].labels[is_member]
        report[name] = {
            "kind": target.key,
            "as_of": day_text(at, zone=settings.zone),
            "population": target.population,
            "customers": int(is_member.sum()),
            "positive": int(np.count_nonzero(values)),
            "new": observed[name].new,
            "blank": observed[name].blank,
        }
        if target.key == "amount":
            report[name] |= {"total": float(values.sum()), "least": float(values.min(initial=0))}
    return report


def target_lines(report: dict[str, dict[str, Any]]) -> list[str]:
    """The report as lines for the terminal; none without targets."""
    return [
        say("  target {name}: {text}", name=name, text=_line(each)) for name, each in report.items()
    ]


def _line(each: dict[str, Any]) -> str:
    if each["as_of"] is None:
        return say("no date has a complete outcome window")
    share = each["positive"] / each["customers"] if each["customers"] else None
    named = {
        "positive": count(each["positive"]),
        "customers": count(each["customers"]),
        "population": term(each["population"]),
        "as_of": each["as_of"],
        "share": percent(share),
    }
    if each["kind"] == "label":
        text = say(
            "{positive} of {customers} {population} customers as of {as_of} have label 1 ({share})",
            **named,
        )
    else:
        text = say(
            "{positive} of {customers} {population} customers as of {as_of} have an amount other "
            "than 0 ({share})",
            **named,
        )
        text += say(", in total {total:,.2f}", total=each["total"])
        text += say(", the least {least:,.2f}", least=each["least"]) if each["least"] < 0 else ""
    return text + (say("; {ids} others came later", ids=count(each["new"])) if each["new"] else "")


def target_findings(
    report: dict[str, dict[str, Any]], history: History, settings: Settings
) -> list[Finding]:
    """A finding for each target of which all customers have the same label, or no amount."""
    findings = []
    for name, each in report.items():
        if not each["customers"] or 0 < each["positive"] < each["customers"]:
            continue
        if each["positive"] and each["kind"] == "amount":
            continue
        findings.append(_same_for_everybody(name, each, history, settings))
    return findings


def _same_for_everybody(
    name: str, each: dict[str, Any], history: History, settings: Settings
) -> Finding:
    select, value = settings.targets[name].select, 1 if each["positive"] else 0
    kinds = _kinds_in_tables(select, history)
    sentence = (
        f"{each['kind']} of [targets.{name}] is {value} for everybody: {count(each['positive'])} "
        f"of {count(each['customers'])} {each['population']} customers as of {each['as_of']}."
    )
    fix = "Correct the SELECT, or remove the target: nothing can be learned from it."
    if value == 0 and kinds:
        fix += f" The kinds that are there: {'; '.join(kinds)}."
    return Finding(
        "target_same_for_everybody",
        "settings",
        sentence,
        fix,
        counts={"customers": each["customers"], "positive": each["positive"]},
    )


def _kinds_in_tables(select: str, history: History) -> list[str]:
    """`transactions purchase 1,234, refund 12` for each table with kinds that the SELECT names."""
    named = set(re.findall(r"\bwindow\b\"?\s*\.\s*\"?(\w+)", select.lower()))
    if re.search(r"\bwindow\b(?!\"?\s*\.)", select.lower()):
        named.add(history.activity_table)
    lines = []
    for table in sorted(named & set(history.names)):
        if "kind" not in ALL_TABLES[table].names:
            continue
        counts = history.connection.execute(
            f"SELECT kind, count(*) FROM {table} GROUP BY kind ORDER BY count(*) DESC, kind"
        ).fetchall()
        listed = ", ".join(f"{kind} {count(rows)}" for kind, rows in counts[:KINDS])
        lines.append(f"{table} {listed}")
    return lines
