"""What an ingest did, in a line for each table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from features.core.language import number, say
from features.tables.history_store.ingest import IngestedTable


def ingest_report(tables: Mapping[str, IngestedTable]) -> dict[str, Any]:
    """For JSON: counts."""
    return {"tables": {name: asdict(each) for name, each in tables.items()}}


def ingest_text(tables: Mapping[str, IngestedTable]) -> str:
    """What was read, what was new, and what is odd about it."""
    lines = [say("the kept history")]
    for name, each in tables.items():
        lines += _table_lines(name, each)
    if not any(each.new for each in tables.values()):
        lines.append(say("  nothing is new: the history is as it was"))
    return "\n".join(lines)


def _table_lines(name: str, each: IngestedTable) -> list[str]:
    lines = [
        say(
            "  {table}: {read} rows read, {new} new, {known} known, {rejected} rejected; {total} "
            "kept",
            table=name,
            read=number(each.read),
            new=number(each.new),
            known=number(each.known),
            rejected=number(sum(each.rejected.values())),
            total=number(each.total),
        )
    ]
    lines += [
        say("    rejected: {n} ({reason})", n=number(count), reason=reason)
        for reason, count in each.rejected.items()
    ]
    if each.replaced:
        lines.append(
            say(
                "    {n} rows that were kept before are corrected by new ones",
                n=number(each.replaced),
            )
        )
    if each.looks_whole:
        lines.append(
            say(
                "    {n} rows that were kept before are not in these files, though most of their "
                "time is: they stay",
                n=number(each.absent),
            )
        )
    return lines
