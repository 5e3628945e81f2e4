"""The report of `lifecycle check` as text for a terminal."""

from __future__ import annotations

from typing import Any

from features.core.errors import SHOWN_VALUES
from features.core.language import join_words, mark, say, term
from features.labels import grace
from features.plausibility.definition import definition_lines
from lifecycle.commands.check_targets import target_lines
from training.formats import pad, percent
from training.stored_texts import say_stored

# Lists of columns of a table, each with the reason that the text adds.
COLUMN_LISTS = {
    "unused_columns": "",
    "attributes": "",
    "sensitive_left_out": mark(
        " (may be sensitive; [features] sensitive_allowed names what is used all the same)"
    ),
    "not_features": mark(
        " (neither versions with valid_from nor [contract] constant_attributes, or too few known "
        "values)"
    ),
}


def rows_text(report: dict[str, Any]) -> str:
    """`12,345 rows read, 12 of them rejected` over all tables."""
    tables = report["tables"].values()
    read = sum(table["read"] for table in tables)
    rejected = sum(sum(table["rejected"].values()) for table in tables)
    return say("{read:,} rows read, {rejected:,} of them rejected", read=read, rejected=rejected)


def report_text(report: dict[str, Any]) -> str:
    """The report for a terminal; read = kept + rejected on every line."""
    stages = (f"{term(name)} {count:,}" for name, count in report["stages_now"].items())
    lines = [
        _title(report),
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
            say(
                "  median gap {days:,.1f} days (over the {customers:,} customers with two "
                "activities, each counted once)",
                days=acquired["median_gap_days"],
                customers=acquired["second_activity"],
            )
        )
    lines.append(
        say(
            "  acquired at the first activity {first:,}, at the second {second:,} ([stages] "
            'acquired = "{configured}")',
            first=acquired["first_activity"],
            second=acquired["second_activity"],
            configured=acquired["configured"],
        )
    )
    lines += _consent_lines(report["consent"])
    lines += ["", say("  now: {stages}", stages=join_words(stages))]
    if report["cancelled"]:
        lines.append(
            say(
                "  of them {customers:,} have cancelled; their cover still runs",
                customers=report["cancelled"],
            )
        )
    lines += [
        say(
            "  without {table}: no {lost} ({features} features)",
            table=name,
            lost=say(missing["lost"]),
            features=len(missing["features"]),
        )
        for name, missing in report["missing"].items()
    ]
    lines += target_lines(report["targets"])
    if "definition" in report:
        lines += ["", *definition_lines(report["definition"]), ""]
    lines += [say("  note: {advice}", advice=say_stored(advice)) for advice in report["advice"]]
    return "\n".join([*lines, "", *finding_lines(report["findings"])])


def _title(report: dict[str, Any]) -> str:
    named = {name: report[name] for name in ("business", "data_until", "customers")}
    if report["renewals"]:
        return say(
            "{business}: data until {data_until}, {customers:,} customers with activity or cover",
            **named,
        )
    return say(
        "{business}: data until {data_until}, {customers:,} customers with activity", **named
    )


def _consent_lines(consent: dict[str, Any] | None) -> list[str]:
    if not consent:
        return []
    return [
        say(
            "  consent: yes {yes:,}, no {no:,}, unknown {unknown:,}; needed for {what} ([consent])",
            yes=consent["yes"],
            no=consent["no"],
            unknown=consent["unknown"],
            what=join_words(consent["needed_for"]) or say("nothing"),
        )
    ]


def finding_lines(findings: list[dict[str, Any]]) -> list[str]:
    """What looks wrong, each with what to type; one line where nothing does."""
    if not findings:
        return [say("  nothing looks wrong")]
    many = len(findings)
    lines = [say("  1 finding:") if many == 1 else say("  {findings} findings:", findings=many)]
    for number, finding in enumerate(findings, start=1):
        lines += [
            say(
                "  {number}. {table}: {sentence}",
                number=number,
                table=finding["table"],
                sentence=finding["sentence"],
            ),
            say("     do: {fix}", fix=finding["fix"]),
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
            say(
                "  {path}: {rows:,} rows are read; left out, as they cannot be read: {bad_rows:,}",
                path=file["path"],
                rows=file["rows"],
                bad_rows=file["bad_rows"],
            )
        )
        lines += [
            f"{'':28}"
            + say(
                "row {row:,} of {file}: {reason}",
                row=bad["row"],
                file=bad["file"],
                reason=bad["reason"],
            )
            for bad in file["examples"][:SHOWN_VALUES]
        ]
    return lines


