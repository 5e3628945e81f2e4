"""The small print: every row read and left out, definitions, and how to make each number again."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from features.core.language import day, say, translate_text
from serving.drawing.html import sentence
from serving.report.picture import Picture, Section
from serving.report.source import Source
from serving.report.written_tables import FEWEST


def small_print_section(source: Source) -> Section:
    """What was read, what the numbers mean, and the command that makes them again."""
    facts = source.facts
    pictures = [
        Picture(
            say("What became of every row"),
            sentence(
                "Rows read = rows used + rows left out; those left out are listed by the rule "
                "that they break. These are rows of the whole files, later ones too."
            ),
            source.view(
                source.tables.rows("reading"),
                ("table", "text"),
                ("rule", "long"),
                ("rows", "count"),
            ),
        ),
        Picture(
            say("Until when each table is known"),
            sentence("Where a table has ended, its silence says nothing about customers."),
            source.view(
                source.tables.rows("freshness"),
                ("table", "text"),
                ("until", "day"),
                ("silent_days", "days"),
                ("state", "term"),
            ),
        ),
    ]
    notes = [
        sentence(
            "Numbers about fewer than {n} customers are not shown, nor is a second one where such "
            "a number would follow from the total of its table. Several tables together may still "
            "tell it.",
            n=FEWEST,
        ),
        sentence("95% intervals hold the true value in 95 of 100 such cases."),
        sentence(
            "Every number of this page is a cell of a table beside it; the source of the page "
            "names the cell. All of them are made again by: {command}",
            command=facts.command,
        ),
    ]
    if facts.consent:
        notes.insert(0, sentence("Lists name only customers who agreed to be contacted."))
    answer = sentence(
        "Everything is as of {day}: nothing that happened or became known at or after it is in any "
        "number, but for the rows of the files, which are all counted.",
        day=day(facts.as_of),
    )
    return Section(
        "small-print", say("Small print"), answer, pictures, notes, list(_definitions(source))
    )


def _definitions(source: Source) -> Iterator[tuple[str, Markup]]:
    """What the numbers of each table mean, and of whom they are."""
    for name, table in sorted(source.tables.tables.items()):
        if "definition" not in table.column_names or not table.num_rows:
            continue
        definition = table["definition"][0].as_py()
        population = table["population"][0].as_py()
        if definition:
            yield (
                name,
                sentence(
                    "{definition} (of: {population})",
                    population=translate_text(population or ""),
                    definition=translate_text(definition),
                ),
            )
