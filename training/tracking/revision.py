"""Which revision of the code and of the configuration a job ran on, as far as git knows."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def revisions(folder: Path) -> dict[str, str]:
    """Tags: revision of our checkout and of the configuration's `folder`, each with `dirty`; absent without git."""
    code = Path(__file__).resolve()
    found = {}
    # A copy in site-packages may lie inside somebody's repository: that one's revision is not ours.
    if _git(code.parent, "ls-files", "--error-unmatch", code.name) is not None:
        found |= _revision(code.parents[2], "code")
    found |= _revision(folder, "configuration")
    if "code.revision" in found:
        found["mlflow.source.git.commit"] = found[
            "code.revision"
        ]  # the column Version of MLflow's table of runs
    return found


def _revision(folder: Path, what: str) -> dict[str, str]:
    """`dirty`: a file under `folder` that git does not ignore differs from the revision."""
    revision = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--", ".")
    if not revision or changed is None:
        return {}
    return {f"{what}.revision": revision, f"{what}.dirty": "true" if changed else "false"}


def _git(folder: Path, *arguments: str) -> str | None:
    """What git answers, or None: not installed, no repository, somebody else's, too slow."""
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
