"""What is worked on: raw events one after the other and few waiting, and nothing for nobody."""

from __future__ import annotations

import anyio
import pytest
from starlette.requests import ClientDisconnect, Request

from features.core.errors import Overloaded
from serving.api import admission
from serving.api.admission import Bound, Buffer, EventQueue

MEGABYTE = 1 << 20


def caller(*, gone: bool = False) -> Request:
    """A request whose body was read, of a caller that waits or has gone."""

    async def receive():
        if not gone:
            await anyio.sleep_forever()
        return {"type": "http.disconnect"}

    return Request({"type": "http", "headers": []}, receive)


def test_requests_are_worked_on_one_after_the_other_in_the_order_of_their_bodies():
    queue, order, running = EventQueue(), [], []

    async def work(name):
        with queue.place(10) as place:
            async with queue.turn(place, caller()):
                running.append(name)
                assert len(running) == 1
                await anyio.sleep(0)
                order.append(running.pop())

    async def all_of_them():
        async with anyio.create_task_group() as group:
            for name in range(5):
                group.start_soon(work, name)

    anyio.run(all_of_them)
    assert order == [0, 1, 2, 3, 4]
    assert queue.places == []


def test_for_whom_nobody_waits_nothing_is_begun(monkeypatch):
    monkeypatch.setattr(admission, "LOOK_SECONDS", 0.01)
    queue, begun = EventQueue(), []

    async def impatient():
        with queue.place(10) as place, pytest.raises(ClientDisconnect):
            async with queue.turn(place, caller(gone=True)):
                begun.append("impatient")

    async def slow():
        with queue.place(10) as place:
            async with queue.turn(place, caller()):
                async with anyio.create_task_group() as group:
                    group.start_soon(impatient)
                # The place of the impatient one is free before the slow one has ended.
                assert queue.places == [place]
                begun.append("slow")

    anyio.run(slow)
    assert begun == ["slow"]


def test_a_request_waits_only_so_long(monkeypatch):
    monkeypatch.setattr(admission, "WAIT_SECONDS", 0.05)
    queue = EventQueue(seconds_per_byte=0)

    async def work():
        with queue.place(10) as first:
            async with queue.turn(first, caller()):
                with queue.place(10) as second, pytest.raises(Overloaded, match="wait at most"):
                    async with queue.turn(second, caller()):
                        raise AssertionError("it was begun")

    anyio.run(work)


def test_who_would_wait_too_long_is_refused_at_once_and_told_when_to_come_again():
    queue = EventQueue(seconds_per_byte=2 / MEGABYTE)

    async def work():
        with queue.place(3 * MEGABYTE), pytest.raises(Overloaded) as refused, queue.place(1):
            pass
        assert refused.value.retry_after == 7
        with queue.place(30 * MEGABYTE):  # alone, whatever it costs
            pass
        with queue.place(MEGABYTE), queue.place(30 * MEGABYTE):
            pass

    anyio.run(work)
    assert queue.places == []


def test_the_seconds_of_a_byte_are_learned():
    queue = EventQueue(seconds_per_byte=5.0)

    async def work():
        for _ in range(60):
            with queue.place(100) as place:
                async with queue.turn(place, caller()):
                    pass

    anyio.run(work)
    assert queue.seconds_per_byte < 0.01


def test_a_bound_and_a_buffer_give_back_what_was_taken(monkeypatch):
    monkeypatch.setattr(admission, "BUFFERED_BYTES", 100)
    bound, buffer = Bound("pages", 1), Buffer()
    with bound.take(), pytest.raises(Overloaded, match="At most 1"), bound.take():
        pass
    with pytest.raises(ZeroDivisionError), bound.take():
        raise ZeroDivisionError
    assert bound.running == 0
    buffer.add(60)
    with pytest.raises(Overloaded):
        buffer.add(41)
    assert buffer.total == 60


def test_a_refusal_says_when_to_come_again(shop_service, monkeypatch):
    monkeypatch.setattr(admission, "BUFFERED_BYTES", 10)
    said = shop_service.ask({"customer_ids": ["000001"]})
    assert said.status_code == 429
    assert said.headers["retry-after"] == "1"
    assert said.headers["cache-control"] == "no-store"
    assert said.json()["error"] == "Overloaded"
    monkeypatch.setattr(admission, "BUFFERED_BYTES", 1 << 20)
    assert shop_service.ask({"customer_ids": ["000001"]}).status_code == 200


def test_every_status_of_a_refusal_is_in_the_openapi(shop_service):
    paths = shop_service.get("/openapi.json").json()["paths"]
    assert {"401", "405", "413", "415", "422", "429", "503"} <= set(
        paths["/v1/score"]["post"]["responses"]
    )
    for path, method in (("/v1/model", "get"), ("/v1/customers/{customer_id}", "get")):
        assert {"401", "405", "429", "503"} <= set(paths[path][method]["responses"])
