"""The audit as a table for people."""

from __future__ import annotations

from typing import Any


def text(found: dict[str, Any]) -> str:
    """What was tried, what differed, what looks like a leak, and what could not be tried."""
    customers = found["customers"]
    sample = "" if customers["audited"] == customers["of"] else f" of {customers['of']:,} (drawn)"
    dates = found["as_of"]
    lines = [
        f"{found['business']}: {found['columns']} feature columns, {customers['audited']:,} customers{sample}, {len(dates)} as_of "
        f"from {dates[0]} to {dates[-1]} (seed {found['seed']}), {found['seconds']:.0f} s",
        "",
        f"  {'world':<20}{'as_of':>6}{'base':>6}{'rows':>10}{'values':>14}{'differ':>8}   what is other there",
    ]
    lines += [
        f"  {world['world']:<20}{world['as_of']:>6}{world['bases'] or '':>6}{world['rows']:>10,}{world['values']:>14,}"
        f"{world['differences']:>8}   {world['words']}"
        for world in found["worlds"]
    ]
    lines += _differences(found["differences"])
    lines += [
        "",
        "  what looks like a leak" if found["findings"] else "  nothing looks like a leak",
    ]
    for one in found["findings"]:
        at = f" (as_of {one['as_of']})" if one["as_of"] else ""
        lines.append(f"  {one['severity']:<7}{one['kind']}: {one['where']}{at}\n{'':9}{one['why']}")
    lines += [f"  not tried: {what}" for what in found["untested"]]
    return "\n".join([*lines, "", f"  {'passed' if found['passed'] else 'FAILED'}"])


def _differences(found: list[dict[str, Any]]) -> list[str]:
    """Two lines a feature: in which worlds it differs, and the first row by its place in the order of customer_id."""
    grouped: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        grouped.setdefault(one["feature"], []).append(one)
    lines = ["", f"  {len(grouped)} features differ"] if grouped else []
    for feature, every in grouped.items():
        first, among = every[0], ", ".join(dict.fromkeys(one["world"] for one in every))
        lines += [
            f"  differs {feature}: {among}",
            f"{'':10}first at {first['as_of']}, {first['rows']:,} rows, row {first['position']} by customer_id: "
            f"{first['known']}, and {first['other']} there ({first['world']})",
        ]
    return lines
