"""What all pages are written with: sentences with escaped values, and templates that escape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from features.core.language import translate


def sentence(message: str, /, **values: Any) -> Markup:
    """The message in the current language; values are escaped unless they are markup."""
    return Markup(escape(translate(message))).format(**values)


def isolated(text: str) -> Markup:
    """A text of the business, whose direction must not change what stands around it."""
    return Markup("<bdi>{}</bdi>").format(text)


def open_templates(folder: Path, **names: Any) -> Environment:
    """The templates of a folder; what they are given is escaped. `names`: known in all of them."""
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals |= names
    return environment
