"""The page: one HTML file with everything in it, in English and in Chinese, without a script."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from features.core.language import LANGUAGES, day, mark, say, use_language
from serving.drawing.html import isolated, open_templates, sentence
from serving.drawing.style import COLOURS, PICTURES
from serving.report.picture import CustomerList, Section
from serving.report.sections.actions import actions_section
from serving.report.sections.belief import belief_section
from serving.report.sections.kept import kept_section
from serving.report.sections.leaving import leaving_section
from serving.report.sections.newcomers import newcomers_section
from serving.report.sections.satisfaction import satisfaction_section
from serving.report.sections.small_print import small_print_section
from serving.report.sections.stages import stages_section
from serving.report.sections.textbook import textbook_section
from serving.report.sections.when import when_section
from serving.report.sections.why import why_section
from serving.report.sections.worth import worth_section
from serving.report.source import Source
from serving.report.strip import Item, strip

# In the order in which people ask.
SECTIONS = (
    stages_section,
    leaving_section,
    when_section,
    why_section,
    worth_section,
    newcomers_section,
    satisfaction_section,
    actions_section,
    belief_section,
    kept_section,
    textbook_section,
    small_print_section,
)
_TEMPLATES = Path(__file__).parent / "templates"
STYLE = COLOURS + PICTURES + (_TEMPLATES / "style.css").read_text(encoding="utf-8")
_WORDS = {
    "title": mark("Customer lifecycle of {business}"),
    "as_of": mark("As of {day}"),
    "skip": mark("Skip to the content"),
    "contents": mark("Questions"),
    "strip": mark("May I use this?"),
    "table": mark("Table: {title}"),
    "list": mark("Customers behind this picture (CSV)"),
    "tables": mark("All tables (CSV)"),
    "definitions": mark("What the numbers of each table mean"),
}


@dataclass(frozen=True)
class Part:
    """The page in one language."""

    language: str
    locale: str
    title: str
    heading: Markup
    as_of: str
    items: Sequence[Item]
    sections: Sequence[Section]
    words: dict[str, str]


@dataclass(frozen=True)
class Page:
    """The HTML of the page, and the lists of customers that it links to."""

    html: str
    lists: Sequence[CustomerList]


def draw_page(source: Source, *, files: str | None) -> Page:
    """The page. `files`: the folder beside it, with tables and lists; None without."""
    environment = _templates()
    parts: list[tuple[Part, Markup]] = []
    lists: dict[str, CustomerList] = {}
    for language, locale in LANGUAGES.items():
        with use_language(language):
            part = _part(source, language, locale)
            inner = environment.get_template("part.html.j2").render(
                part=part, files=files, tables=sorted(source.tables.tables)
            )
            parts.append((part, Markup(inner)))
            lists |= {each.name: each for each in customer_lists(part.sections)}
    html = environment.get_template("report.html.j2").render(parts=parts, style=Markup(STYLE))
    return Page(html, list(lists.values()))


def customer_lists(sections: Sequence[Section]) -> list[CustomerList]:
    """The lists behind the pictures of the sections."""
    return [
        picture.customers
        for section in sections
        for picture in section.pictures
        if picture.customers is not None
    ]


def _part(source: Source, language: str, locale: str) -> Part:
    facts = source.facts
    return Part(
        language=language,
        locale=locale.replace("_", "-"),
        title=say(_WORDS["title"], business=facts.business),
        heading=sentence(_WORDS["title"], business=isolated(facts.business)),
        as_of=say(_WORDS["as_of"], day=day(facts.as_of)),
        items=strip(source),
        sections=[section(source) for section in SECTIONS],
        words={
            name: say(message)
            for name, message in _WORDS.items()
            if name not in ("title", "as_of", "table")
        },
    )


@functools.cache
def _templates() -> Environment:
    return open_templates(_TEMPLATES, table_of=_table_of)


def _table_of(title: str) -> str:
    return say(_WORDS["table"], title=title)
