"""How a command ends: every refusal with its exit code, and no traceback before a user's eyes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from features.errors import Interrupted, LifecycleError, StoreFailed, for_owner

EXTRAS = {"mlflow": "train", "optuna": "train", "sklearn": "train", "matplotlib": "train", "bentoml": "serve"}


def guarded(run: Callable[[], object]) -> None:
    """Run a command line; whatever it raises becomes words on standard error and an exit code."""
    try:
        run()
    except LifecycleError as error:
        _end(for_owner(error), error.exit_code)
    except OSError as error:
        _end(f"error in the file system\n  got:  {error.strerror or type(error).__name__}", StoreFailed.exit_code)
    except KeyboardInterrupt:
        _end("interrupted; nothing half-written is used, run it again", Interrupted.exit_code)
    except Exception as error:
        if os.environ.get("LIFECYCLE_LOG") == "debug":
            raise
        if isinstance(error, ModuleNotFoundError) and (extra := EXTRAS.get((error.name or "").split(".")[0])):
            _end(f"error in the installation\n  got:  no {error.name}\n  rule: This command needs the extra '{extra}'.\n"
                 f"  do:   pip install 'customer-lifecycle[{extra}]'", 2)  # fmt: skip
        _end(f"an error of ours: {type(error).__name__}. LIFECYCLE_LOG=debug shows where; please report it", 1)


def _end(words: str, code: int) -> None:
    print(words, file=sys.stderr)
    sys.exit(code)
