"""What `check` says of own targets: how many customers have label 1 at the newest complete date."""

from __future__ import annotations

from typing import Any

from features.core.instants import day_text, midnight_before
from features.core.settings import Settings
from features.engine.build import current_state
from features.labels.targets import check_targets, observe_targets
from features.recipes.definitions import Definitions
from features.tables.history import History
from training.formats import count, percent


def targets_report(
    history: History, settings: Settings, definitions: Definitions
) -> dict[str, dict[str, Any]]:
    """By target: as_of, population, customers in it, positive (label 1), new (ids without a row).

    A SELECT that is no label is refused. as_of and counts are None where no window is complete.
    """
    check_targets(history, settings)
    if not settings.targets:
        return {}
    at = midnight_before(history.data_until - settings.outcome_window_us, settings.zone)
    state = current_state(history.as_of(at), definitions).select("customer_id", "eligible")
    people = state.sort("customer_id").collect(backend="pyarrow").to_native()
    if not people.num_rows:
        return {
            name: {"as_of": None, "population": target.population, "customers": None}
            for name, target in settings.targets.items()
        }
    observed = observe_targets(history, at, people["customer_id"], settings)
    report = {}
    for name, target in settings.targets.items():
        is_member = people["eligible"].to_numpy() | (target.population == "everyone")
        report[name] = {
            "as_of": day_text(at, zone=settings.zone),
            "population": target.population,
            "customers": int(is_member.sum()),
            "positive": int(observed[name].labels[is_member].sum()),
            "new": observed[name].new,
            "blank": observed[name].blank,
        }
    return report


def target_lines(report: dict[str, dict[str, Any]]) -> list[str]:
    """The report as lines for the terminal; none without targets."""
    return [f"  target {name}: {_line(each)}" for name, each in report.items()]


def _line(each: dict[str, Any]) -> str:
    if each["as_of"] is None:
        return "no date has a complete outcome window"
    share = each["positive"] / each["customers"] if each["customers"] else None
    text = (
        f"{count(each['positive'])} of {count(each['customers'])} {each['population']} customers "
        f"as of {each['as_of']} have label 1 ({percent(share)})"
    )
    return text + (f"; {count(each['new'])} others came later" if each["new"] else "")
