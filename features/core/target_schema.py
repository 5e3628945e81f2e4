"""`[targets.<name>]`: a question of the business about every customer, answered by yes or no.

Names are checked before anything is read, because a target becomes the column `p_<name>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from features.core.config_schema import Section
from features.core.errors import BadSetting, UnknownKey, suggestion

TARGETS = "targets"
MAX_TARGETS = 20
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
# The columns p_churn, p_churn_low, p_next_<stage> and the features p_alive, p_no_activity.
_TAKEN = ("alive", "churn", "churned", "next", "next_stage", "no_activity")
_TAKEN_STARTS = ("churn_", "next_")
_HEADER = re.compile(r"^\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_\-\"'. ]+?)\s*=")


class Target(Section):
    """A target; `p_<name>` is the probability that a customer's label is 1."""

    label: Annotated[str, Field(min_length=1)]
    """One SELECT of one column, `customer_id`: the customers whose label is 1. It sees the rows of
    `[as_of, as_of + horizon)` alone, as `window` (the table of `[activity]`) and
    `window.<table>`, and in `customers` the id of every customer with a row at `as_of`.
    """
    population: Literal["eligible", "everyone"] = "eligible"
    """Whose labels are learned and who gets a probability: customers who are eligible at `as_of`,
    or everyone with activity or cover before it.
    """


def refuse_target_names(targets: Any, *, where: str, lines: Mapping[str, int]) -> None:
    """BadSetting for a name that cannot become a column, or for too many targets.

    `targets`: what a parsed TOML holds under `targets`. `lines`: see `target_lines`.
    """
    if not isinstance(targets, dict):
        return
    if len(targets) > MAX_TARGETS:
        raise BadSetting(
            where=f"{where} [{TARGETS}]",
            got=f"{len(targets)} targets",
            rule=f"A business has at most {MAX_TARGETS} targets; each is a model of its own.",
            fix="Remove some, or put them into a second configuration.",
        )
    for name, section in targets.items():
        place = f"{where}{_line(lines, str(name))} [{TARGETS}.{name}]"
        problem = _problem(str(name))
        if problem is not None:
            rule, fix = problem
            raise BadSetting(
                where=place, got="a name that a target cannot have", rule=rule, fix=fix
            )
        _refuse_section(str(name), section, place)


def _refuse_section(name: str, section: Any, place: str) -> None:
    """UnknownKey or BadSetting where the section of a target is not one with a label."""
    if isinstance(section, Target):
        return
    known = tuple(Target.model_fields)
    keys = section if isinstance(section, dict) else {}
    for key in keys:
        if key not in known:
            raise UnknownKey(
                where=place,
                got=f"unknown key '{key}'",
                rule="Only known keys are allowed; none is ignored.",
                fix=suggestion(str(key), known) or f"Known here: {', '.join(known)}.",
            )
    if "label" not in keys:
        raise BadSetting(
            where=place,
            got="no label" if keys or isinstance(section, dict) else "a value, and no section",
            rule="A target has a label: the SELECT of the customers whose label is 1.",
            fix=f'Write under [{TARGETS}.{name}]: label = "SELECT customer_id FROM window WHERE …"',
        )
    try:
        Target.model_validate(section)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadSetting(
            where=f"{place} {first['loc'][0]}",
            got="a value that breaks its rule",
            rule=f"{first['msg']}.",
            fix="Change this value.",
            values=[first["input"]],
        ) from error


def _problem(name: str) -> tuple[str, str] | None:
    """(rule, fix) of a name that is refused; None for one that is fine."""
    if not _NAME.fullmatch(name):
        return (
            "A target's name has small letters, digits and _, begins with a letter, and has at "
            "most 40 characters: it becomes the column p_<name>.",
            f'Write for example [{TARGETS}.{_as_name(name)}] label = "SELECT …".',
        )
    if name in _TAKEN or name.startswith(_TAKEN_STARTS):
        return (
            f"p_{name} would be read as a column that exists already: {', '.join(_TAKEN)} and "
            "names that begin with churn_ or next_ are taken.",
            f"Write another name, for example [{TARGETS}.my_{name}].",
        )
    return None


def _as_name(name: str) -> str:
    """A name like this one that is allowed."""
    text = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_0123456789")[:40]
    return text or "upgrade"


def target_lines(text: str) -> dict[str, int]:
    """The line of each target's SELECT in a TOML text, by name, counted from 1.

    Where it is not written under a header of its own, the line that names it. TOML readers give no
    line numbers; a name that this does not see has no entry.
    """
    lines: dict[str, int] = {}
    section: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            section = _parts(header.group(1))
            if section[:1] == (TARGETS,) and len(section) == 2:
                lines[section[1]] = number
        elif key := _KEY.match(line):
            path = (*section, *_parts(key.group(1)))
            is_label = len(path) == 3 and path[2] == "label"
            if path[:1] == (TARGETS,) and (is_label or len(path) == 2):
                lines[path[1]] = number
    return lines


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def target_place(name: str, lines: Mapping[str, int], *, key: str = "label") -> str:
    """The place of a key of a target in messages: `line 41, [targets.upgrade] label`."""
    line = f"line {lines[name]}, " if name in lines else ""
    return f"{line}[{TARGETS}.{name}] {key}"


def _line(lines: Mapping[str, int], name: str) -> str:
    return f" line {lines[name]}" if name in lines else ""
