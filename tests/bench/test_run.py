"""How the harness runs relays, and what it reads about them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext

import pytest

from bench.machine import VERSION
from bench.origin import origin
from bench.ports import connect, free_port
from bench.processes import Launch, running
from bench.redis import columns
from bench.relays.model import Relay
from bench.relays.others import DIRECT, STREAMS
from bench.results import Results
from bench.runner import run_shape
from bench.shapes.bulk import measure as measure_bulk
from bench.shapes.catalog import SHAPES, select
from bench.shapes.model import Metric, Scale, Shape
from bench.usage import cpu_seconds, private_memory, resident_memory

Measure = Callable[[Relay, int, Scale], dict[str, float]]
BURN = "import time\nwhile time.process_time() < {}: pass\n"


def relay(name: str, *, missing: str | None = None) -> Relay:
    """Make a relay that is never run."""
    return Relay(name, lambda *_: (), lambda: missing)


def shape_of(measure: Measure, *relays: Relay) -> Shape:
    """Make a shape without an upstream."""
    return Shape("work", "work", (Metric("cpu", "CPU"),), relays, lambda: nullcontext(0), measure)


def test_runs_are_interleaved_and_begin_with_another_relay_each() -> None:
    """No relay is measured twice before each was measured once, and none always follows the same one."""
    order = []

    def measure(subject: Relay, _upstream: int, _scale: Scale) -> dict[str, float]:
        order.append(subject.name)
        return {"cpu": 1.0}

    relays = [relay("a"), relay("b"), relay("c")]
    run_shape(shape_of(measure, *relays), relays, Scale(), 2, Results())

    assert order == ["a", "b", "c", "b", "c", "a"]


def test_a_relay_that_fails_is_recorded_and_the_others_go_on() -> None:
    """One broken peer costs neither the run nor the samples of the others."""

    def measure(subject: Relay, _upstream: int, _scale: Scale) -> dict[str, float]:
        if subject.name == "b":
            raise RuntimeError("broke")
        return {"cpu": 1.0}

    relays, results = [relay("a"), relay("b"), relay("c", missing="not installed")], Results()
    run_shape(shape_of(measure, *relays), relays, Scale(), 2, results)

    assert [sample.relay for sample in results.samples] == ["a", "a"]
    assert results.failures == {("work", "b"): "failed: broke", ("work", "c"): "not installed"}


def test_a_word_selects_a_shape_or_all_that_continue_it() -> None:
    """`bulk` is every bulk shape, `bulk-up` one, and nothing is everything but the extra shapes."""
    assert [shape.name for shape in select(["bulk"])] == ["bulk-up", "bulk-down", "bulk-both"]
    assert [shape.name for shape in select(["start", "bulk-up"])] == ["bulk-up", "start"]
    assert select([]) == [shape for shape in SHAPES if not shape.name.startswith("tunnel")]


def test_an_unknown_shape_is_an_error_that_names_the_known() -> None:
    """A typing error does not measure nothing in silence."""
    with pytest.raises(ValueError, match="no shape is called bulky; there are bulk-up"):
        select(["bulky"])


def test_cpu_counts_children_that_live_and_that_ended() -> None:
    """A relay that forks cannot hide what its children use."""
    child = f"[{sys.executable!r}, '-c', {BURN.format(0.1)!r}]"
    code = f"import subprocess, sys\nsubprocess.run({child})\nprint(flush=True)\nsys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used = cpu_seconds([process.pid])

    assert used >= 0.09  # the child's part is told in ticks of 10 ms


def test_cpu_and_memory_of_nothing_are_nothing() -> None:
    """No relay has no processes and costs nothing."""
    assert cpu_seconds([]) == 0
    assert private_memory([]) == 0


def test_memory_of_a_process_has_a_private_part() -> None:
    """A living process is resident, partly in pages that it shares."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert 0 <= private_memory([process.pid]) <= resident_memory([process.pid])
        process.stdin.write(b"\n")


def test_a_relay_that_does_not_start_is_an_error_with_its_last_words() -> None:
    """The reason is in the message, not in a log that is gone."""
    launch = Launch((sys.executable, "-c", "raise SystemExit('port taken')"), free_port())

    with pytest.raises(RuntimeError, match="ended with code 1: port taken"), running([launch], 0):
        pytest.fail("nothing runs")


def test_a_relay_ends_with_its_measurement() -> None:
    """Nothing listens any more when the next relay is measured."""
    with origin() as upstream, STREAMS.serve(upstream) as subject:
        port = subject.port
        connect(port).close()

    with pytest.raises(ConnectionRefusedError):
        connect(port)


@pytest.mark.parametrize("way", ["up", "down", "both"])
def test_a_bulk_sample_measures_the_relay_and_not_the_load(way: str) -> None:
    """The same bytes cost the naive relay CPU time, and no relay none."""
    scale = Scale(bulk_bytes=8 << 20)
    with origin() as upstream:
        through = measure_bulk(way, STREAMS, upstream, scale)
        direct = measure_bulk(way, DIRECT, upstream, scale)

    assert through["cpu"] > 0
    assert direct["cpu"] == 0
    assert min(through["rate"], direct["rate"]) > 0


def test_redis_benchmark_is_read_by_its_own_columns() -> None:
    """The figures of redis-benchmark keep their names."""
    text = '"test","rps","avg_latency_ms","p50_latency_ms"\n"GET","1000.5","0.4","0.3"\n'

    assert columns(text) == {"rps": 1000.5, "avg_latency_ms": 0.4, "p50_latency_ms": 0.3}


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", "2.6.12-1+deb12u4"),
        ("nginx version: nginx/1.22.1", "1.22.1"),
        ("socat version 1.7.4.4 on 06 Nov 2022", "1.7.4.4"),
        ("Redis server v=7.0.15 sha=00000000:0", "7.0.15"),
        ("stunnel 5.68 on x86_64-pc-linux-gnu platform", "5.68"),
        ("spiped 1.6.2", "1.6.2"),
        ("Docker version 28.2.2, build e6534b4", "28.2.2"),
    ],
)
def test_versions_are_found_in_what_programs_say(said: str, version: str) -> None:
    """Each program's own way to tell its version is understood."""
    found = VERSION.search(said)

    assert found is not None
    assert found[1] == version
