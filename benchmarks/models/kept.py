"""Answers kept on disk under the digest of their question, so that a second run takes up where the first ended.

A folder is staged and renamed once: what is there is whole. Deleting `.benchmarks/models` costs the fits.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.features.environment import HOME, ROOT

FOLDER = HOME / "models"
Answer = tuple[dict[str, np.ndarray], dict[str, Any]]


def digest(of: Any) -> str:
    return hashlib.sha256(json.dumps(of, sort_keys=True, default=str).encode()).hexdigest()[:16]


def digest_of_arrays(arrays: Iterable[np.ndarray]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(repr((array.dtype.str, array.shape)).encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def digest_of_files(*patterns: str) -> str:
    """Over the text of files of the checkout, named relative to its root."""
    found = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in ROOT.glob(pattern)}):
        found.update(path.relative_to(ROOT).as_posix().encode() + b"\n" + path.read_bytes())
    return found.hexdigest()[:16]


def versions(*modules: str) -> list[str]:
    return [f"{name} {import_module(name).__version__}" for name in modules]


def answered(name: str, of: Any, make: Callable[[], Answer]) -> Answer:
    """(arrays, said) as `make` found them, now or in an earlier run; `of` is all that decides the answer, as JSON."""
    folder = FOLDER / f"{name}-{digest(of)}"
    if not folder.is_dir():
        arrays, said = make()
        place(folder, lambda staged: _write(staged, arrays, said | {"of": of}))
    with np.load(folder / "arrays.npz", allow_pickle=False) as found:
        return {key: found[key] for key in found.files}, json.loads(
            (folder / "said.json").read_text()
        )


def place(folder: Path, write: Callable[[Path], Any]) -> None:
    """What `write` puts into a staged folder, under its name; one that another run placed meanwhile stays."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (HOME / ".gitignore").write_text("*\n")
    staged = Path(tempfile.mkdtemp(prefix=".staged-", dir=FOLDER))
    try:
        write(staged)
        if not folder.is_dir():
            os.replace(staged, folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _write(folder: Path, arrays: dict[str, np.ndarray], said: dict[str, Any]) -> None:
    np.savez_compressed(folder / "arrays.npz", **arrays)
    (folder / "said.json").write_text(json.dumps(said, default=str))
