"""The frame of every page for people: templates, one style sheet, and what a browser may load.

Nothing is loaded from elsewhere, and there is no script.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from features.core.language import (
    CHINESE,
    ENGLISH,
    day,
    number,
    say,
    use_language,
)
from serving.api.page_paths import PREFIXES, REFERENCE, REPORT, SEARCH, start_address
from serving.drawing.html import isolated, open_templates, sentence
from serving.drawing.style import COLOURS, PICTURES

_TEMPLATES = Path(__file__).parent / "templates"
STYLE = COLOURS + PICTURES + (_TEMPLATES / "style.css").read_text(encoding="utf-8")
LOCALES = {ENGLISH: "en", CHINESE: "zh-Hans"}


def content_policy(style: bytes | None) -> str:
    """What a browser may load and do on a page: of styles exactly this sheet, of others nothing."""
    source = "'none'"
    if style is not None:
        digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
        source = f"'sha256-{digest}'"
    return (
        f"default-src 'none'; style-src {source}; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


CONTENT_POLICY = content_policy(STYLE.encode())


@functools.cache
def _environment() -> Environment:
    return open_templates(
        _TEMPLATES,
        say=say,
        sentence=sentence,
        day=day,
        number=number,
        isolated=isolated,
        style=Markup(STYLE),
        addresses={"search": SEARCH, "reference": REFERENCE, "report": REPORT},
    )


def render_page(
    template: str,
    language: str,
    *,
    other: str | None = None,
    signed_in: bool = True,
    **values: Any,
) -> bytes:
    """The page of a template in a language.

    other: the address of the page in the other language; None where there is none.
    signed_in: whether the links to the pages behind the key are shown.
    """
    with use_language(language):
        text = (
            _environment()
            .get_template(f"{template}.html.j2")
            .render(
                values,
                language=language,
                locale=LOCALES[language],
                prefix=PREFIXES[language],
                start=start_address(language),
                report=f"{REPORT}#{language}",
                other=other,
                other_locale=LOCALES[other_language(language)],
                signed_in=signed_in,
            )
        )
    return text.encode()


def other_language(language: str) -> str:
    """The language that a page offers besides its own."""
    return ENGLISH if language == CHINESE else CHINESE
