"""A release is loaded in a child process first: a crafted model can crash or hang its reader.

`load_in_subprocess` verifies the hashes, lets a child with limits load the release and rebuild its
golden rows, and only then loads it here. `python -m serving.release.sandbox FOLDER` is the child.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from features.core.errors import ReleaseRefused
from serving.release.release import Release, load_release, verify_release
from serving.release.verified_marks import verification
from serving.scoring.lean_xgboost import import_xgboost_alone

LIMIT_SECONDS, LIMIT_BYTES = 90, 8 << 30


def load_in_subprocess(folder: Path, marks: Path | None = None) -> Release:
    """Load the release after a child process could; ReleaseRefused says why the child could not.

    `marks`: the folder in which the workers of one service tell each other that one child could.
    """
    # Before the child: an altered file is not even read there.
    name = verify_release(folder)
    with verification(marks, name) as is_verified:
        if not is_verified:
            _run_child(folder, name)
    return load_release(folder, golden_rows_were_rebuilt=True)


def _run_child(folder: Path, name: str) -> None:
    """ReleaseRefused unless a child process loads the release and rebuilds its golden rows."""
    # -P: the child must not import modules from the working folder.
    command = [sys.executable, "-P", "-m", "serving.release.sandbox", str(folder)]
    try:
        child = subprocess.run(
            command,
            capture_output=True,
            timeout=LIMIT_SECONDS,
            check=False,
            env=_child_environment(),
        )
    except subprocess.TimeoutExpired as error:
        got = f"a model that a child process could not read in {LIMIT_SECONDS} seconds"
        raise _refusal(name, got) from error
    if child.returncode:
        got = _child_message(child.stdout)
        got = got or f"a model that crashed the child process (exit {child.returncode})"
        raise _refusal(name, got)


def _child_environment() -> dict[str, str]:
    """The environment in which a child imports the code that runs here.

    In a Bento this code is not installed: BentoML puts its folder on the path of its processes.
    """
    root = str(Path(__file__).resolve().parents[2])
    if root == sysconfig.get_path("purelib"):
        return dict(os.environ)
    former = os.getenv("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, *([former] if former else [])])}


def _child_message(output: bytes) -> str:
    """The child's refusal; '' where it died without one."""
    try:
        return str(json.loads(output)["got"])
    except (ValueError, KeyError, TypeError):
        return ""


def _refusal(name: str, got: str) -> ReleaseRefused:
    return ReleaseRefused(
        where=f"release {name}",
        got=got,
        rule="A release is used after a child process has loaded it and rebuilt its golden rows.",
        fix="Promote another release, or train again.",
    )


def _limit_resources() -> None:
    """Limit CPU time and memory of this process, where the platform can."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_SECONDS, LIMIT_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))


def main(folder: Path) -> int:
    """Load the release with limits; 1 where it is refused, with the reason as JSON."""
    _limit_resources()
    import_xgboost_alone()
    try:
        load_release(folder)
    except ReleaseRefused as error:
        print(json.dumps({"got": error.got}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
