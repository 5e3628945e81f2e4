"""The report of `lifecycle check` as text for a terminal."""

from __future__ import annotations

from typing import Any

from features.core.errors import SHOWN_VALUES
from features.labels import grace
from features.plausibility.definition import definition_lines
from lifecycle.commands.check_targets import target_lines
from training.formats import percent

# Lists of columns of a table, each with the reason that the text adds.
COLUMN_LISTS = {
    "unused_columns": "",
    "attributes": "",
    "sensitive_left_out": " (may be sensitive; [features] sensitive_allowed names what is used all "
    "the same)",
    "not_features": " (neither versions with valid_from nor [contract] constant_attributes, "
    "or too few known values)",
}


def rows_text(report: dict[str, Any]) -> str:
    """`12,345 rows read, 12 of them rejected` over all tables."""
    tables = report["tables"].values()
    read = sum(table["read"] for table in tables)
    rejected = sum(sum(table["rejected"].values()) for table in tables)
    return f"{read:,} rows read, {rejected:,} of them rejected"


def report_text(report: dict[str, Any]) -> str:
    """The report for a terminal; read = kept + rejected on every line."""
    stages = (f"{name} {count:,}" for name, count in report["stages_now"].items())
    who = "activity or cover" if report["renewals"] else "activity"
    lines = [
        f"{report['business']}: data until {report['data_until']}, "
        f"{report['customers']:,} customers with {who}",
        "",
        *(line for file in report["files"].values() for line in _file_lines(file)),
        *(line for name, table in report["tables"].items() for line in _table_lines(name, table)),
        "",
        *_stage_lines(report["stage_multiples"], report["activity_table"]),
    ]
    if report["renewals"]:
        lines += ["", *grace.report_lines(report["renewals"])]
    lines += [_period_line(each) for each in report["periods"]]
    acquired = report["acquired"]
    if acquired["median_gap_days"] is not None:
        lines.append(
            f"  median gap {acquired['median_gap_days']:,.1f} days (over the "
            f"{acquired['second_activity']:,} customers with two activities, each counted once)"
        )
    lines.append(
        f"  acquired at the first activity {acquired['first_activity']:,}, at the second "
        f'{acquired["second_activity"]:,} ([stages] acquired = "{acquired["configured"]}")'
    )
    if consent := report["consent"]:
        lines.append(
            f"  consent: yes {consent['yes']:,}, no {consent['no']:,}, unknown "
            f"{consent['unknown']:,}; needed for {', '.join(consent['needed_for']) or 'nothing'} "
            "([consent])"
        )
    lines += ["", f"  now: {', '.join(stages)}"]
    if report["cancelled"]:
        lines.append(f"  of them {report['cancelled']:,} have cancelled; their cover still runs")
    lines += [
        f"  without {name}: no {missing['lost']} ({len(missing['features'])} features)"
        for name, missing in report["missing"].items()
    ]
    lines += target_lines(report["targets"])
    if "definition" in report:
        lines += ["", *definition_lines(report["definition"]), ""]
    lines += [f"  note: {advice}" for advice in report["advice"]]
    return "\n".join([*lines, "", *finding_lines(report["findings"])])


def finding_lines(findings: list[dict[str, Any]]) -> list[str]:
    """What looks wrong, each with what to type; one line where nothing does."""
    if not findings:
        return ["  nothing looks wrong"]
    lines = [f"  {len(findings)} finding{'s' if len(findings) > 1 else ''}:"]
    for number, finding in enumerate(findings, start=1):
        lines += [
            f"  {number}. {finding['table']}: {finding['sentence']}",
            f"     do: {finding['fix']}",
        ]
    return lines


def finding_sentences(report: dict[str, Any], *, but: str) -> list[str]:
    """What looks wrong, a sentence each, without the finding named `but`."""
    return [
        f"{finding['table']}: {finding['sentence']}"
        for finding in report["findings"]
        if finding["name"] != but
    ]


def _file_lines(file: dict[str, Any]) -> list[str]:
    """Nothing for a file that is what its name says and has no bad row."""
    lines = [f"  {file['path']}: {note}" for note in file["notes"]]
    if file["bad_rows"]:
        lines.append(
            f"  {file['path']}: {file['rows']:,} rows are read; left out, as they cannot be read: "
            f"{file['bad_rows']:,}"
        )
        lines += [
            f"{'':28}row {bad['row']:,} of {bad['file']}: {bad['reason']}"
            for bad in file["examples"][:SHOWN_VALUES]
        ]
    return lines


def _period_line(period: dict[str, Any]) -> str:
    """How long the payments of one category pay for, and what says so."""
    sources = {
        "stated": "as configured",
        "own": f"as {period['regular']:,} of {period['distances']:,} of them lie apart",
        "all": "as all payments lie apart",
    }
    what = period["category"] or "one amount"
    days = f"{period['days']:,} days" if period["days"] else "no term"
    return (
        f"  {period['payments']:,} payments of {what}: {days}, {sources[period['source']]} "
        "([contract] term_days)"
    )


def _table_lines(name: str, table: dict[str, Any]) -> list[str]:
    def counted(rows: int, words: str) -> str:
        return f"{'':17}{rows:>10,} {words}"

    rejected = sum(table["rejected"].values())
    span = f"   {table['from']} … {table['to']}" if "from" in table else ""
    lines = [
        f"  {name:<13}{table['read']:>10,} read = {table['kept']:,} kept + "
        f"{rejected:,} rejected{span}"
    ]
    examples = {each["reason"]: each for each in table["examples"]}
    for reason, rows in table["rejected"].items():
        lines.append(counted(rows, reason))
        example = " in ".join(
            filter(None, (examples[reason]["example"], examples[reason]["place"]))
        )
        shown = f"for example {example}; " if example else ""
        lines.append(f"{'':28}{shown}allowed: {examples[reason]['allowed']}")
    if table.get("superseded"):
        lines.append(counted(table["superseded"], "superseded by a later version, or withdrawn"))
    if table.get("refunds_of_orders"):
        words = "refunds under the id of an order (both count)"
        lines.append(counted(table["refunds_of_orders"], words))
    if "ids_in_other_tables" in table:
        share = percent(table["ids_in_other_tables"])
        lines.append(f"{'':17}{share:>10} of its ids are in another table too")
    lines += [
        counted(rows, f"{reason} by a clock change (kept; read as docs/contract.md says)")
        for reason, rows in table.get("clock_changes", {}).items()
    ]
    if table.get("after_data_until"):
        words = "recorded after data_until (kept, not known yet)"
        lines.append(counted(table["after_data_until"], words))
    for kind, reason in COLUMN_LISTS.items():
        if table.get(kind):
            lines.append(f"{'':17}{kind.replace('_', ' ')}: {', '.join(table[kind])}{reason}")
    return lines


def _stage_lines(stages: dict[str, Any], activity_table: str) -> list[str]:
    lines = ["  stage       from (× usual gap)   days for the median customer"]
    for name, multiple in stages["multiples"].items():
        days = stages["days_for_the_median_customer"][name] or 0
        lines.append(f"  {name:<12}{multiple:>10.2f}{days:>20,.1f}")
    if stages["reactivated_share"] is not None:
        returned = "bought again" if activity_table == "transactions" else "were active again"
        lines.append(
            f"  {percent(stages['reactivated_share'])} of those called churned {returned} later "
            f"({stages['reached_churned']:,} cases)"
        )
    note = "learned at the end of the data; a release learns its own before its evaluation date"
    return [*lines, f"  ({note})"]
