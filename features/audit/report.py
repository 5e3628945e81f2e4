"""The audit's report as text for people."""

from __future__ import annotations

from typing import Any

PROMISE = (
    "The audit removes, scrambles or delays later rows in ten ways "
    "and checks that no feature changes."
)


def report_text(report: dict[str, Any]) -> str:
    """The result first, then what was checked, what differed, and what looks like a leak."""
    customers, dates = report["customers"], report["as_of"]
    sample = ""
    if customers["audited"] != customers["total"]:
        sample = f" of {customers['total']:,} (drawn)"
    lines = [
        f"{report['business']}: {report['columns']} feature columns, "
        f"{customers['audited']:,} customers{sample}, {len(dates)} as_of from {dates[0]} "
        f"to {dates[-1]} (seed {report['seed']}), {report['seconds']:.0f} s",
        PROMISE,
        "",
        f"  {'perturbation':<20}{'as_of':>6}{'relearned':>11}{'rows':>10}{'values':>14}"
        f"{'differ':>8}   what is changed",
    ]
    lines += [
        f"  {one['perturbation']:<20}{one['as_of']:>6}{one['relearned'] or '':>11}"
        f"{one['rows']:>10,}{one['values']:>14,}{one['differences']:>8}   {one['description']}"
        for one in report["perturbations"]
    ]
    lines += _difference_lines(report["differences"])
    lines += [
        "",
        "  what looks like a leak" if report["findings"] else "  nothing looks like a leak",
    ]
    for one in report["findings"]:
        at = f" (as_of {one['as_of']})" if one["as_of"] else ""
        lines.append(f"  {one['severity']:<8}{one['kind']}: {one['where']}{at}")
        lines.append(f"{'':10}{one['reason']}")
        if one["fix"]:
            lines.append(f"{'':10}do: {one['fix']}")
    lines += _strongest_lines(report["strongest"])
    lines += [f"  not checked: {what}" for what in report["untested"]]
    return "\n".join([*lines, "", f"  {'passed' if report['passed'] else 'FAILED'}"])


def _strongest_lines(strongest: dict[str, Any]) -> list[str]:
    """The columns that tell the outcome best, and from which figure one of them is a leak."""
    if not strongest["columns"]:
        return []
    columns = ", ".join(f"{one['name']} {one['auroc']:.3f}" for one in strongest["columns"])
    return [
        "",
        f"  strongest columns alone (AUROC among eligible customers; a leak above "
        f"{strongest['limit']:.2f}): {columns}",
    ]


def _difference_lines(differences: list[dict[str, Any]]) -> list[str]:
    """Two lines per feature: its perturbations, and the first row by its place (never its id)."""
    grouped: dict[str, list[dict[str, Any]]] = {}
    for one in differences:
        grouped.setdefault(one["feature"], []).append(one)
    lines = ["", f"  {len(grouped)} features differ"] if grouped else []
    for feature, group in grouped.items():
        first, names = group[0], ", ".join(dict.fromkeys(one["perturbation"] for one in group))
        lines += [
            f"  differs {feature}: {names}",
            f"{'':10}first at {first['as_of']}, {first['rows']:,} rows, "
            f"row {first['position']} by customer_id: {first['known']}, "
            f"and {first['other']} under {first['perturbation']}",
        ]
    return lines
