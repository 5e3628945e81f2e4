"""Which git revision of the code and of the configuration a job ran on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def revision_tags(folder: Path) -> dict[str, str]:
    """Tags: `revision` and `dirty` of the code and of the configuration's folder.

    Those of a folder without a git repository are absent.
    """
    code = Path(__file__).resolve()
    tags: dict[str, str] = {}
    # A copy in site-packages may be inside another repository, whose revision is not the code's.
    if _git(code.parent, "ls-files", "--error-unmatch", code.name) is not None:
        tags |= _revision(code.parents[2], "code")
    tags |= _revision(folder, "configuration")
    if "code.revision" in tags:
        # The column Version of MLflow's table of runs.
        tags["mlflow.source.git.commit"] = tags["code.revision"]
    return tags


def _revision(folder: Path, what: str) -> dict[str, str]:
    """`dirty`: a file under `folder` differs from the revision; ignored files do not count."""
    revision = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--", ".")
    if not revision or changed is None:
        return {}
    return {f"{what}.revision": revision, f"{what}.dirty": "true" if changed else "false"}


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of git; None where it is not installed, refuses, or needs more than 5 s."""
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    # An outer git (a hook that runs the tests) would answer for its own repository.
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        quiet.pop(name, None)
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env=quiet,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
