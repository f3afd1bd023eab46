"""The commands: what they understand, what they say, and their exit codes. No traceback ever reaches a user."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ambassador import cli
from ambassador.commands import run as run_command
from tests.support.cases import quick
from tests.support.net import LOCAL, connect, free_port, read_to_end
from tests.support.process import command
from tests.support.servers import echo

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Launch, Serve

LINK = {"REDIS_PORT_6379_TCP": "tcp://10.0.0.7:6379"}


class Run(Protocol):
    """How tests run a command within this process."""

    def __call__(self, *arguments: str, **variables: str) -> tuple[int, list[str]]:
        """Run it with *variables* as its whole environment; return its exit code and the lines of standard error."""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run commands within this process, without an /etc/hosts."""
    monkeypatch.setattr(cli, "HOSTS_FILE", tmp_path / "hosts")

    def attempt(*arguments: str, **variables: str) -> tuple[int, list[str]]:
        for name in list(os.environ):
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        code = cli.main(list(arguments))
        return code, capsys.readouterr().err.splitlines()

    return attempt


PROBLEMS = [
    pytest.param({"A_PORT_80_TCP": "tcp://"}, "A_PORT_80_TCP=tcp://: ", id="link without host"),
    pytest.param({"A_PORT_80_TCP": "10.0.0.7:80"}, "tcp://", id="link without a scheme"),
    pytest.param({"A_PORT_80_TCP": "udp://10.0.0.7:80"}, "tcp://", id="link with another scheme"),
    pytest.param({"A_PORT_80_TCP": "tcp://10.0.0.7"}, "missing port", id="link without port"),
    pytest.param({"A_PORT_80_TCP": "tcp://10.0.0.7:0"}, "1 to 65535", id="link to port 0"),
    pytest.param({"A_PORT_80_TCP": "tcp://10.0.0.7:65536"}, "1 to 65535", id="link to port 65536"),
    pytest.param({"A_PORT_0_TCP": "tcp://10.0.0.7:80"}, "A_PORT_0_TCP=", id="name with port 0"),
    pytest.param({"A_PORT_65536_TCP": "tcp://10.0.0.7:80"}, "A_PORT_65536_TCP=", id="name with port 65536"),
    pytest.param({"A_PORT_80_TCP": "tcp://fd00::7:80"}, "A_PORT_80_TCP=", id="IPv6 without brackets"),
    pytest.param({"A_PORT_80_TCP": "tcp://10.0.0.7:80,"}, "A_PORT_80_TCP=", id="comma without endpoint"),
    pytest.param({"AMBASSADOR_ROUTES": "80"}, "AMBASSADOR_ROUTES=80: ", id="route without host"),
    pytest.param({"AMBASSADOR_ROUTES": "x=a:80"}, "AMBASSADOR_ROUTES=x=a:80: ", id="route with a bad listen"),
    pytest.param({"AMBASSADOR_BIND": "300.0.0.1"}, "AMBASSADOR_BIND=300.0.0.1: ", id="bind to no address"),
    pytest.param({"AMBASSADOR_CONNECT_TIMEOUT": "0"}, "AMBASSADOR_CONNECT_TIMEOUT=0: must not be 0", id="dial off"),
    pytest.param({"AMBASSADOR_CONNECT_TIMEOUT": "soon"}, "invalid duration", id="no duration"),
    pytest.param({"AMBASSADOR_KEEPALIVE": "-1"}, "invalid duration", id="negative duration"),
    pytest.param({"AMBASSADOR_KEEPALIVE": "10h"}, "out of range; expected 1s to 32767s", id="keepalive too long"),
    pytest.param({"AMBASSADOR_MAX_CONNECTIONS": "0"}, "invalid number of connections", id="no connections"),
    pytest.param({"AMBASSADOR_DRAIN_TIMEOUT": "8 seconds"}, "invalid duration", id="duration in words"),
    pytest.param({"AMBASSADOR_DRAIN_DELAY": ","}, "invalid duration", id="punctuation for a duration"),
    pytest.param({"AMBASSADOR_LOG_LEVEL": "loud"}, "debug, info, warning or error", id="log level"),
    pytest.param({"AMBASSADOR_LOG_FORMAT": "xml"}, "auto, json or console", id="log format"),
    pytest.param({"AMBASSADOR_ACCESS_LOG": "yes"}, "on or off", id="switch"),
    pytest.param({"AMBASSADOR_ADMIN": "9901"}, "127.0.0.1:9901", id="admin without address"),
    pytest.param({"AMBASSADOR_ADMIN": "127.0.0.1:6379"}, "AMBASSADOR_ADMIN", id="admin on a route's port"),
    pytest.param({"AMBASSADOR_LINKS": ","}, "AMBASSADOR_LINKS=,: ", id="links of commas"),
    pytest.param({"AMBASSADOR_DRAIN_TIMEOUTS": "8s"}, "did you mean AMBASSADOR_DRAIN_TIMEOUT?", id="unknown setting"),
    pytest.param({"AMBASSADOR_LOG_LEVEL_FILE": "/nowhere"}, "cannot read the file: No such file", id="missing file"),
    pytest.param(
        {"AMBASSADOR_LOG_LEVEL_FILE": "/dev/null", "AMBASSADOR_LOG_LEVEL": "info"}, "unset one of them", id="both given"
    ),
    pytest.param(
        {"B_PORT_6379_TCP": "tcp://10.0.0.8:6379"}, "AMBASSADOR_LINKS", id="two upstreams for one listen port"
    ),
    pytest.param({"AMBASSADOR_ROUTES": "80=a:80 80=b:80"}, "AMBASSADOR_ROUTES", id="two routes for one listen port"),
]


