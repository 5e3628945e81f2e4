"""Pages of the service as a test reads them: their text, numbers, addresses and inline code."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Page(HTMLParser):
    """`figures` by column the exact value of each <data>; `elements` (name, attributes)."""

    html: str
    text: str = ""
    figures: dict[str, set[str]] = field(default_factory=dict)
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    style: str = ""
    _inside: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        self._inside = tag
        if tag == "data":
            column = attributes["data-column"] or ""
            self.figures.setdefault(column, set()).add(attributes["value"] or "")

    def handle_data(self, text: str) -> None:
        if self._inside == "style":
            self.style += text
        else:
            self.text += text

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def names(self) -> set[str]:
        return {name for name, _ in self.elements}

    def all_of(self, name: str, attribute: str) -> list[str]:
        return [
            value
            for tag, attributes in self.elements
            if tag == name and (value := attributes.get(attribute)) is not None
        ]


def style_hash(style: str) -> str:
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def assert_strict(page: Page, policy: str) -> None:
    """No script, no inline style, and a policy that allows exactly the page's style sheet."""
    assert "script" not in page.names()
    assert not [each for _, each in page.elements if "style" in each]
    assert not [name for _, each in page.elements for name in each if name.startswith("on")]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert re.findall("'sha256-([^']+)'", policy) == [style_hash(page.style)]
