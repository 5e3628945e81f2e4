"""BentoML's control endpoints as unix sockets that only their owner can open.

`bentoml serve` lets circus supervise its workers. Circus listens on two TCP ports of loopback and
takes commands there from every account of the machine (circus, "Security": the endpoint has no
authentication). BentoML has no setting for them, so the function that writes them is replaced.
`lifecycle serve` needs none of this: it supervises its own workers (serving/api/supervisor.py).
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.core.errors import BadSetting

if TYPE_CHECKING:
    from bentoml._internal.utils.circus import Arbiter

FUNCTION = "create_standalone_arbiter"
CHECK_DELAY = 10  # seconds; as BentoML's own
PREFIX = "lifecycle-control-"
# sun_path of a unix socket holds 108 bytes with its final zero on Linux, 104 on macOS (unix(7)).
LONGEST_PATH = 103


def close_control_ports() -> None:
    """Let BentoML's supervisor listen on unix sockets in a folder of mode 0700.

    To be called where the service is imported: `bentoml serve` imports it before it makes its
    supervisor. BadSetting where this version of BentoML has no such function.
    """
    from bentoml._internal.utils import circus

    if not callable(getattr(circus, FUNCTION, None)):
        raise BadSetting(
            where="bentoml serve",
            got="a version of BentoML whose control ports cannot be closed",
            rule="No other account of the machine may command the service.",
            fix="pip install 'customer-lifecycle[serve]', which names the version that was tried, "
            "or use `lifecycle serve`.",
        )
    setattr(circus, FUNCTION, _arbiter_factory(circus.Arbiter, circus.ThreadedArbiter))


def _arbiter_factory(plain: type[Arbiter], in_thread: type[Arbiter]) -> Callable[..., Arbiter]:
    def create(watchers: list[Any], *, threaded: bool = False, **options: Any) -> Arbiter:
        folder = make_folder()
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        options.setdefault("check_delay", CHECK_DELAY)
        return (in_thread if threaded else plain)(
            watchers,
            endpoint=f"ipc://{folder}/commands",
            pubsub_endpoint=f"ipc://{folder}/events",
            **options,
        )

    return create


def make_folder() -> Path:
    """A new folder, mode 0700, for sockets named `commands` and `events`.

    In the folder for temporary files; in /tmp where the name of that is too long for a socket.
    BadSetting where neither is short enough and can be written to.
    """
    for parent in (tempfile.gettempdir(), "/tmp"):
        longest = os.path.join(parent, PREFIX + "12345678", "commands")
        if len(os.fsencode(longest)) <= LONGEST_PATH and os.access(parent, os.W_OK):
            return Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    raise BadSetting(
        where="bentoml serve",
        got=f"a folder for temporary files with a name of {len(tempfile.gettempdir())} characters",
        rule=f"The path of a control socket has at most {LONGEST_PATH} bytes.",
        fix="TMPDIR=/tmp bentoml serve …, or another folder with a short name.",
    )