@pytest.mark.parametrize(("variables", "said"), PROBLEMS)
def test_a_problem_is_one_line_and_exit_code_2(run: Run, variables: dict[str, str], said: str) -> None:
    """Each kind of problem prints one line that says what is wrong, or what would be right, and exits with 2."""
    code, lines = run(**LINK, **variables)
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith("ambassador: ")
    assert said in lines[0]


def test_all_problems_come_together(run: Run) -> None:
    """Several problems at once are several lines of one run, each with its variable."""
    variables = {
        "A_PORT_80_TCP": "tcp://x:0",
        "AMBASSADOR_CONECT_TIMEOUT": "1s",
        "AMBASSADOR_LOG_LEVEL": "loud",
        "AMBASSADOR_ROUTES": "nowhere",
    }
    code, lines = run(**LINK, **variables)
    assert code == 2
    assert sorted(line.removeprefix("ambassador: ").partition("=")[0] for line in lines) == sorted(variables)


@pytest.mark.parametrize("command", ["run", "check"])
def test_the_tunnel_s_files_are_among_all_problems(run: Run, tmp_path: Path, command: str) -> None:
    """What is wrong with the files of a tunnel is told in the same run as what is wrong elsewhere."""
    files = {f"AMBASSADOR_TUNNEL_{name}_FILE": str(tmp_path / name) for name in ("CERT", "PRIVATE_KEY", "CA")}
    code, lines = run(command, **LINK, **files, AMBASSADOR_TUNNEL="source", AMBASSADOR_LOG_LEVEL="loud")
    assert code == 2
    told = [line.removeprefix("ambassador: ").partition("=")[0] for line in lines]
    assert told == ["AMBASSADOR_LOG_LEVEL", *files]


def test_every_problem_of_arguments_is_told(run: Run) -> None:
    """A ROUTE argument that cannot be used is named as an argument."""
    code, lines = run("run", "nonsense", "10.0.0.7:80", "x:0")
    assert code == 2
    assert len(lines) == 2
    assert all("argument" in line for line in lines)


def test_no_route_says_what_was_looked_for(run: Run) -> None:
    """Without any route the message shows how to make one, and the exit code is 2."""
    code, lines = run()
    assert code == 2
    (line,) = lines
    assert "<ALIAS>_PORT_<n>_TCP" in line
    assert "AMBASSADOR_ROUTES" in line


def test_no_route_beside_linked_names_tells_of_docker_29(run: Run, tmp_path: Path) -> None:
    """Where /etc/hosts has links and the environment none, the message names Docker Engine 29 and the -e to add."""
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n172.17.0.2 redis 3f4c0ffee123 source\n172.17.0.3 me\n")
    code, (line,) = run(HOSTNAME="me")
    assert code == 2
    assert "Docker Engine 29" in line
    assert line.endswith("add -e REDIS_PORT_<PORT>_TCP=tcp://redis:<PORT>")


def test_a_secret_is_masked(run: Run) -> None:
    """The value of a secret is never printed, not even where it is wrong."""
    secret = {"AMBASSADOR_ADMIN_TOKEN": "hunter2 hunter2"}
    code, lines = run(**LINK, **secret)
    assert code == 2
    assert "hunter2" not in "\n".join(lines)
    assert "***" in "\n".join(lines)


