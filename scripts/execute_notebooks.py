"""Execute notebooks in place and store their outputs: python scripts/execute_notebooks.py [FILE …].

Without a file: all of notebooks/. A notebook runs in an empty temporary folder, so nothing is
written into the checkout. What belongs to one machine or one run is removed from the file:
execution times, the kernel's version, and the paths of the checkout, the home and the temporary
folder. A notebook that fails keeps its old file.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
TIMEOUT_SECONDS = 900
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def execute(book: nbformat.NotebookNode, place: Path) -> None:
    """Run every code cell in `place`; CellExecutionError at the first that fails."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TZ": "UTC"}
    NotebookClient(
        book,
        timeout=TIMEOUT_SECONDS,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(place)}},
    ).execute(env=environment)


def clean(book: nbformat.NotebookNode, replacements: dict[str, str]) -> None:
    """Remove what differs from machine to machine and from run to run."""
    book.metadata = nbformat.from_dict(METADATA)
    for cell in book.cells:
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type != "code":
            continue
        cell.outputs = _join_streams(cell.outputs)
        for output in cell.outputs:
            output.pop("metadata", None)
            if output.output_type in ("display_data", "execute_result"):
                output.metadata = nbformat.from_dict({})
            _clean_texts(output, replacements)


def _join_streams(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Neighbouring pieces of one stream as one output: where they are cut is a matter of time."""
    joined: list[nbformat.NotebookNode] = []
    for output in outputs:
        streams = joined and joined[-1].output_type == output.output_type == "stream"
        if streams and joined[-1].name == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _clean_texts(output: nbformat.NotebookNode, replacements: dict[str, str]) -> None:
    if output.output_type == "stream":
        output.text = _replace(output.text, replacements)
    for kind, text in output.get("data", {}).items():
        if kind.startswith("text/"):
            output.data[kind] = _replace(text, replacements)


def _replace(text: str, replacements: dict[str, str]) -> str:
    for path, name in replacements.items():
        text = re.sub(re.escape(path) + r"(?![\w-])", name, text)
    return text


def run(path: Path) -> None:
    """Execute one notebook and write it back."""
    book = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(prefix="notebook-") as place:
        execute(book, Path(place))
        names = {place: ".", str(ROOT): "checkout", str(Path.home()): "~"}
        clean(book, names | {tempfile.gettempdir(): "tmp"})
    path.write_text(nbformat.writes(book, indent=1) + "\n")


def main(arguments: list[str]) -> None:
    paths = [Path(argument) for argument in arguments] or sorted(FOLDER.glob("*.ipynb"))
    for path in paths:
        print(path.name, flush=True)
        run(path)


if __name__ == "__main__":
    main(sys.argv[1:])
