"""What `init` and `check` make of real exports: `python -m benchmarks.exports DIR [--json]`.

Each folder in DIR is one export: all its files are given to `lifecycle init --yes`, and what it
writes to `lifecycle check`, without an edit. A line for each: files used, rows read, rejected,
lines that a person must decide (CHECK), what looks wrong, and where one of the two refused, the
rule that it names. Nothing is written beside the exports. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from features.core.progress import track_steps

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("used", "given", "read", "kept", "rejected", "edits", "findings")


def run_command(arguments: Sequence[str | Path], home: Path) -> subprocess.CompletedProcess[str]:
    """The command line as a person starts it, in a home of its own."""
    environment = {**os.environ, "LIFECYCLE_HOME": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "lifecycle", *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=home,
    )


def export_files(folder: Path) -> list[Path]:
    """The files of an export, and the folders of parts among them, sorted."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "_")))


def try_export(folder: Path) -> dict[str, Any]:
    """One line of the table; figures are None where they are not known.

    refused: None, or which command refused it, with the rule it names.
    """
    row: dict[str, Any] = {"export": folder.name, **dict.fromkeys(COLUMNS), "refused": None}
    files = export_files(folder)
    row["given"] = len(files)
    with tempfile.TemporaryDirectory(prefix="lifecycle-exports-") as place:
        config = Path(place) / "lifecycle.toml"
        ended = run_command(["init", *files, "--yes", "--out", config], Path(place))
        if ended.returncode or not config.exists():
            return row | {"refused": f"init: {rule_of(ended.stderr)}"}
        draft = json.loads(ended.stdout)
        row |= {"used": draft["files"]["used"], "edits": len(draft["checks"])}
        ended = run_command(["check", "-c", config], Path(place))
        if not ended.stdout.strip():
            return row | {"refused": f"check: {rule_of(ended.stderr)}"}
        return row | counts_of(json.loads(ended.stdout))


def counts_of(report: dict[str, Any]) -> dict[str, Any]:
    """Rows of all tables: read = kept + rejected; and how many things look wrong."""
    tables = report["tables"].values()
    return {
        "read": sum(one["read"] for one in tables),
        "kept": sum(one["kept"] for one in tables),
        "rejected": sum(sum(one["rejected"].values()) for one in tables),
        "findings": len(report["findings"]),
    }


def rule_of(text: str) -> str:
    """The rule of the last error in what a command printed; its last line where there is none."""
    rules = [line.partition("rule:")[2].strip() for line in text.splitlines() if "rule:" in line]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return rules[-1] if rules else (lines[-1] if lines else "no word")


def table_text(rows: Sequence[dict[str, Any]]) -> str:
    """The table for a terminal, then the sums."""
    width = max(len(row["export"]) for row in rows) + 2
    lines = [f"{'export':<{width}}{'files':>7}{'read':>10}{'rejected':>10}{'edits':>7}{'wrong':>7}"]
    for row in rows:
        files = f"{'–' if row['used'] is None else row['used']}/{row['given']}"
        figures = [shown(row[name]) for name in ("read", "rejected", "edits", "findings")]
        lines.append(
            f"{row['export']:<{width}}{files:>7}{figures[0]:>10}{figures[1]:>10}{figures[2]:>7}"
            f"{figures[3]:>7}"
        )
        if row["refused"]:
            lines.append(f"  refused by {row['refused']}")
    sums = totals(rows)
    lines.append(
        f"{sums['read_without_refusal']} of {sums['exports']} read; "
        f"{sums['without_edit']} of them without a line to decide"
    )
    return "\n".join(lines)


def shown(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def totals(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    read = [row for row in rows if not row["refused"]]
    return {
        "exports": len(rows),
        "read_without_refusal": len(read),
        "without_edit": sum(row["edits"] == 0 for row in read),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("folder", type=Path, help="a folder with one folder for each export")
    parser.add_argument("--json", action="store_true", help="print one JSON object and no table")
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        parser.error(f"{arguments.folder} is no folder: name one with a folder for each export")
    folders = sorted(path for path in arguments.folder.iterdir() if path.is_dir())
    folders = [path for path in folders if export_files(path)]
    if not folders:
        parser.error(f"{arguments.folder} has no folder with files")
    rows = [try_export(folder) for folder in track_steps(folders, label="exports")]
    if not arguments.json:
        print(table_text(rows))
    print(json.dumps({"exports": rows, **totals(rows)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
