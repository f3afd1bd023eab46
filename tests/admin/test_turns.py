"""How the admin server's clients share the event loop with the relays."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import threading
from typing import TYPE_CHECKING

import pytest

from ambassador.admin.turns import LONGEST_REST, Shared, Turns
from tests.support.deadline import PATIENCE, eventually
from tests.support.net import LOCAL, free_port
from tests.support.servers import hold

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.watch import Watch

# Each report takes a moment, and is a line on standard error.
COUNTED = """
import asyncio, os
from ambassador.admin.overview import LocalOverview
from ambassador.workers.overview import PoolOverview
from tests.support.prelude import replace
def counted(overview):
    async def report(self):
        os.write(2, b"report\\n")
        await asyncio.sleep(0.03)
        return await plain(self)
    plain = replace(overview, "report", report)
counted(LocalOverview)
counted(PoolOverview)
"""
# Each connection that is described is a line.
DESCRIBED = """
import os
from ambassador.server import report
from tests.support.prelude import replace
def describe(*arguments):
    os.write(2, b"described\\n")
    return plain(*arguments)
plain = replace(report, "_connection", describe)
"""


async def test_one_goes_on_in_each_turn() -> None:
    """Of a crowd one goes on in a turn of the event loop, in the order of their coming."""
    turns, gone, seen = Turns(), list[int](), [0]

    async def client(number: int) -> None:
        await turns.mine()
        gone.append(number)

    tasks = [asyncio.ensure_future(client(number)) for number in range(20)]
    while len(gone) < 20:
        await asyncio.sleep(0)
        seen.append(len(gone))
    await asyncio.gather(*tasks)
    assert gone == list(range(20))
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(seen))


async def test_who_waits_shares_and_gets_nothing_old() -> None:
    """All who wait for the same get one answer; whoever asks while it is made gets the next."""
    shared, made = Shared[int](asyncio.Lock()), list[int]()
    begun, going_on = asyncio.Event(), asyncio.Event()

    async def make() -> int:
        begun.set()
        made.append(len(made))
        number = made[-1]
        await going_on.wait()
        return number

    early = [asyncio.ensure_future(shared.get(make)) for _ in range(60)]
    await begun.wait()
    late = [asyncio.ensure_future(shared.get(make)) for _ in range(60)]
    await asyncio.sleep(0)
    going_on.set()
    assert set(await asyncio.gather(*early)) == {0}
    assert set(await asyncio.gather(*late)) == {1}
    assert made == [0, 1]


async def test_it_rests_in_between() -> None:
    """After an answer nothing of its kind is begun for nine times as long as it took, or a quarter of a second."""
    shared = Shared[None](asyncio.Lock())
    loop, times = asyncio.get_running_loop(), list[tuple[float, float]]()

    async def make() -> None:
        started = loop.time()
        await asyncio.sleep(0.01)
        times.append((started, loop.time()))

    for key in range(4):
        await shared.get(make, key)
    for (begun, over), (next_begun, _) in itertools.pairwise(times):
        assert next_begun - over >= min(LONGEST_REST, 9 * (over - begun)) - 0.002  # the resolution of timers


async def test_kinds_are_made_one_at_a_time() -> None:
    """While an answer is made, none of another kind is; one that fails is told to all, and holds up nobody."""
    one = asyncio.Lock()
    kinds = [Shared[None](one) for _ in range(3)]
    busy = 0

    async def make() -> None:
        nonlocal busy
        busy += 1
        assert busy == 1
        await asyncio.sleep(0.001)
        busy -= 1
        raise LookupError

    ends = await asyncio.gather(*(kind.get(make) for kind in kinds * 3), return_exceptions=True)
    assert [type(end) for end in ends] == [LookupError] * 9


async def test_who_gives_up_takes_nothing_from_others() -> None:
    """An answer that one client no longer waits for is still made for the others."""
    shared = Shared[str](asyncio.Lock())
    going_on = asyncio.Event()

    async def make() -> str:
        await going_on.wait()
        return "made"

    impatient, patient = (asyncio.ensure_future(shared.get(make)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    going_on.set()
    assert await patient == "made"


def test_a_crowd_of_readers_costs_few_reports(watch: Watch, workers: dict[str, str]) -> None:
    """Forty readers who ask as fast as they can all get whole answers, from far fewer reports."""
    admin = watch(free_port(), settings=workers, prelude=COUNTED)
    answers = list[str]()

    def read() -> None:
        connection = http.client.HTTPConnection(LOCAL, admin.port, timeout=PATIENCE)
        for _ in range(5):
            connection.request("GET", "/status")
            answers.append(json.loads(connection.getresponse().read())["state"])
        connection.close()

    before = len(admin.ambassador.lines)
    threads = [threading.Thread(target=read) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert answers == ["serving"] * 200
    # The history's looks are among them, and not in line.
    assert 1 <= len(admin.ambassador.lines) - before < 100


def test_only_what_is_asked_for_is_described(watch: Watch, serve: Serve, workers: dict[str, str]) -> None:
    """`?limit=` describes no more connections than it says, in each worker, and all are counted."""
    admin = watch(serve(hold).port, settings=workers, prelude=DESCRIBED)
    clients = [admin.ambassador.connect() for _ in range(20)]
    eventually(lambda: admin.json("/status")["live"] == 20)

    found = admin.json("/connections?limit=3")
    assert (found["total"], len(found["connections"])) == (20, 3)
    assert admin.json("/connections?limit=2&route=nothing") == {"total": 0, "connections": []}
    route = found["connections"][0]["route"]
    assert len(admin.json(f"/connections?limit=1&route={route}")["connections"]) == 1
    eventually(lambda: len(admin.ambassador.lines) >= 4)
    assert 4 <= admin.ambassador.lines.count("described") <= 4 * int(workers["WORKERS"])
    for client in clients:
        client.close()