def _period_line(period: dict[str, Any]) -> str:
    """How long the payments of one category pay for, and what says so."""
    sources = {
        "stated": say("as configured"),
        "own": say(
            "as {regular:,} of {distances:,} of them lie apart",
            regular=period["regular"],
            distances=period["distances"],
        ),
        "all": say("as all payments lie apart"),
    }
    days = say("{days:,} days", days=period["days"]) if period["days"] else say("no term")
    return say(
        "  {payments:,} payments of {what}: {days}, {source} ([contract] term_days)",
        payments=period["payments"],
        what=period["category"] or say("one amount"),
        days=days,
        source=sources[period["source"]],
    )


def _table_lines(name: str, table: dict[str, Any]) -> list[str]:
    def counted(rows: int, words: str) -> str:
        return f"{'':17}{rows:>10,} {words}"

    rejected = sum(table["rejected"].values())
    span = f"   {table['from']} … {table['to']}" if "from" in table else ""
    lines = [
        say(
            "  {table:<13}{read:>10,} read = {kept:,} kept + {rejected:,} rejected{span}",
            table=name,
            read=table["read"],
            kept=table["kept"],
            rejected=rejected,
            span=span,
        )
    ]
    examples = {each["reason"]: each for each in table["examples"]}
    for reason, rows in table["rejected"].items():
        lines += [counted(rows, reason), f"{'':28}{_example_text(examples[reason])}"]
    of_rows = {
        "forgotten": say("of forgotten customers (left out)"),
        "superseded": say("superseded by a later version, or withdrawn"),
        "refunds_of_orders": say("refunds under the id of an order (both count)"),
    }
    lines += [counted(table[key], words) for key, words in of_rows.items() if table.get(key)]
    if "ids_in_other_tables" in table:
        share = percent(table["ids_in_other_tables"])
        lines.append(
            f"{'':17}" + say("{share:>10} of its ids are in another table too", share=share)
        )
    lines += [
        counted(
            rows,
            say(
                "{reason} by a clock change (kept; read as docs/contract.md says)",
                reason=term(reason),
            ),
        )
        for reason, rows in table.get("clock_changes", {}).items()
    ]
    if "margins" in table:
        lines.append(counted(table["margins"]["with_margin"], _margins_text(table["margins"])))
    if table.get("after_data_until"):
        words = say("recorded after data_until (kept, not known yet)")
        lines.append(counted(table["after_data_until"], words))
    for kind, reason in COLUMN_LISTS.items():
        if table.get(kind):
            text = say(
                "{kind}: {names}", kind=term(kind.replace("_", " ")), names=join_words(table[kind])
            )
            lines.append(f"{'':17}{text}{say(reason) if reason else ''}")
    return lines


def _margins_text(margins: dict[str, Any]) -> str:
    """Of how many purchases, and what share of their amounts the margins are."""
    text = say("of {purchases:,} purchases have a margin", purchases=margins["purchases"])
    if margins["share"] is None:
        return text
    return text + say(", in all {share} of their amounts", share=percent(margins["share"]))


def _example_text(example: dict[str, Any]) -> str:
    """What a rejected cell holds and where, and what is allowed."""
    value, place = example["example"], example["place"]
    allowed = say("allowed: {allowed}", allowed=example["allowed"])
    if value and place:
        return say("for example {value} in {place}; ", value=value, place=place) + allowed
    if value or place:
        return say("for example {value}; ", value=value or place) + allowed
    return allowed


def _stage_lines(stages: dict[str, Any], activity_table: str) -> list[str]:
    lines = [say("  stage       from (× usual gap)   days for the median customer")]
    for name, multiple in stages["multiples"].items():
        days = stages["days_for_the_median_customer"][name] or 0
        lines.append(f"  {pad(term(name), 12)}{multiple:>10.2f}{days:>20,.1f}")
    if stages["reactivated_share"] is not None:
        named = {
            "share": percent(stages["reactivated_share"]),
            "cases": stages["reached_churned"],
        }
        lines.append(
            say("  {share} of those called churned bought again later ({cases:,} cases)", **named)
            if activity_table == "transactions"
            else say(
                "  {share} of those called churned were active again later ({cases:,} cases)",
                **named,
            )
        )
    note = say(
        "  (learned at the end of the data; a release learns its own before its evaluation date)"
    )
    return [*lines, note]
