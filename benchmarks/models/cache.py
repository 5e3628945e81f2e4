"""Answers on disk under the digest of their question, so that a second run continues the first.

A folder is staged and then renamed, so that a folder that exists is complete. Deleting
`.benchmarks/models` costs the fits.
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


def digest(question: Any) -> str:
    return hashlib.sha256(json.dumps(question, sort_keys=True, default=str).encode()).hexdigest()[
        :16
    ]


def digest_of_arrays(arrays: Iterable[np.ndarray]) -> str:
    digest_ = hashlib.sha256()
    for array in arrays:
        digest_.update(repr((array.dtype.str, array.shape)).encode())
        digest_.update(np.ascontiguousarray(array).tobytes())
    return digest_.hexdigest()[:16]


def digest_of_files(*patterns: str) -> str:
    """Digest of files of the checkout, with their paths relative to its root."""
    digest_ = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in ROOT.glob(pattern)}):
        digest_.update(path.relative_to(ROOT).as_posix().encode() + b"\n" + path.read_bytes())
    return digest_.hexdigest()[:16]


def versions(*modules: str) -> list[str]:
    return [f"{name} {import_module(name).__version__}" for name in modules]


def cached_answer(name: str, question: Any, make: Callable[[], Answer]) -> Answer:
    """(arrays, details) from `make`, computed now or in an earlier run.

    `question` is all that decides the answer, as JSON.
    """
    folder = FOLDER / f"{name}-{digest(question)}"
    if not folder.is_dir():
        arrays, details = make()
        place_folder(
            folder, lambda staged: _write(staged, arrays, details | {"question": question})
        )
    with np.load(folder / "arrays.npz", allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}, json.loads(
            (folder / "details.json").read_text()
        )


def place_folder(folder: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a staged folder, then rename it to `folder`.

    A folder that another run placed in the meantime stays.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    (HOME / ".gitignore").write_text("*\n")
    staged = Path(tempfile.mkdtemp(prefix=".staged-", dir=FOLDER))
    try:
        write(staged)
        if not folder.is_dir():
            os.replace(staged, folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _write(folder: Path, arrays: dict[str, np.ndarray], details: dict[str, Any]) -> None:
    np.savez_compressed(folder / "arrays.npz", **arrays)
    (folder / "details.json").write_text(json.dumps(details, default=str))
