"""One worker process of `lifecycle serve`: `python -m serving.api.worker MARKS SOCKET PIPE`.

It answers on an inherited listening socket until SIGTERM, or until the other end of the pipe
closes because the supervisor is gone. What it was sent by then is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import sys
import time
from pathlib import Path

import uvicorn

from features.core.errors import LifecycleError, owner_text
from features.core.freed_memory import trim_memory
from serving.api import service
from serving.api.connections import PLACES, Connection
from serving.api.supervisor import END_SECONDS
from serving.scoring.lean_xgboost import import_xgboost_alone

LINGER_SECONDS = 0.5  # how long a connection that is being left may still bring a request
KEEP_ALIVE_SECONDS = 5
ACCEPTED_AT_ONCE, QUEUED = 64, 2048  # new connections: taken in one step, and waiting for it
TRIM_SECONDS = 1


class Worker(uvicorn.Server):
    """uvicorn's server, which leaves without losing what was sent before."""

    def __init__(self, config: uvicorn.Config, *, pipe: int) -> None:
        super().__init__(config)
        self.pipe, self.most_connections = pipe, 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and end as after SIGTERM once the supervisor is gone."""
        await super().startup(sockets=sockets)
        for listener in sockets or []:
            # asyncio takes so many connections in one step, before any of them can give way, and
            # has set the length of the queue to it too.
            listener.listen(QUEUED)
        asyncio.get_running_loop().add_reader(self.pipe, self._note_orphaned)

    async def on_tick(self, counter: int) -> bool:
        """Look whether to end, ten times a second; give back memory after many connections."""
        self.most_connections = max(self.most_connections, PLACES.open)
        if counter % (10 * TRIM_SECONDS) == 0 and self.most_connections > 2 * PLACES.open + 50:
            self.most_connections = PLACES.open
            trim_memory()
        return await super().on_tick(counter)

    def _note_orphaned(self) -> None:
        self.should_exit = True
        asyncio.get_running_loop().remove_reader(self.pipe)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take what waits at the socket, close it, and answer what comes in LINGER_SECONDS."""
        until = time.monotonic() + LINGER_SECONDS  # whatever still arrives
        for listener in sockets or []:
            while select.select([listener], [], [], 0)[0] and time.monotonic() < until:
                await asyncio.sleep(0)
        # Closed without a pause after the last look: hardly anything can arrive in between.
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection):
                connection.leave_after_answer()
        await asyncio.sleep(LINGER_SECONDS)
        await super().shutdown(sockets=sockets)


def serve_socket(marks: Path, descriptor: int, pipe: int) -> int:
    """Answer on the socket until the end; the exit code.

    `marks`: the folder in which the workers note which releases were verified.
    """
    listener = socket.socket(fileno=descriptor)
    import_xgboost_alone()
    try:
        service.preload(marks)
    except LifecycleError as error:
        print(owner_text(error), file=sys.stderr)
        return error.exit_code
    config = uvicorn.Config(
        service.Lifecycle.to_asgi(),  # type: ignore[attr-defined]  # BentoML's Service
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        backlog=ACCEPTED_AT_ONCE,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=END_SECONDS - 5,
    )
    worker = Worker(config, pipe=pipe)
    with contextlib.suppress(KeyboardInterrupt):
        worker.run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(serve_socket(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
