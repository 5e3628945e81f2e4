"""Writes docs/contract.md, docs/features.md and docs/settings.md from what they describe; `--check` fails when one is stale."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from features.catalogue import FAMILIES
from features.core.config_schema import Section
from features.core.contract import CONTRACT
from features.core.settings import Settings
from features.recipes.recipe import FEATURES
from features.recipes.stages import CHINESE, STAGES

HERE = Path(__file__).parent
MADE = "<!-- Made by docs/generate.py (make docs). Do not edit. -->\n"
DETAILS = re.compile(
    r"(Formula|Unit|Window|Null|Source): (.*?)(?=(?: Unit:| Window:| Null:| Source:|$))", re.DOTALL
)


def contract_page() -> str:
    lines = [
        MADE,
        "# The data contract",
        "",
        "What each table may hold, and when each cell becomes known. **Bold** columns are required.",
        "Ids are text; instants are UTC (a naive one needs `[business] zone`); money is exact, in minor units.",
        "A local time without an offset that a clock change skipped is read with the offset before it, one that it",
        "repeated as the later of the two; `check` counts both.",
        "A row that breaks a rule goes to the rejects with its reason: read = kept + rejected.",
        "",
    ]
    for table in CONTRACT.values():
        lines += [f"## {table.name}", "", f"{table.meaning[0].upper()}{table.meaning[1:]}.", ""]
        if table.version_of and not table.attributes:
            lines += [
                f"Rows with equal {', '.join(table.version_of)} are versions: the latest `recorded_at` counts.",
                "",
            ]
        lines += ["| column | type | meaning | known |", "|---|---|---|---|"]
        for column in table.columns:
            name = f"**{column.name}**" if column.required else column.name
            meaning = column.meaning + (f" ({', '.join(column.kinds)})" if column.kinds else "")
            known = f"from `{column.known_at}` on" if column.known_at else "with the row"
            lines.append(
                f"| {name} | {column.type} | {meaning} | {'may lie ahead' if column.may_lie_ahead else known} |"
            )
        lines.append("")
    lines += [
        "## Stages",
        "",
        "| stage | 中文 |",
        "|---|---|",
        *(f"| {stage} | {CHINESE[stage]} |" for stage in STAGES),
        "",
    ]
    return "\n".join(lines)


def features_page() -> str:
    windows = {"": "–", "W": "W and all time", "w": "W", "H": "half-lives of 1, 3, 6 base gaps"}
    lines = [
        MADE,
        "# The feature catalogue",
        "",
        f"{len(FEATURES)} features in {len(FAMILIES)} families. W: the release's windows (1, 3, 6, 12 × the median gap, snapped to",
        "7, 14, 30, 60, 90, 180, 365 days, or `[features] windows_days`). A feature whose table is missing is absent.",
        'Switch families, features or single columns off with `[features] off = ["…"]`.',
        "",
    ]
    for family in FAMILIES:
        lines += [
            f"## {family}",
            "",
            "| column | says | formula | unit | window | null | source |",
            "|---|---|---|---|---|---|---|",
        ]
        for entry in (entry for entry in FEATURES.values() if entry.family == family):
            first, _, rest = entry.doc.partition("\n\n")
            found = {
                key: " ".join(value.split()).rstrip(".")
                for key, value in DETAILS.findall(" ".join(rest.split()))
            }
            suffix = {"": "", "W": "_<days>d, _all", "w": "_<days>d", "H": "_1g, _3g, _6g"}[
                entry.windows
            ]
            cells = [
                f"`{entry.name}{suffix}`",
                " ".join(first.split()),
                found["Formula"],
                entry.unit,
                found.get("Window", windows[entry.windows]),
                found["Null"],
                found["Source"],
            ]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def settings_page() -> str:
    """docs/settings.md: a table a section, from the settings' own types and texts."""
    lines = [
        MADE,
        "# The configuration",
        "",
        "Every key of a `lifecycle.toml`. Unknown keys are refused; what is left out has the default. `[files]`,",
        "`[training]` and `[engine]` may differ between a release and the run that uses it; the rest belongs to the release.",
        "",
    ]
    tables = [
        (name, field)
        for name, field in Settings.model_fields.items()
        if name in ("files", "tables")
    ]
    sections = [
        (name, field.annotation)
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    ]
    for name, field in tables:
        lines += [f"## [{name}]", "", field.description or "", ""]
    for name, section in sections:
        lines += [f"## [{name}]", "", "| key | is | default | meaning |", "|---|---|---|---|"]
        lines += [_setting(key, field) for key, field in section.model_fields.items()]
        lines.append("")
    return "\n".join(lines)


def _setting(key: str, field: FieldInfo) -> str:
    schema = TypeAdapter(Annotated[field.annotation, field]).json_schema()
    default = "–" if field.default is None else f"`{json.dumps(field.default, ensure_ascii=False)}`"
    return f"| `{key}` | {_kind(schema)} | {default} | {field.description} |"


def _kind(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    if "enum" in schema:
        return " \\| ".join(f'`"{one}"`' for one in schema["enum"])
    if "anyOf" in schema:
        return _kind(next(one for one in schema["anyOf"] if one.get("type") != "null"))
    kind = schema.get("type", "")
    if kind == "array":
        items = schema.get("items") or schema.get("prefixItems", [{}])[0]
        count = {(3, 3): "three, ", (1, 8): "1 to 8, "}.get(
            (schema.get("minItems"), schema.get("maxItems")), ""
        )
        return f"a list of {count}{_kind(items)}"
    if kind == "object":
        return f"for each name, {_kind(schema['additionalProperties'])}"
    if kind == "string":
        return "date" if schema.get("format") == "date" else "text"
    word = {"integer": "whole number", "number": "number"}[kind]
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    over = "over " if "exclusiveMinimum" in schema else ""
    return word if low is None else f"{word}, {over}{low:,} … {schema['maximum']:,}"


PAGES = {"contract.md": contract_page, "features.md": features_page, "settings.md": settings_page}


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
