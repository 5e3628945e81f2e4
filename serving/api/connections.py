"""Connections: who is slow gives way, so that idle sockets never keep others out.

uvicorn arms its timer only after a first answer, and counts connections of nobody. Here the head of
a request arrives within HEAD_SECONDS of its connection (or of its first byte), and the rest of a
body that nobody reads any more within REST_SECONDS. A process holds as many connections as it may
open files, and lets PER_ADDRESS of one address wait for their clients. A further one takes the
place of a connection that has let us wait longest, of the larger group: those on which a key was
accepted, or the others. A connection that waits for us is never closed, but only PIPELINED requests
follow each other on it without a pause: who sends more at once would keep others waiting.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS, REST_SECONDS, READ_SECONDS = 5.0, 2.0, 30.0
PER_ADDRESS, PIPELINED = 512, 32
RESERVED_FILES = 160  # for the release, the run, the engine's threads
FEWEST_CONNECTIONS, MOST_CONNECTIONS = 32, 16_384
ACCEPTED = "lifecycle.accepted"  # set in a request's scope once its key was accepted


class Places:
    """The connections of one process that wait for their client, in the order they began to."""

    def __init__(self, *, total: int, per_address: int) -> None:
        self.total, self.per_address = total, per_address
        self.open = 0
        self.waiting: dict[Connection, None] = {}
        self._of_address: Counter[str] = Counter()

    def enter(self, connection: Connection) -> None:
        """Count a new connection. Where there are too many, another one gives way, or itself."""
        self.open += 1
        self.wait_for(connection)
        if self.open > self.total:
            self._make_room(list(self.waiting))

    def leave(self, connection: Connection) -> None:
        """A connection was closed."""
        self.open -= 1
        self.work_on(connection)

    def wait_for(self, connection: Connection) -> None:
        """The client owes something; where too many of its address do, another one gives way."""
        if connection in self.waiting:
            return
        self.waiting[connection] = None
        self._of_address[connection.address] += 1
        if self._of_address[connection.address] > self.per_address:
            self._make_room([each for each in self.waiting if each.address == connection.address])

    def work_on(self, connection: Connection) -> None:
        """The client waits for us, or has gone."""
        if connection not in self.waiting:
            return
        del self.waiting[connection]
        self._of_address[connection.address] -= 1
        if not self._of_address[connection.address]:
            del self._of_address[connection.address]

    def _make_room(self, candidates: list[Connection]) -> None:
        """Close the one that has let us wait longest, of the larger group."""
        with_key = [each for each in candidates if each.had_key]
        strangers = [each for each in candidates if not each.had_key]
        longest = max(strangers, with_key, key=len)[0]
        self.work_on(longest)
        longest.transport.abort()


PLACES = Places(total=FEWEST_CONNECTIONS, per_address=PER_ADDRESS)


def limit_connections() -> None:
    """Raise the number of open files to the hard limit, and hold as many connections."""
    try:
        import resource
    except ImportError:  # not on Windows
        PLACES.total = MOST_CONNECTIONS
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_CONNECTIONS + RESERVED_FILES
    files = most if hard == resource.RLIM_INFINITY else min(hard, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    PLACES.total = max(files - RESERVED_FILES, FEWEST_CONNECTIONS)


class Connection(H11Protocol):
    """uvicorn's connection with a deadline for what its client owes, and a place among all."""

    had_key = False
    leaving = False
    address = ""
    _deadline: asyncio.TimerHandle | None = None
    _owed = ""
    _in_a_row = 0
    _is_not_read = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Take a place, and give the first head its time."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        PLACES.enter(self)
        self._expect("head", HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the place."""
        self._expect("", 0)
        PLACES.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, and look at what the client owes now."""
        self._in_a_row = 0
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """After an answer the client owes the rest of its body, or nothing."""
        self.had_key = self.had_key or bool(self.scope.get(ACCEPTED))
        self._in_a_row += 1
        if self._in_a_row >= PIPELINED:
            self.transport.close()
            return
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        """The client does not read its answers."""
        super().pause_writing()
        self._is_not_read = True
        self._look()

    def resume_writing(self) -> None:
        """The client has read on."""
        super().resume_writing()
        self._is_not_read = False
        self._look()

    def leave_after_answer(self) -> None:
        """Answer what is being asked, or is asked soon, and close then."""
        self.leaving = True
        self._look()

    def _look(self) -> None:
        """Set the deadline by the state of the request, and wait for the client or not."""
        theirs, ours = self.conn.their_state, self.conn.our_state
        in_progress = self.cycle is not None and not self.cycle.response_complete
        if self.leaving and in_progress:
            self.cycle.keep_alive = False
        if self._is_not_read:
            self._expect("reading", READ_SECONDS)
        elif theirs is h11.IDLE and self.conn.trailing_data[0]:
            self._expect("head", HEAD_SECONDS)
        elif theirs is h11.SEND_BODY and ours in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED):
            self._expect("rest", REST_SECONDS)
        elif self._owed != "head" or theirs is not h11.IDLE:
            self._expect("", 0)
        if in_progress and theirs is not h11.SEND_BODY and not self._is_not_read:
            PLACES.work_on(self)
        elif not self.transport.is_closing():
            PLACES.wait_for(self)

    def _expect(self, owed: str, seconds: float) -> None:
        """Close the connection unless the client brings what it owes in time."""
        if owed == self._owed:
            return  # the time runs from when it was first owed
        if self._deadline is not None:
            self._deadline.cancel()
        self._owed = owed
        self._deadline = self.loop.call_later(seconds, self._close_late) if owed else None

    def _close_late(self) -> None:
        if self._owed and not self.transport.is_closing():
            self.transport.abort()


def listen_with_deadlines() -> None:
    """Let every server of this process that uvicorn makes use `Connection`, BentoML's too."""
    from uvicorn import config

    protocols: dict[Any, Any] = config.HTTP_PROTOCOLS
    protocols["auto"] = protocols["h11"] = f"{__name__}:{Connection.__name__}"
