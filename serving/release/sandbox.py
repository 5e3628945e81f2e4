"""A release is tried in a child process first: a crafted model can crash or hang whoever reads it.

`admitted` verifies the hashes, lets a child with limits load the release and rebuild its golden rows, and only then
loads it here. `python -m serving.release.sandbox FOLDER` is that child.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

from features.core.errors import ReleaseRefused
from serving.release.release import Release, load, verify

SECONDS, MEMORY = 90, 8 << 30


def load_in_subprocess(folder: Path) -> Release:
    """The release, after a child survived loading it; ReleaseRefused says what the child died of."""
    name = verify(folder)
    command = [sys.executable, "-P", "-m", "serving.release.sandbox", str(folder)]
    try:
        tried = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise _refused(name, f"a model that a child could not read in {SECONDS} seconds") from error
    if tried.returncode:
        raise _refused(
            name, _said(tried.stdout) or f"a model that crashed the child (exit {tried.returncode})"
        )
    return load(folder)


def _said(output: bytes) -> str:
    try:
        return str(json.loads(output)["got"])
    except (ValueError, KeyError, TypeError):
        return ""


def _refused(name: str, got: str) -> ReleaseRefused:
    return ReleaseRefused(
        where=f"release {name}",
        got=got,
        rule="A release is used after a child has loaded it and rebuilt its golden rows.",
        fix="Promote another release, or train again.",
    )


def _limit() -> None:
    """Bound what the child may take, where the platform can."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def main(folder: Path) -> int:
    _limit()
    try:
        load(folder)
    except ReleaseRefused as error:
        print(json.dumps({"got": error.got}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
