"""The examples for Prometheus and Grafana, in the programs that they are for."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import urllib.parse
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ambassador.metrics import End
from tests.support.deadline import PATIENCE, eventually
from tests.support.net import LOCAL, exactly, free_port
from tests.support.process import ROOT
from tests.support.servers import echo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Serve
    from tests.support.admin import Admin
    from tests.support.watch import Watch

EXAMPLES = ROOT / "examples"
DASHBOARD = EXAMPLES / "grafana" / "ambassador.json"
_METRIC = re.compile(r"\b(?:ambassador|process)_\w+")
promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed here")


@promtool
@pytest.mark.parametrize(
    "check",
    [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")],
)
def test_promtool_takes_the_examples(check: tuple[str, ...]) -> None:
    """The scrape configuration and the alert rules are valid, and the rules fire when they are meant to."""
    done = subprocess.run(
        ["promtool", *check], cwd=EXAMPLES / "prometheus", capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def prometheus(watch: Watch, serve: Serve, tmp_path: Path) -> Iterator[tuple[Admin, int]]:
    """Run an ambassador and a Prometheus that scrapes it ten times a second, with the example's rules."""
    admin = watch(serve(echo).port)
    port = free_port()
    text = (EXAMPLES / "prometheus" / "prometheus.yml").read_text()
    text = text.replace("redis_ambassador:9901", f"{LOCAL}:{admin.port}").replace(
        "scrape_interval: 15s", "scrape_interval: 100ms"
    )
    (tmp_path / "prometheus.yml").write_text(text.replace("alerts.yml", str(EXAMPLES / "prometheus" / "alerts.yml")))
    with subprocess.Popen(
        [
            "prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
            f"--web.listen-address={LOCAL}:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        yield admin, port
        process.kill()


def get(port: int, path: str, **parameters: str) -> Any:
    """Return what Prometheus answers; None as long as it is not up."""
    connection = http.client.HTTPConnection(LOCAL, port, timeout=PATIENCE)
    try:
        connection.request("GET", f"{path}?{urllib.parse.urlencode(parameters)}")
        response = connection.getresponse()
        body = response.read()
    except OSError:
        return None
    finally:
        connection.close()
    if response.status == 503:
        return None
    assert response.status == 200, (parameters, body)
    return json.loads(body)["data"]


def query(port: int, expression: str) -> list[dict[str, Any]]:
    """Return the result of an instant query."""
    found = get(port, "/api/v1/query", query=expression)
    result: list[dict[str, Any]] = found["result"] if found else []
    return result


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed here")
def test_prometheus_scrapes_and_the_dashboard_finds_what_it_asks_for(prometheus: tuple[Admin, int]) -> None:
    """A real Prometheus scrapes the ambassador, loads the rules, and has an answer to every query of the dashboard."""
    admin, port = prometheus
    with admin.ambassador.connect() as client:
        client.sendall(b"x" * 1000)
        exactly(client, 1000)
        moved = 'ambassador_bytes_total{direction="up"}'
        eventually(lambda: [entry for entry in query(port, moved) if entry["value"][1] == "1000"])
    admin.ended("closed")
    ended = 'ambassador_connections_total{end="closed"}'
    eventually(lambda: [entry for entry in query(port, ended) if entry["value"][1] == "1"])
    assert query(port, 'up{job="ambassador"} == 1')
    for expression in _expressions():
        eventually(partial(query, port, expression), expression)
    groups = get(port, "/api/v1/rules")["groups"]
    assert len(groups[0]["rules"]) >= 8


def test_dashboard_and_rules_name_only_what_exists(watch: Watch, serve: Serve) -> None:
    """Every metric, label and ending that the examples ask for is one that an ambassador has."""
    metrics = watch(serve(echo).port).metrics()
    names = {name for name, _ in metrics}
    labels = {label for _, pairs in metrics for label, _ in pairs} | {"instance", "job"}
    rules = (EXAMPLES / "prometheus" / "alerts.yml").read_text()
    for text in (rules, *_raw_expressions()):
        assert set(_METRIC.findall(text)) <= names, text
        assert set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", text)) <= labels, text
        for value in re.findall(r'end(?:=~|!~|=)"([^"]+)"', text):
            assert all(any(re.fullmatch(part, end) for end in End) for part in value.split("|")), value


def _raw_expressions() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def _expressions() -> list[str]:
    """Return the dashboard's queries as Grafana sends them. A filter on values may rightly find nothing."""
    return [
        text.replace("$instance", ".*").replace("$route", ".*").replace("$__rate_interval", "1m").removesuffix(" > 0")
        for text in _raw_expressions()
    ]
