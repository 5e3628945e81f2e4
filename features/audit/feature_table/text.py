"""The judgement of a feature table as text for people."""

from __future__ import annotations

from typing import Any

SHOWN = 5
_ROWS = (
    ("repeated", "repeat a customer and an as_of; the first counts"),
    ("after_the_data", "are of an as_of after the end of the data"),
    ("unknown_customer", "are of customers who are in no table"),
    ("without_activity", "are of customers without activity by then"),
)


def table_text(report: dict[str, Any]) -> str:
    """The rows first, then what was cleared, what looks like a leak, and what was not checked."""
    rows, columns = report["rows"], report["columns"]
    lines = [
        f"{report['business']}: {len(columns)} columns of {rows['read']:,} rows, "
        f"{rows['matched']:,} matched",
        *(f"  {rows[name]:,} {words}" for name, words in _ROWS if rows[name]),
        f"  looked at: {rows['looked_at']:,} rows at {len(report['as_of'])} as_of from "
        f"{report['as_of'][0]} to {report['as_of'][-1]} (seed {report['seed']}), "
        f"{report['seconds']:.0f} s",
        "",
    ]
    lines += _equal_lines(columns)
    lines += _alone_lines(report)
    lines += [
        "",
        "  what looks like a leak" if report["findings"] else "  nothing looks like a leak",
    ]
    for one in report["findings"]:
        at = f" (as_of {one['as_of']})" if one["as_of"] else ""
        lines += [f"  {one['severity']:<8}{one['kind']}: {one['where']}{at}"]
        lines += [f"{'':10}{one['reason']}"]
        if one["fix"]:
            lines.append(f"{'':10}do: {one['fix']}")
    lines += [f"  not checked: {what}" for what in report["unchecked"]]
    return "\n".join([*lines, "", f"  {'passed' if report['passed'] else 'FAILED'}"])


def _equal_lines(columns: list[dict[str, Any]]) -> list[str]:
    cleared = [one for one in columns if one["cleared"]]
    renamed = [one for one in cleared if one["equals"] != one["name"]]
    nearly = [one for one in columns if one["equals"] and not one["cleared"]]
    lines = [f"  {len(cleared)} columns equal one of ours at as_of: computed again, and the same"]
    lines += [f"    {one['name']} equals {one['equals']}" for one in renamed]
    lines += [
        f"    {one['name']} equals {one['equals']} in {one['share']:.1%} of the rows"
        for one in sorted(nearly, key=lambda one: -one["share"])
        if one["share"] >= 0.5
    ]
    return lines


def _alone_lines(report: dict[str, Any]) -> list[str]:
    """The columns that foretell churn best, of those that could not be computed again."""
    best = report["best"]
    known = [one for one in report["columns"] if one["auroc"] is not None and not one["cleared"]]
    if best is None or not known:
        return []
    leading = sorted(known, key=lambda one: -one["auroc"])[:SHOWN]
    texts = [f"{one['name']} {one['auroc']:.3f}" for one in leading]
    return [
        f"  alone they foretell churn (AUROC of customers at risk; ours at best "
        f"{best['name']} {best['auroc']:.3f}): {', '.join(texts)}"
        + (f"; {len(known) - SHOWN} more with --json" if len(known) > SHOWN else "")
    ]
