"""`ambassador check`: what each variable became."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from tests.support.process import command

if TYPE_CHECKING:
    from pathlib import Path

VARIABLES = {
    "WEB_PORT_8080_TCP": "tcp://127.0.0.1:80,tcp://[::1]:81",
    "DB_PORT_5432_TCP": "tcp://nowhere.invalid:5432",
    "APP_SERVICE_PORT_8080_TCP": "8080",
    "APP_PORT_53_UDP": "udp://127.0.0.1:53",
    "KUBERNETES_PORT_443_TCP": "tcp://10.0.0.1:443",
}


def test_json_has_a_decision_for_every_variable_that_looks_like_a_link() -> None:
    """Every variable like a link is in the answer once, with its route or with the reason why it has none."""
    code, out, err = command("check", "--json", env=VARIABLES)
    assert (code, err) == (0, "")
    answer = json.loads(out)
    decisions = {decision["variable"]: decision for decision in answer["variables"]}
    assert set(decisions) == set(VARIABLES)
    assert {name for name, decision in decisions.items() if decision["route"] is None} == {
        "APP_SERVICE_PORT_8080_TCP", "APP_PORT_53_UDP", "KUBERNETES_PORT_443_TCP",
    }  # fmt: skip
    assert all(decision["reason"] for decision in decisions.values() if decision["route"] is None)


def test_json_tells_what_a_dial_would_find_now() -> None:
    """Addresses resolve to themselves, and a name that does not resolve is told with the reason, at exit code 0."""
    code, out, _ = command("check", "--json", env=VARIABLES)
    assert code == 0
    routes = {route["route"]: route for route in json.loads(out)["routes"]}
    assert [upstream["resolves_to"] for upstream in routes["web:8080"]["upstream"]] == [["127.0.0.1"], ["::1"]]
    (database,) = routes["db:5432"]["upstream"]
    assert database["resolves_to"] == []
    assert database["error"]
    assert routes["db:5432"]["source"] == "DB_PORT_5432_TCP"


def test_names_are_told_with_what_they_resolve_to_and_by_whom() -> None:
    """A name of the name service has its addresses beside it, and Docker's own link the alias that is followed."""
    _, out, _ = command("check", "81=localhost:82")
    assert re.search(r"^    to localhost:82, which is .*127\.0\.0\.1.* \(by name service\)$", out, re.MULTILINE)

    link = {"DB_PORT_5432_TCP": "tcp://172.17.0.5:5432", "DB_PORT_5432_TCP_ADDR": "172.17.0.5"}
    (route,) = json.loads(command("check", "--json", env={**link, "DB_NAME": "/ambassador/db"})[1])["routes"]
    assert route["upstream"][0]["alias"] == "db"


def test_text_names_routes_and_what_is_ignored() -> None:
    """The text for people has each route with where it listens and goes to, and each ignored variable with why."""
    code, out, err = command("check", env=VARIABLES)
    assert (code, err) == (0, "")
    assert "web:8080" in out
    assert "*:8080" in out
    assert "    to 127.0.0.1:80\n    to [::1]:81\n" in out
    assert "    to nowhere.invalid:5432: cannot be resolved: " in out
    ignored = out.partition("Ignored:")[2]
    assert "APP_SERVICE_PORT_8080_TCP=8080" in ignored
    assert "KUBERNETES_PORT_443_TCP" in ignored


def test_exceptions_are_told_with_their_items() -> None:
    """For each route text and JSON have the settings that are not the table's, and the item that makes them so."""
    settings = {"AMBASSADOR_IDLE_TIMEOUT": "5m db=0", "AMBASSADOR_ALLOW": "web:*=10.0.0.0/8, fd00::/8"}
    _, out, _ = command("check", "--json", env={**VARIABLES, **settings})
    assert {route["route"]: route["settings"] for route in json.loads(out)["routes"]} == {
        "db:5432": [{"setting": "IDLE_TIMEOUT", "value": "0", "by": "db=0"}],
        "web:8080": [
            {"setting": "IDLE_TIMEOUT", "value": "5m", "by": "5m"},
            {"setting": "ALLOW", "value": "10.0.0.0/8,fd00::/8", "by": "web:*=10.0.0.0/8,fd00::/8"},
        ],
    }
    _, out, _ = command("check", env={**VARIABLES, **settings})
    assert "    IDLE_TIMEOUT 0 (by db=0)\n" in out
    assert "    IDLE_TIMEOUT 5m (by 5m)\n    ALLOW 10.0.0.0/8,fd00::/8 (by web:*=10.0.0.0/8,fd00::/8)\n" in out


def test_text_names_every_variable_once() -> None:
    """A variable whose route another one made is there too, and one that is not served is told of once."""
    _, out, _ = command("check", env={**VARIABLES, "WWW_PORT_8080_TCP": VARIABLES["WEB_PORT_8080_TCP"]})
    for variable in (*VARIABLES, "WWW_PORT_8080_TCP"):
        assert out.count(f"{variable}=") + out.count(f"(from {variable})") == 1
    assert f"WWW_PORT_8080_TCP={VARIABLES['WEB_PORT_8080_TCP']}: same as WEB_PORT_8080_TCP" in out


def test_problems_are_exit_code_2(tmp_path: Path) -> None:
    """`check` fails as the start would, with the same lines."""
    code, out, err = command("check", "--json", env={**VARIABLES, "AMBASSADOR_LOG_LEVEL": "loud"})
    assert (code, out) == (2, "")
    assert err.startswith("ambassador: AMBASSADOR_LOG_LEVEL=loud: ")
