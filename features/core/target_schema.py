"""`[targets.<name>]`: a question of the business about every customer, yes or no or an amount.

Names are checked before anything is read, because a target becomes columns of the scores:
`p_<name>` of a label; `<name>_expected`, `<name>_q10`, `<name>_q50`, `<name>_q90` of an amount.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from features.core.config_schema import Section
from features.core.errors import BadSetting, UnknownKey, suggestion

TARGETS = "targets"
SELECTS = ("label", "amount")
MAX_TARGETS = 20
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
# The columns p_churn, p_churn_low, p_next_<stage> and the features p_alive, p_no_activity.
_TAKEN = ("alive", "cancelled", "churn", "churned", "next", "next_stage", "no_activity")
_TAKEN_STARTS = ("churn_", "next_")
# Columns of scores, of answers and of examples: a target of that name could not be told from them.
COLUMN_NAMES = frozenset(
    {
        *("customer_id", "as_of", "horizon_days", "eligible", "stage", "stage_rule", "evidence"),
        *("stage_if_inactive", "next_stages", "warnings", "release_id", "error", "split"),
        *("outcome_stage",),
    }
)
_COLUMN_STARTS = ("p_", "reason_", "target_")
# With p_ in front these are columns of the curve.
_OF_THE_CURVE = re.compile(r"(active|lost|return)_[0-9]+d")
_HEADER = re.compile(r"^\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_\-\"'. ]+?)\s*=")


class Target(Section):
    """A target has a `label` or an `amount`.

    Of a label, `p_<name>` is the probability that it is 1; of an amount, `<name>_expected` is the
    mean and `<name>_q10` … `_q90` are quantiles.
    """

    label: Annotated[str, Field(min_length=1)] | None = None
    """One SELECT of one column, `customer_id`: the customers whose label is 1. It sees the rows of
    `[as_of, as_of + horizon)` alone, as `window` (the table of `[activity]`) and
    `window.<table>`, and in `customers` the id of every customer with a row at `as_of`.
    """
    amount: Annotated[str, Field(min_length=1)] | None = None
    """Instead of `label`: one SELECT of two columns, `customer_id` and `amount`, one row for each
    customer. It sees the same rows. A customer who is not in the result has the amount 0.
    """
    population: Literal["eligible", "everyone"] = "eligible"
    """Whose labels are learned and who gets an answer: customers who are eligible at `as_of`,
    or everyone with activity or cover before it.
    """

    @model_validator(mode="after")
    def _check_one_select(self) -> Target:
        if (self.label is None) == (self.amount is None):
            raise ValueError("a target has a label or an amount, exactly one of both")
        return self

    @model_serializer(mode="wrap")
    def _without_the_other_select(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A release with labels alone has the configuration that it always had."""
        return {key: value for key, value in serialize(self).items() if value is not None}

    @property
    def select(self) -> str:
        """The SELECT, of whichever key."""
        return self.label or self.amount or ""

    @property
    def key(self) -> Literal["label", "amount"]:
        """The key that the SELECT is under."""
        return "amount" if self.label is None else "label"


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
    """UnknownKey or BadSetting where the section of a target has no SELECT, two, or other keys."""
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
    selects = [key for key in SELECTS if key in keys]
    if len(selects) != 1:
        got = "a label and an amount" if selects else "no label and no amount"
        raise BadSetting(
            where=place,
            got=got if keys or isinstance(section, dict) else "a value, and no section",
            rule="A target has one SELECT: a label (the customers whose label is 1) or an amount "
            "(customer_id and amount, one row for each customer).",
            fix="Make two targets of it: one with the label, one with the amount."
            if selects
            else f"Write under [{TARGETS}.{name}]: label = "
            '"SELECT customer_id FROM window WHERE …", or amount = '
            '"SELECT customer_id, sum(amount) AS amount FROM window GROUP BY customer_id".',
        )
    try:
        Target.model_validate(section)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadSetting(
            where=" ".join([place, *(str(part) for part in first["loc"][:1])]),
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
            "most 40 characters: it becomes a column, such as p_<name>.",
            f'Write for example [{TARGETS}.{_as_name(name)}] label = "SELECT …".',
        )
    if name in COLUMN_NAMES or name.startswith(_COLUMN_STARTS):
        return (
            f"{name} is a column of the scores already, or looks like one: columns are named by "
            "their targets, and names that begin with p_, reason_ or target_ are theirs.",
            f"Write another name, for example [{TARGETS}.my_{name}].",
        )
    is_taken = name in _TAKEN or name.startswith(_TAKEN_STARTS)
    if is_taken or name == "p" or _OF_THE_CURVE.fullmatch(name):
        return (
            f"p_{name} would be read as a column that exists already: p, {', '.join(_TAKEN)}, "
            "names that begin with churn_ or next_, and active_<h>d, lost_<h>d and return_<h>d "
            "are taken.",
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
            is_select = len(path) == 3 and path[2] in SELECTS
            if path[:1] == (TARGETS,) and (is_select or len(path) == 2):
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
