"""The hash of a file, as the manifests of runs and of campaigns have it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any


def hash_file(path: Path) -> dict[str, Any]:
    """sha256 and size of a file, as the manifest has them. OSError where it is no file."""
    if not path.is_file():  # to open a pipe would wait for a writer
        raise FileNotFoundError(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"sha256": digest, "size": file.tell()}
