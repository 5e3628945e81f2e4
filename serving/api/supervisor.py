"""Workers of the service: processes that share one listening socket, started again when they die.

The socket is bound once, by the supervisor, and inherited. A worker ends when the supervisor ends,
however that happens: it holds the reading end of a pipe whose writing end closes with its parent.
Nothing else connects them, so there is nothing that another account could command.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

POLL_SECONDS = 0.1
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a dead worker is started again
HEALTHY_SECONDS = 60.0  # who lived so long starts again after the first pause
END_SECONDS = 30  # for requests that are being answered


@dataclass
class Worker:
    """One worker's place: its process, when it began, and when to start it again."""

    child: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    pause: float = FIRST_PAUSE
    start_at: float = 0.0


@dataclass
class Supervisor:
    """Keeps `count` processes of `command` alive on the listening socket.

    The command gets two numbers more: the file descriptors of the socket and of the pipe.
    """

    command: list[str]
    listener: socket.socket
    count: int
    environment: dict[str, str]
    stopping: bool = field(default=False, init=False)
    workers: list[Worker] = field(init=False)

    def __post_init__(self) -> None:
        self.workers = [Worker() for _ in range(self.count)]
        self._alive, self._life = os.pipe()

    def run(self, *, is_ready: Callable[[], bool], on_ready: Callable[[], None]) -> int:
        """Supervise until `stop`; the exit code.

        `on_ready` is called once `is_ready` says so. A worker that ends before that ends the
        service with its exit code, which is negative after a signal: what stops the first start
        would stop every further one.
        """
        ready = False
        while not self.stopping:
            for worker in self.workers:
                code = self._look_after(worker)
                if code is not None and not ready:
                    return code or 1
            if not ready and is_ready():
                ready = True
                on_ready()
            time.sleep(POLL_SECONDS)
        return 0

    def stop(self) -> None:
        """Let `run` return at its next look; `close` then ends the workers."""
        self.stopping = True

    def close(self) -> None:
        """Stop listening, let the workers answer what they have, and end them."""
        # First the own copy of the socket: the port is free once the last worker has closed its.
        self.listener.close()
        running = [each.child for each in self.workers if each.child is not None]
        for child in running:
            child.send_signal(signal.SIGTERM)
        until = time.monotonic() + END_SECONDS
        for child in running:
            try:
                child.wait(timeout=max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        for end in (self._alive, self._life):
            os.close(end)

    def _look_after(self, worker: Worker) -> int | None:
        """Start the worker where it is due; the exit code where it has just ended."""
        if worker.child is None:
            if time.monotonic() >= worker.start_at:
                self._start(worker)
            return None
        code = worker.child.poll()
        if code is not None:
            now = time.monotonic()
            lived = now - worker.began
            worker.pause = FIRST_PAUSE if lived > HEALTHY_SECONDS else worker.pause
            worker.child, worker.start_at = None, now + worker.pause
            worker.pause = min(2 * worker.pause, LONGEST_PAUSE)
        return code

    def _start(self, worker: Worker) -> None:
        descriptors = (self.listener.fileno(), self._alive)
        worker.began = time.monotonic()
        worker.child = subprocess.Popen(
            [*self.command, *map(str, descriptors)],
            pass_fds=descriptors,
            env=self.environment,
            # What is printed on standard output is the answer of the command alone.
            stdout=sys.stderr,
            # An interrupt of the terminal is the supervisor's to hand on.
            start_new_session=True,
        )
