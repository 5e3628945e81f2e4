"""What `lifecycle compare` prints: a line for each set of predictions, then who is better where."""

from __future__ import annotations

from typing import Any

from training.formats import UNKNOWN, confidence, count, decimals, percent, signed

_TITLES = {"everyone": "everyone", "eligible": "eligible customers"}


def compared_text(report: dict[str, Any]) -> str:
    """The report for a terminal: churn by population, then the next stage."""
    lines = [
        f"  {report['rows']:,} rows that all predict, as of {', '.join(report['as_of'])}, "
        f"{report['horizon_days']} days ahead"
    ]
    lines += [
        f"    {name}: {given:,} predictions, of them {report['rows']:,} are compared"
        for name, given in report["predictions"].items()
        if given != report["rows"]
    ]
    width = max(len(name) for name in report["names"]) + 2
    lines += _cost_lines(report["costs"], width)
    for who, title in _TITLES.items():
        for section, lines_of in (("churn", _churn_lines), ("next_stage", _stage_lines)):
            if section in report:
                lines += ["", *lines_of(report[section][who], title, width)]
    return "\n".join(lines)


def _cost_lines(costs: dict[str, Any], width: int) -> list[str]:
    """Time and size of each set; none where nothing is known of any."""
    if not any(value is not None for cost in costs.values() for value in cost.values()):
        return []
    lines = ["", f"    {'':<{width}}{'training':>10}{'release':>11}{'features':>10}"]
    for name, cost in costs.items():
        seconds, size = cost["training_seconds"], cost["release_bytes"]
        spent = UNKNOWN if seconds is None else f"{seconds:,.0f} s"
        weight = UNKNOWN if size is None else f"{size / 1e6:,.2f} MB"
        lines.append(f"    {name:<{width}}{spent:>10}{weight:>11}{count(cost['features']):>10}")
    return lines


def _churn_lines(one: dict[str, Any], title: str, width: int) -> list[str]:
    left = "" if one["rate"] is None else f", {percent(one['rate'])} left"
    lines = [f"  churn, {title}: {one['rows']:,} rows{left}"]
    if not one["rows"]:
        return lines
    lines.append(f"    {'':<{width}}{'AUROC':>7}{'':19}{'log loss':>9}{'ECE':>8}{'lift':>7}")
    for name, figures in one["models"].items():
        interval = confidence(figures["auroc_low"], figures["auroc_high"]).replace(", 95 % CI", "")
        lines.append(
            f"    {name:<{width}}{decimals(figures['auroc'], 4):>7}{interval:<19}"
            f"{decimals(figures['log_loss'], 4):>9}{percent(figures['ece']):>8}"
            f"{decimals(figures['top_decile_lift'], 2):>7}"
        )
    lines += [f"    {verdict}" for verdict in one["verdicts"]]
    for cut, name in (("by_date", "as_of"), ("by_stage", "stage")):
        if len(one[cut]) > 1:
            lines.append(f"    log loss less that of the first, by {name}")
            lines += [line for row in one[cut] for line in _cut_lines(row, row[name])]
    return lines


def _cut_lines(row: dict[str, Any], name: str) -> list[str]:
    return [
        f"      {name:<12}{row['rows']:>9,} rows  {other}: {signed(pair['difference'])} "
        f"({signed(pair['low'])} … {signed(pair['high'])})"
        for other, pair in row["differences"].items()
    ]


def _stage_lines(one: dict[str, Any], title: str, width: int) -> list[str]:
    lines = [f"  next stage, {title}: {one['rows']:,} rows"]
    if not one["rows"]:
        return lines
    lines.append(f"    {'':<{width}}{'log loss':>9}{'accuracy':>10}{'macro-F1':>10}")
    lines += [
        f"    {name:<{width}}{decimals(figures['log_loss'], 4):>9}"
        f"{percent(figures['accuracy']):>10}{decimals(figures['macro_f1'], 4):>10}"
        for name, figures in one["models"].items()
    ]
    return [*lines, *(f"    {verdict}" for verdict in one["verdicts"])]
