"""Which requests are worked on: bounds by kind of work, after the key and before the body.

Answers by id cost a millisecond and are not bounded. Logins and pages of single customers are few
at once. Raw events cost the most: one request of a process is worked on, and others wait only as
long as they are likely to be answered within WAIT_SECONDS. Who comes later is refused at once
(429, Retry-After); for whom nobody waits any more, nothing is begun.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import anyio
from starlette.requests import ClientDisconnect, Request

from features.core.errors import Overloaded
from features.core.freed_memory import trim_memory

MOST_LOGINS, MOST_CUSTOMER_PAGES = 8, 32
BUFFERED_BYTES = 256 << 20  # of all bodies that are being read or wait
WAIT_SECONDS = 5.0  # for raw events, from when the request came
MOST_WAITING = 64
LOOK_SECONDS = 0.25  # how often we look whether a waiting caller has gone
# A guess until requests were measured: seconds of one request, and of a byte of it.
REQUEST_SECONDS, BYTE_SECONDS = 0.02, 5e-7
LEARN = 0.2  # weight of the newest request in the measured seconds of a byte


@dataclass
class Bound:
    """At most `most` pieces of one kind of work at once."""

    kind: str
    most: int
    running: int = 0

    @contextmanager
    def take(self) -> Iterator[None]:
        """Overloaded where as many are running."""
        if self.running >= self.most:
            raise _overloaded(self.kind, f"At most {self.most} of them run at once.", 1)
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1


@dataclass
class Buffer:
    """The bytes of all bodies that this process holds."""

    total: int = 0

    def add(self, size: int) -> None:
        """Overloaded beyond BUFFERED_BYTES; then nothing was added."""
        if self.total + size > BUFFERED_BYTES:
            rule = f"All bodies together have at most {BUFFERED_BYTES >> 20} MiB."
            raise _overloaded("body", rule, 1)
        self.total += size


@dataclass(eq=False)
class Place:
    """A request with raw events in the queue: its size in bytes, and until when it may wait."""

    size: int
    until: float
    seconds: float
    turn: anyio.Event


@dataclass
class EventQueue:
    """Raw-event requests of one process, in the order they came."""

    places: list[Place] = field(default_factory=list)
    seconds_per_byte: float = BYTE_SECONDS
    # Of them, those whose body was read; the first one is worked on.
    _line: list[Place] = field(default_factory=list)

    @contextmanager
    def place(self, size: int) -> Iterator[Place]:
        """A place for a body of `size` bytes; Overloaded where it would wait too long."""
        ahead = sum(place.seconds for place in self.places)
        if self.places and (ahead > WAIT_SECONDS or len(self.places) >= MOST_WAITING):
            rule = f"A request with raw events is begun within {WAIT_SECONDS:.0f} seconds."
            raise _overloaded("raw events", rule, max(1, math.ceil(ahead)))
        seconds = REQUEST_SECONDS + size * self.seconds_per_byte
        place = Place(size, time.monotonic() + WAIT_SECONDS, seconds, anyio.Event())
        self.places.append(place)
        try:
            yield place
        finally:
            self.places.remove(place)

    @asynccontextmanager
    async def turn(self, place: Place, request: Request) -> AsyncIterator[None]:
        """Wait for the turn of this place, whose body was read.

        ClientDisconnect where the caller has gone, Overloaded where the time is up.
        """
        self._line.append(place)
        try:
            if self._line[0] is not place:
                await _wait_for_turn(place, request)
            began = time.monotonic()
            yield
            measured = (time.monotonic() - began) / max(place.size, 1)
            self.seconds_per_byte += LEARN * (measured - self.seconds_per_byte)
        finally:
            self._line.remove(place)
            if self._line:
                self._line[0].turn.set()
            else:
                trim_memory()


@dataclass
class Admission:
    """The bounds of one process."""

    logins: Bound = field(default_factory=lambda: Bound("logins", MOST_LOGINS))
    customers: Bound = field(
        default_factory=lambda: Bound("pages of single customers", MOST_CUSTOMER_PAGES)
    )
    bodies: Buffer = field(default_factory=Buffer)
    events: EventQueue = field(default_factory=EventQueue)


async def _wait_for_turn(place: Place, request: Request) -> None:
    while time.monotonic() < place.until:
        with anyio.move_on_after(LOOK_SECONDS):
            await place.turn.wait()
        if await request.is_disconnected():
            raise ClientDisconnect
        if place.turn.is_set():
            return
    raise _overloaded("raw events", f"They wait at most {WAIT_SECONDS:.0f} seconds.", 1)


def _overloaded(kind: str, rule: str, retry_after: int) -> Overloaded:
    fix = f"Send the request again after {retry_after} seconds (header Retry-After)."
    error = Overloaded(where=kind, got="too many at once", rule=rule, fix=fix)
    error.retry_after = retry_after
    return error
