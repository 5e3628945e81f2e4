"""Runs each part in its own process, and opponents in environments of their own."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any


def run_part(package: str, name: str, *arguments: Any) -> tuple[dict[str, Any], str, float]:
    """Run the part `name` of a package of benchmarks; returns figures, report and seconds."""
    began, context = time.perf_counter(), multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_measure, args=(f"{package}.{name}", arguments, theirs))
    child.start()
    theirs.close()
    try:
        figures, report = ours.recv()
    except EOFError:
        child.join()
        raise SystemExit(f"{name} stopped without an answer (exit code {child.exitcode})") from None
    child.join()
    return figures, report, time.perf_counter() - began


def _measure(module: str, arguments: tuple[Any, ...], answer: Any) -> None:
    """Run the part and send its figures and its report through the pipe.

    The process ends when its parent ends.
    """
    threading.Thread(
        target=_end_with_parent, args=(multiprocessing.parent_process(),), daemon=True
    ).start()
    part = importlib.import_module(module)
    result = part.measure(*arguments)
    answer.send((part.figures(result), part.report_text(result)))


def _end_with_parent(parent: Any) -> None:
    parent.join()
    os._exit(1)


def make_environment(folder: Path, packages: tuple[str, ...]) -> Path:
    """The Python of the environment in `folder`, which venv and pip make if it is not complete."""
    python, marker = folder / "bin" / "python", folder / "whole.json"
    if marker.is_file() and json.loads(marker.read_text()) == list(packages):
        return python
    folder.parent.mkdir(parents=True, exist_ok=True)
    (folder.parent / ".gitignore").write_text("*\n")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    subprocess.run(pip, check=True, stdout=sys.stderr)
    marker.write_text(json.dumps(packages))
    return python
