"""Writes docs/api.md, contract.md, features.md, formats.md and settings.md from the code.

`--check` fails if one of them is stale.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

import lifecycle
from features.catalogue import FAMILIES
from features.core.action_schema import Action
from features.core.config_schema import Section
from features.core.contract import CONTRACT, FURTHER_TABLES, SWITCHED_TABLES, Table
from features.core.settings import Settings
from features.core.target_schema import Target
from features.recipes.recipe import FEATURES, Feature
from features.recipes.stages import CHINESE, STAGES
from features.tables import terms
from lifecycle.init import describe_formats

HERE = Path(__file__).parent
HEADER = "<!-- Written by docs/generate.py (make docs). Do not edit. -->\n"
_READ_BY_NONE = "No feature reads this table; `check` counts it, and `lifecycle value` may read it."
_READ_BY_SWITCH = (
    "Features read this table where `[features] treatments` says so; `check` counts it, and "
    "`lifecycle value` and `lifecycle measure` may read it."
)
WINDOW_WORDS = {
    "": "–",
    "W": "W and all time",
    "w": "W",
    "H": "half-lives of 1, 3, 6 population mean gaps",
}
SUFFIXES = {"": "", "W": "_<days>d, _all", "w": "_<days>d", "H": "_1x_gap, _3x_gap, _6x_gap"}
DETAILS = re.compile(
    r"(Formula|Unit|Window|Null|Source): (.*?)(?=(?: Unit:| Window:| Null:| Source:|$))", re.DOTALL
)


def contract_page() -> str:
    """docs/contract.md: one table per contract table, then the stages."""
    lines = [
        HEADER,
        "# The data contract",
        "",
        "What each table may hold, and when each cell becomes known. **Bold** columns are",
        "required.",
        "Ids are text; instants are UTC (an instant without a zone needs `[business] zone`); money",
        "is exact, in minor units. A local time without an offset that a clock change skipped is",
        "read with the offset before it. One that occurred twice is read as the later one; `check`",
        "counts both.",
        "A row that breaks a rule goes to the rejects with its reason: read = kept + rejected.",
        "",
    ]
    for table in CONTRACT.values():
        lines += _table_section(table)
    for table in FURTHER_TABLES.values():
        lines += _table_section(
            table,
            _READ_BY_SWITCH if table.name in SWITCHED_TABLES else _READ_BY_NONE,
        )
    lines += ["## Stages", "", "| stage | 中文 |", "|---|---|"]
    lines += [*(f"| {stage} | {CHINESE[stage]} |" for stage in STAGES), ""]
    return "\n".join(lines)


def _table_section(table: Table, note: str = "") -> list[str]:
    lines = [f"## {table.name}", "", f"{table.meaning[0].upper()}{table.meaning[1:]}.", ""]
    lines += [note, ""] if note else []
    if table.version_of and not table.attributes:
        key = ", ".join(table.version_of)
        lines += [f"Rows with equal {key} are versions: the latest `recorded_at` counts.", ""]
    lines += ["| column | type | meaning | known |", "|---|---|---|---|"]
    for column in table.columns:
        name = f"**{column.name}**" if column.required else column.name
        meaning = column.meaning + (f" ({', '.join(column.kinds)})" if column.kinds else "")
        known = f"from `{column.known_at}` on" if column.known_at else "with the row"
        known = "may lie ahead" if column.may_lie_ahead else known
        lines.append(f"| {name} | {column.type} | {meaning} | {known} |")
    lines.append("")
    if table.name == "contracts":
        # What the columns mean for cover: the list that begins the module that reads them.
        rules = (terms.__doc__ or "").split("\n\n")[1]
        lines += ["What a row says about cover:", "", rules.strip(), ""]
    return lines


def features_page() -> str:
    """docs/features.md: one table per family, from the features' docstrings."""
    lines = [
        HEADER,
        "# The feature catalogue",
        "",
        f"{len(FEATURES)} features in {len(FAMILIES)} families. A feature whose table is missing",
        "is absent. To switch families, features or single columns off, write",
        '`[features] off = ["…"]`.',
        "",
        "W: the release's windows (1, 3, 6, 12 × the median gap, snapped to 7, 14, 30, 60, 90,",
        "180, 365 days, or `[features] windows_days`). A gap is the time between two activities",
        "of a customer; g is the customer's usual gap.",
        "",
    ]
    for family in FAMILIES:
        lines += [
            f"## {family}",
            "",
            "| column | description | formula | unit | window | null | source |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [_feature_row(entry) for entry in FEATURES.values() if entry.family == family]
        lines.append("")
    return "\n".join(lines)


def _feature_row(entry: Feature) -> str:
    first, _, rest = entry.doc.partition("\n\n")
    text = " ".join(rest.split())
    # A sentence before "Formula:" belongs to the description.
    more, _, _ = text.partition("Formula:")
    details = {key: " ".join(value.split()).rstrip(".") for key, value in DETAILS.findall(text)}
    cells = [
        f"`{entry.name}{SUFFIXES[entry.windows]}`",
        " ".join(f"{first} {more}".split()),
        details["Formula"],
        entry.unit,
        details.get("Window", WINDOW_WORDS[entry.windows]),
        details["Null"],
        details["Source"],
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def settings_page() -> str:
    """docs/settings.md: one table per section, from the settings' own types and texts."""
    lines = [
        HEADER,
        "# The configuration",
        "",
        "Every key of a `lifecycle.toml`. Unknown keys are refused; a missing key has its default.",
        "`--set churn.horizon_days=60` gives a command another value than the file.",
        "`[files]`, `[training]`, `[engine]`, `[actions]`, `[decisions]`, and of `[value]` the",
        "cuts, the tiers and the cost of winning back may differ between a release and the run",
        "that uses it; the rest belongs to the release.",
        "",
    ]
    fields = Settings.model_fields.items()
    for name, field in fields:
        if name in ("files", "tables"):
            lines += [f"## [{name}]", "", field.description or "", ""]
    for name, field in fields:
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            lines += [f"## [{name}]", "", "| key | is | default | meaning |", "|---|---|---|---|"]
            lines += [_setting(key, entry) for key, entry in section.model_fields.items()]
            lines.append("")
    named = {"targets": Target, "actions": Action}
    return "\n".join([*lines, *(each for part in named.items() for each in _named_lines(*part))])


def _named_lines(name: str, section: type[Section]) -> list[str]:
    """The sections of targets and of actions, each of which has a name of its own."""
    description = " ".join((Settings.model_fields[name].description or "").split())
    return [
        f"## [{name}.<name>]",
        "",
        description,
        "",
        "| key | is | default | meaning |",
        "|---|---|---|---|",
        *(_setting(key, entry) for key, entry in section.model_fields.items()),
        "",
    ]


def _setting(key: str, field: FieldInfo) -> str:
    schema = TypeAdapter(Annotated[field.annotation, field]).json_schema()
    value = None if field.is_required() else field.get_default(call_default_factory=True)
    default = "–" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"
    meaning = " ".join((field.description or "").split())
    return f"| `{key}` | {_kind(schema)} | {default} | {meaning} |"


def _kind(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    if "enum" in schema:
        return " \\| ".join(f'`"{one}"`' for one in schema["enum"])
    if "anyOf" in schema:
        words = "".join(f' \\| `"{one["const"]}"`' for one in schema["anyOf"] if "const" in one)
        return _kind(next(one for one in schema["anyOf"] if one.get("type") != "null")) + words
    if "properties" in schema or "$ref" in schema:
        return "a share, or a table"
    kind = schema.get("type", "")
    if kind == "array":
        items = schema.get("items") or schema.get("prefixItems", [{}])[0]
        bounds = (schema.get("minItems"), schema.get("maxItems"))
        count = {(3, 3): "three, ", (1, 8): "1 to 8, "}.get(bounds, "")
        return f"a list of {count}{_kind(items)}"
    if kind == "object":
        return f"for each name, {_kind(schema['additionalProperties'])}"
    if kind == "boolean":
        return "`true` \\| `false`"
    if kind == "string":
        return "date" if schema.get("format") == "date" else "text"
    return _number_kind(schema, {"integer": "whole number", "number": "number"}[kind])


def _number_kind(schema: dict[str, Any], word: str) -> str:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    if low is None:
        return word
    over = "over " if "exclusiveMinimum" in schema else ""
    return f"{word}, {over}{low:,} … {schema['maximum']:,}"


def api_page() -> str:
    """docs/api.md: every name of `lifecycle` with its docstring, methods below their class."""
    lines = [HEADER, "# The Python API", "", f"```\n{inspect.getdoc(lifecycle)}\n```", ""]
    for name in sorted(lifecycle.__all__, key=str.lower):
        value = getattr(lifecycle, name)
        if inspect.isclass(value) and issubclass(value, Exception):
            lines += [f"## `lifecycle.{name}`", "", "The error that every refusal is.", ""]
        elif inspect.isclass(value) or inspect.isfunction(value):
            lines += [f"## `lifecycle.{name}`", "", *_entry(name, value)]
            for method, function in inspect.getmembers(value, inspect.isfunction):
                if inspect.isclass(value) and not method.startswith("_"):
                    lines += [f"### `{name}.{method}`", "", *_entry(method, function)]
    return "\n".join(lines)


def _entry(name: str, value: Any) -> list[str]:
    """The signature and the docstring, as code: docstrings are written for `help()`."""
    signature = "" if is_dataclass(value) else str(inspect.signature(value))
    return ["```", f"{name}{signature}", "", inspect.getdoc(value) or "", "```", ""]


def formats_page() -> str:
    """docs/formats.md: one line for each export that `lifecycle init` knows."""
    lines = [
        HEADER,
        "# Known exports",
        "",
        "`lifecycle init FILES…` knows these exports by their columns, in any order and case, with",
        "further columns or without. It reads them without an edit, but for the time zone and the",
        "currency where a file does not name them. `lifecycle init --formats` prints this list.",
        "",
        "- Who a row is about is decided over all files: by the columns whose values overlap most.",
        "- A refund that stands as a column becomes a row of its own, under the id with `#refund`.",
        "- Rows that are no event (tests, drafts, further lines of an order) are left out and",
        "  counted. A status that is not known is named, and its rows are rejected and counted.",
        "- Several currencies are refused until one is stated: `--answer currency=EUR`.",
        "- Several exports of one list are united; a row of both counts once, from the newer file.",
        "- Payments that are for the orders of another file are left out: they would count twice.",
        "- Subscriptions that are overwritten are never read as terms. With payments of the same",
        "  customers the terms are built from these; without, init says what is missing.",
        "",
        "Files of any other format are read by their values and names ([contract](contract.md)).",
        "",
        "| export | read | not read | what to export | written from |",
        "|---|---|---|---|---|",
    ]
    lines += ["| " + " | ".join(row.values()) + " |" for row in describe_formats()]
    return "\n".join([*lines, ""])


PAGES = {
    "api.md": api_page,
    "contract.md": contract_page,
    "features.md": features_page,
    "formats.md": formats_page,
    "settings.md": settings_page,
}


def main() -> None:
    stale = [
        name
        for name, page in PAGES.items()
        if not (HERE / name).is_file() or (HERE / name).read_text() != page()
    ]
    if "--check" in sys.argv:
        if stale:
            sys.exit(f"stale pages: {', '.join(stale)}; run `make docs`")
        return
    for name in stale:
        (HERE / name).write_text(PAGES[name]())


if __name__ == "__main__":
    main()
