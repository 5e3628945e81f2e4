"""What every benchmark needs of the machine: a part in a process of its own, an opponent in an environment of its own."""

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


def run(package: str, name: str, *asked: Any) -> tuple[dict[str, Any], str, float]:
    """Figures, words and seconds of the part `name` of a package of benchmarks, which is asked `asked`."""
    began, context = time.perf_counter(), multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_measure, args=(f"{package}.{name}", asked, theirs))
    child.start()
    theirs.close()
    try:
        figures, words = ours.recv()
    except EOFError:
        child.join()
        raise SystemExit(f"{name} stopped without an answer (exit code {child.exitcode})") from None
    child.join()
    return figures, words, time.perf_counter() - began


def _measure(module: str, asked: tuple[Any, ...], answer: Any) -> None:
    """Run the part's `measured` and send its figures and its words through the pipe. It ends with who asked."""
    threading.Thread(
        target=_end_with, args=(multiprocessing.parent_process(),), daemon=True
    ).start()
    part = importlib.import_module(module)
    found = part.measured(*asked)
    answer.send((part.figures(found), part.text(found)))


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def interpreter(folder: Path, packages: tuple[str, ...]) -> Path:
    """The Python of the environment in `folder`; made with venv and pip where it is not there whole."""
    python, whole = folder / "bin" / "python", folder / "whole.json"
    if whole.is_file() and json.loads(whole.read_text()) == list(packages):
        return python
    folder.parent.mkdir(parents=True, exist_ok=True)
    (folder.parent / ".gitignore").write_text("*\n")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    subprocess.run(pip, check=True, stdout=sys.stderr)
    whole.write_text(json.dumps(packages))
    return python
