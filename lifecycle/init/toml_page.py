"""The guesses of init as a TOML page: each reason is a comment above its key."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

_COMMENT_WIDTH = 98
_HEAD = """\
# Written by `lifecycle init`: guesses from names and values, each with its reason.
# 1. Decide every line that says "CHECK:".
# 2. Run `lifecycle check`: it reads every row and says which rows are rejected, and why.
# docs/settings.md lists every key, docs/contract.md every table and column.
"""


@dataclass(frozen=True)
class Guess:
    """One guess: its dotted key, its value as TOML, and the reasons for it."""

    key: str
    value: str
    reasons: tuple[str, ...]


def render_page(guesses: list[Guess], stubs: tuple[str, ...] = ()) -> str:
    """The guesses as TOML: keys without a section first, then one section after the other.

    stubs: sentences at the end, about the files that are not used.
    """
    lines, section = [_HEAD.rstrip()], ""
    sections = list(dict.fromkeys(guess.key.rpartition(".")[0] for guess in guesses))
    order = {name: position for position, name in enumerate(sections)}
    for guess in sorted(guesses, key=lambda guess: _place(guess.key, order)):
        before, _, key = guess.key.rpartition(".")
        lines += ["", f"[{before}]"] if before != section else [""]
        section = before
        lines += [*comment_lines(guess.reasons), f"{key} = {guess.value}"]
    if stubs:
        lines += ["", "# Files that are not used, and how they would be:", *comment_lines(stubs)]
    return "\n".join(lines) + "\n"


def _place(key: str, order: dict[str, int]) -> tuple[bool, int]:
    """Keys without a section come first, then the sections in the order of their first guess."""
    section = key.rpartition(".")[0]
    return bool(section), order[section]


def comment_lines(reasons: tuple[str, ...]) -> list[str]:
    # A name from a file may hold a line break, which would end the comment.
    plain = ["".join(c if c.isprintable() else "?" for c in reason) for reason in reasons]
    return [
        f"# {line}"
        for reason in plain
        for line in textwrap.wrap(
            reason, _COMMENT_WIDTH, break_long_words=False, subsequent_indent="  "
        )
    ]


def toml_string(text: str) -> str:
    """A TOML string on one line; three quotes where that avoids backslashes."""
    needs_escape = not text.isprintable() or "\\" in text or '"""' in text or text.endswith('"')
    if '"' in text and not needs_escape:
        return f'"""{text}"""'
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'
