"""What the harness prints and draws."""

from __future__ import annotations

import json
from contextlib import nullcontext
from xml.etree import ElementTree as ET

import pytest

from bench.chart import BAR, chart
from bench.processes import Launch
from bench.relays.haproxy import HAPROXY
from bench.relays.model import Relay
from bench.report import as_json
from bench.results import Results, Sample
from bench.shapes.model import QUICK, Metric, Shape
from bench.summary import Spread
from bench.table import aligned, cell, number, shape_table
from bench.targets import Target, targets_table, verdict

MACHINE = {
    "date": "2026-01-02",
    "kernel": "Linux 6",
    "processor": "<fast> & cheap",
    "cores": "2",
    "congestion control": "cubic",
    "network": "in a namespace of its own",
    "user": "root",
    "python": "3.13",
}
SVG = "{http://www.w3.org/2000/svg}"


def launch(listen: int, _upstream: int) -> tuple[Launch, ...]:
    """Describe a relay that is never run."""
    return (Launch(("/opt/relay", "--key", "key"), listen, files={"a.cfg": "listen 1"}, secrets={"key": b"hush"}),)


RELAYS = tuple(Relay(name, launch) for name in ("ambassador", "peer <b>", "slow", "no relay"))


@pytest.fixture
def shape() -> Shape:
    """Make a shape that is never measured."""
    metrics = (Metric("cpu", "CPU s per GiB"), Metric("rate", "GiB/s", "more"))
    return Shape("bulk", "bulk & more", metrics, RELAYS, lambda: nullcontext(0), lambda *_: {})


@pytest.fixture
def results() -> Results:
    """Make two runs of four relays, of which one costs far more and one nothing."""
    costs = {"ambassador": 1.0, "peer <b>": 2.0, "slow": 500.0, "no relay": 0.0}
    samples = [
        Sample("bulk", name, run, {"cpu": cost * (1 + run), "rate": 1.5})
        for name, cost in costs.items()
        for run in (0, 1)
    ]
    return Results(samples, {("bulk", "absent"): "not installed"})


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.000"), (0.2345, "0.234"), (1.234, "1.23"), (12.34, "12.3"), (12345.6, "12,346")]
)
def test_number_has_three_significant_digits(value: float, text: str) -> None:
    """A figure is as long as it is precise, and never has an exponent."""
    assert number(value) == text


def test_cell_shows_the_spread_only_where_there_is_one() -> None:
    """One run has no extremes to show; no run has an empty cell."""
    assert cell(Spread(1.0, 0.5, 2.0)) == "1.00 (0.500-2.00)"
    assert cell(Spread(1.0, 1.0, 1.0)) == "1.00"
    assert cell(None) == ""


def test_aligned_columns_end_below_each_other() -> None:
    """Figures are set to the right of their column."""
    assert aligned([["", "a"], ["relay", "1.00"]]) == "          a\nrelay  1.00"


def test_table_compares_ours_with_each_peer(shape: Shape, results: Results) -> None:
    """The last column is our cost as a part of the peer's, and empty where there is nothing to divide by."""
    lines = shape_table(shape, results).splitlines()

    assert lines[0] == "bulk: bulk & more"
    assert lines[1].endswith("ambassador / this")
    assert lines[3].split()[-1] == "0.500"
    assert lines[5].split()[-1] == "1.50"


def test_chart_is_well_formed_and_names_each_relay_that_costs(shape: Shape, results: Results) -> None:
    """Names are escaped, and what costs nothing has no bar."""
    drawn = ET.fromstring(chart([shape], results, MACHINE, runs=2))  # noqa: S314  # our own output

    texts = [element.text for element in drawn.iter(f"{SVG}text")]
    assert "peer <b>" in texts
    assert "bulk & more" in texts
    assert "no relay" not in texts
    assert any("2026-01-02" in (text or "") for text in texts)


def test_chart_cuts_the_bar_that_would_dwarf_the_others(shape: Shape, results: Results) -> None:
    """No bar is wider than its place, and the cut one shows a gap."""
    drawn = ET.fromstring(chart([shape], results, MACHINE, runs=2))  # noqa: S314  # our own output

    bars = [element for element in drawn.iter(f"{SVG}rect") if element.get("class") in {"ours", "peer"}]
    assert [element.get("class") for element in bars] == ["ours", "peer", "peer"]
    assert max(float(element.get("width", "0")) for element in bars) <= BAR
    assert sum(element.get("class") == "gap" for element in drawn.iter(f"{SVG}rect")) == 1


def test_json_has_every_sample_and_no_secret(shape: Shape, results: Results) -> None:
    """Others can compute from the file, and see how each relay was run, but not with which key."""
    text = as_json([shape], results, MACHINE, QUICK)

    assert len(json.loads(text)["samples"]) == 8
    assert json.loads(text)["configurations"]["slow"] == "relay --key key\n# a.cfg\nlisten 1"
    assert "hush" not in text


def test_target_is_a_ratio_run_by_run() -> None:
    """A target against a peer compares what both measured in the same run."""
    ours, theirs = HAPROXY, Relay("peer", launch)
    found = Results([Sample("bulk", ours.name, 0, {"cpu": 3.0}), Sample("bulk", "peer", 0, {"cpu": 4.0})])

    assert Target("bulk", "cpu", 1.0, 0.5, ours=ours, peer=theirs).measured(found) == Spread(0.75, 0.75, 0.75)


@pytest.mark.parametrize(("measured", "said"), [(0.5, "aim reached"), (0.6, "within"), (0.76, "over")])
def test_verdict_names_where_a_figure_stands(measured: float, said: str) -> None:
    """A bound that is met exactly is met."""
    assert verdict(Target("bulk", "cpu", 0.75, 0.5), measured) == said


def test_targets_that_were_not_measured_are_not_shown(results: Results) -> None:
    """A run of something else has no targets table."""
    assert targets_table(results) == ""
