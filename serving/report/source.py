"""What the sections are made from: the written tables, and a few facts that are no numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from features.core.language import say, term, translate_text
from features.recipes.stages import STAGES
from serving.drawing.bars import Row as Bar
from serving.drawing.canvas import Value
from serving.drawing.html import sentence
from serving.report.figures import NOTHING, Kind, drawn, figure, stage_name, why_hidden
from serving.report.picture import View
from serving.report.written_tables import Row, WrittenTables


@dataclass(frozen=True)
class Facts:
    """What the page says of itself.

    Days are YYYY-MM-DD. `value_days`: of which money is expected. `eligible_days`: who was active
    in them is eligible (without contracts). `release`, `status`, `trained_until`, `gate`: of the
    release behind the scores; None without scores. `recommended`: what predicts best among the
    eligible, our model or a simple rule. `evaluated_on`: the first date of its evaluation.
    `scores_of`: the day of the scores. `drawn_on`: today, where that is known. `command`: what
    makes the page again. `consent`: lists name only customers who agreed. `with_ids`: the page
    itself names the first customers of the list of those worth keeping.
    """

    business: str
    as_of: str
    horizon_days: int
    contractual: bool
    value_days: int
    eligible_days: int
    command: str
    release: str | None = None
    status: str | None = None
    recommended: str | None = None
    trained_until: str | None = None
    model_age_days: int | None = None
    gate: str | None = None
    evaluated_on: str | None = None
    scores_of: str | None = None
    consent: bool = False
    with_ids: bool = False
    drawn_on: str | None = None


@dataclass(frozen=True)
class Source:
    """The tables and the facts."""

    tables: WrittenTables
    facts: Facts

    def figure(self, row: Row, column: str, kind: Kind) -> Markup:
        return figure(row, column, kind, self.tables.currency)

    def drawn(self, row: Row, column: str, kind: Kind) -> Value | None:
        return drawn(row, column, kind, self.tables.currency)

    def view(self, rows: Sequence[Row], *columns: tuple[str, Kind]) -> View | None:
        """The table of these rows; None without rows."""
        return View(rows, columns, self.tables.currency) if rows else None

    def bar(
        self,
        row: Row,
        label: str,
        column: str,
        kind: Kind,
        *,
        look: str = "bar",
        ends: bool = False,
    ) -> Bar:
        """A bar or a dot of a row. `ends`: with the interval low … high of the row."""
        return Bar(
            label,
            self.drawn(row, column, kind),
            self.drawn(row, "low", kind) if ends else None,
            self.drawn(row, "high", kind) if ends else None,
            look,
            why_hidden(row, column) if row.hides(column) else NOTHING,
        )

    def stage_bar(self, row: Row, stage: str, column: str, kind: Kind) -> Bar:
        """A bar in the look of a stage."""
        return self.bar(row, stage_name(stage), column, kind, look=stage_look(stage))

    def total(self, name: str) -> Markup:
        """A number of the table `page_summary`, which counts what the sentences count."""
        row = self.tables.row("page_summary", name=name)
        return Markup(NOTHING) if row is None else self.figure(row, "value", "count")

    def missing(self, name: str) -> Markup:
        """What a table says is missing, as a sentence."""
        return sentence(
            "Not shown, because it is missing: {what}.",
            what=translate_text(self.tables.missing(name) or name),
        )

    def notes(self, *names: str) -> list[Markup]:
        """A sentence for each thing that these tables miss."""
        return [
            sentence(
                "Not shown ({label}), because it is missing: {what}.",
                label=term(label),
                what=translate_text(text),
            )
            if label
            else sentence("Not shown, because it is missing: {what}.", what=translate_text(text))
            for label, text in self.tables.notes(names)
        ]


def largest(rows: Sequence[Row], count: int) -> tuple[list[Row], Markup | None]:
    """The rows with the most customers, in their order, and a sentence where some are left out."""
    if len(rows) <= count:
        return list(rows), None
    chosen = sorted(rows, key=lambda row: (-(row["n"] or 0), row.number))[:count]
    note = sentence(
        "The {count} largest of {all} are shown; the file of the table has all of them.",
        count=count,
        all=len(rows),
    )
    return sorted(chosen, key=lambda row: row.number), note


def stage_look(stage: str) -> str:
    """The look of a stage in pictures."""
    return f"stage {stage}" if stage in STAGES else "bar"


def horizon(facts: Facts) -> str:
    """The horizon in words."""
    return say("{n} days", n=facts.horizon_days)
