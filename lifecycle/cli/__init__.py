"""The command line. Everything heavy is imported inside the commands: `--help` stays quick."""

from __future__ import annotations

import os

from lifecycle.cli import decide, forget, key, look, monitor, report, serve, train, value
from lifecycle.cli.application import app

__all__ = [
    "app",
    "decide",
    "forget",
    "key",
    "look",
    "main",
    "monitor",
    "report",
    "serve",
    "train",
    "value",
]


def main() -> None:
    """Run the command line; every refusal has its exit code, and no traceback reaches a user."""
    from features.core.freed_memory import return_freed_memory
    from lifecycle.exit_codes import run_command

    # Spinning threads starve each other on small machines: docs/decisions/002.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    return_freed_memory()
    run_command(app)