@pytest.mark.parametrize("arguments", [("--frob",), ("check", "--frob"), ("wait", "--timeout", "soon"), ("demo", "x")])
def test_a_wrong_call_is_exit_code_2(run: Run, arguments: tuple[str, ...]) -> None:
    """An option that there is not is told with the usage, and exits with 2."""
    code, lines = run(*arguments, **LINK)
    assert code == 2
    assert lines[0].startswith("Usage: ambassador")
    assert lines[-1].startswith("Error: ")


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arguments=st.lists(
        TEXT | st.sampled_from(["run", "check", "--json", "wait", "--timeout", "1ms", "x:1"]), max_size=4
    ),
    link=TEXT,
    name=TEXT.map(lambda text: text.replace("=", "")),
    value=TEXT,
)
def test_no_input_is_answered_with_a_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], link: str, name: str, value: str
) -> None:
    """Whatever stands in arguments and environment, a command ends with an exit code of the contract."""
    monkeypatch.setattr(run_command, "run", lambda _configuration: 0)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    monkeypatch.setattr("ambassador.commands.wait.run", lambda *_, **__: 0)
    if arguments[:1] == ["demo"]:
        return
    code, _ = run(*arguments, A_PORT_1_TCP=f"tcp://{link}", **{f"AMBASSADOR_{name}": value})
    assert code in {0, 2}


@pytest.mark.parametrize("form", quick(2, ["HOST PORT", "routes", "link", "run ROUTE", "ROUTE"]))
def test_every_way_to_name_a_route_serves_it(ambassador: Launch, serve: Serve, form: str) -> None:
    """A link, AMBASSADOR_ROUTES, arguments with and without `run`, and HOST PORT all come to the same."""
    server, port = serve(echo), free_port()
    arguments: tuple[str, ...] = ()
    links = {}
    route = f"{port}={LOCAL}:{server.port}"
    if form == "link":
        links = {f"ANY_PORT_{port}_TCP": f"tcp://{LOCAL}:{server.port}"}
    elif form == "routes":
        links = {"AMBASSADOR_ROUTES": route}
    elif form == "HOST PORT":  # which listens on the very port that it dials, so another address has to be dialled
        port = server.port
        server.stop_listening()
        server.host = "127.0.0.2"
        server.start()
        arguments = ("127.0.0.2", str(server.port))
    else:
        arguments = (*form.split()[:-1], route)
    ambassador(arguments=arguments, links=links)

    with connect(port) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"hello"


def test_version_and_help_are_for_standard_output() -> None:
    """`--version` names the version, `--help` every command; both exit with 0 and write no error."""
    code, out, err = command("--version")
    assert (code, err) == (0, "")
    assert out.startswith("ambassador ")
    code, out, err = command("--help")
    assert (code, err) == (0, "")
    for name in ("run", "check", "healthcheck", "wait", "demo"):
        assert f"  {name} " in out
    assert command("wait", "--help")[0] == 0


def test_a_port_in_use_is_exit_code_1(ambassador: Launch, serve: Serve) -> None:
    """A port that another process listens on ends the start with 1 and one line that names it and its variable."""
    server = serve(echo)
    variable = f"A_PORT_{server.port}_TCP"
    running = ambassador(links={variable: "tcp://10.0.0.7:80"}, wait=False)
    assert running.exit_code() == 1
    assert running.lines == [f"ambassador: cannot listen on {LOCAL}:{server.port} ({variable}): Address already in use"]


def test_an_admin_port_in_use_is_exit_code_1(ambassador: Launch, serve: Serve) -> None:
    """The admin address in use ends the start with 1 as well."""
    server = serve(echo)
    running = ambassador(9, settings={"ADMIN": f"{LOCAL}:{server.port}"}, wait=False)
    assert running.exit_code() == 1
    assert len(running.lines) == 1
    assert f"{LOCAL}:{server.port} (AMBASSADOR_ADMIN)" in running.lines[0]


def test_an_address_of_another_machine_is_exit_code_1(ambassador: Launch) -> None:
    """An address that is not this machine's ends the start with 1 and is named."""
    running = ambassador(9, settings={"BIND": "192.0.2.1"}, wait=False)
    assert running.exit_code() == 1
    (line,) = running.lines
    assert line.startswith(f"ambassador: cannot listen on 192.0.2.1:{running.port} (UP_PORT_{running.port}_TCP): ")
    assert line.endswith(": Cannot assign requested address")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [(("chek",), "check"), (("chek", "--json"), "check"), (("help",), "--help"), (("version",), "--version")],
)
def test_a_misspelt_command_is_no_route(run: Run, arguments: tuple[str, ...], meant: str) -> None:
    """A word that is nearly a command is told with the command that was meant."""
    code, lines = run(*arguments, **LINK)
    assert code == 2
    assert lines[-1] == f"Error: No such command '{arguments[0]}'. Did you mean '{meant}'?"


def test_a_host_that_sounds_like_a_command_is_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`HOST PORT`, a route and what comes after `--` are never taken for a slip in a command."""
    monkeypatch.setattr(run_command, "run", lambda configuration: configuration.routes[0].endpoints[0].address.port)
    for arguments in (("chek", "80"), ("chek:80",), ("--", "chek:80")):
        assert run(*arguments)[0] == 80
