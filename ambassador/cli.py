"""The commands. With `healthcheck` the only reader of the environment and of the arguments; knows the exit codes."""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

import ambassador
from ambassador.config.configuration import Configuration, read
from ambassador.errors import ConfigurationError, StartError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ambassador.config.configuration import Examine
    from ambassador.config.settings import Settings
    from ambassador.errors import Problem

HOSTS_FILE = Path("/etc/hosts")
_FAILED = 1
_MISCONFIGURED = 2


class _OneShot(click.Command):
    """A command that prints an answer and ends."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader is gone, as in `check | head`: click ends quietly
                raise
            # Commands handle the errors of their own work; what arrives here is standard output, on a full disk say.
            raise StartError(f"cannot write the output: {error.strerror}") from error


class _DefaultToRun(click.Group):
    """Understand `ambassador`, `ambassador ROUTE…` and `ambassador HOST PORT` as `ambassador run …`."""

    command_class = _OneShot

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] == "--" or (args[0] not in self.commands and not args[0].startswith("-")):
            self._refuse_misspelt(ctx, args)
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def _refuse_misspelt(self, ctx: click.Context, args: list[str]) -> None:
        """Tell a command with a slip in it from a route, and from the HOST of HOST PORT."""
        word, following = (*args, "", "")[:2]
        if ":" in word or following.isdigit():
            return
        near = difflib.get_close_matches(word, [*self.commands, "help", "version"], n=1)
        if near:
            right = near[0] if near[0] in self.commands else f"--{near[0]}"
            ctx.fail(f"No such command {word!r}. Did you mean {right!r}?")


@click.group(cls=_DefaultToRun, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(ambassador.__version__, message="ambassador %(version)s")
def cli() -> None:
    """Carry TCP connections from this container to a server elsewhere, as link variables say.

    REDIS_PORT_6379_TCP=tcp://10.0.0.7:6379 means: listen on 6379, carry everything to 10.0.0.7:6379. The settings are
    environment variables, too; `ambassador check` shows what became of each.
    """


@cli.command(cls=click.Command)
@click.argument("routes", nargs=-1, metavar="[ROUTE]...")
def run(routes: tuple[str, ...]) -> int:
    """Serve until SIGTERM or SIGINT. This is what happens without a command, too.

    ROUTE is [LISTEN=]HOST:PORT[,HOST:PORT...]; `ambassador HOST PORT` means one route with the same port.
    """
    from ambassador.commands import run

    return run.run(_to_serve(routes))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.option("--dial", is_flag=True, help="Connect to each upstream, too, and say how long it took; 1 if one is down.")
@click.argument("routes", nargs=-1, metavar="[ROUTE]...")
def check(routes: tuple[str, ...], *, as_json: bool, dial: bool) -> int:
    """Print what each variable became: its route, what it resolves to now, or why it was ignored."""
    from ambassador.commands import check

    return check.run(_to_serve(routes), as_json=as_json, dial=dial)


@cli.command()
def healthcheck() -> int:
    """Ask the running ambassador whether it is ready; for Docker's HEALTHCHECK."""
    from ambassador.commands import healthcheck

    return healthcheck.main()


@cli.command()
@click.option("--watch", is_flag=True, help="Look again every two seconds, until interrupted.")
def status(*, watch: bool) -> int:
    """Print the running ambassador's routes and live connections as a table."""
    from ambassador.commands import status

    return status.run(watch=watch)


@cli.command()
@click.option("--timeout", default="60s", show_default=True, help="How long to wait, such as 500ms, 10s or 5m.")
@click.argument("routes", nargs=-1, metavar="[ROUTE]...")
def wait(routes: tuple[str, ...], timeout: str) -> int:
    """Wait until the ambassador is ready and each upstream accepts a connection.

    This proves the next hop only: a source ambassador accepts whether or not its server is there.
    """
    from ambassador.commands import wait
    from ambassador.config.parsers import parse_duration

    try:
        seconds = parse_duration(timeout)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--timeout") from error
    return wait.run(_configuration(routes), timeout=seconds)


@cli.command()
def keygen() -> int:
    """Print a new tunnel key, for a file that AMBASSADOR_TUNNEL_KEY_FILE names at both ends."""
    from ambassador.tunnel import generate

    click.echo(generate())
    return 0


@cli.command()
def demo() -> int:
    """Run a whole link on this machine: a server, two ambassadors, and a client that talks through both."""
    from ambassador.commands import demo

    return demo.run()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 done, 1 failed at run time, 2 wrongly configured or called."""
    try:
        code = cli.main(arguments, prog_name="ambassador", standalone_mode=False)
    except click.Abort:
        return 130  # interrupted, as a shell has it
    except click.ClickException as error:
        with contextlib.suppress(OSError):
            error.show()
        return _MISCONFIGURED
    except ConfigurationError as error:
        for problem in error.problems:
            _complain(str(problem))
        return _MISCONFIGURED
    except StartError as error:
        _complain(str(error))
        return _FAILED
    except KeyboardInterrupt:  # pragma: no cover - before click has begun, which makes an Abort of it
        return 130
    return int(code or 0)


def _complain(text: str) -> None:
    """Say what is wrong, if anybody hears it: the exit code says it, too."""
    with contextlib.suppress(OSError):
        click.echo(f"ambassador: {text}", err=True)


def _to_serve(arguments: Sequence[str]) -> Configuration:
    """Read the configuration, and look at the files of its tunnel."""
    from ambassador.server.tunnels import Tunnels

    warned: list[str] = []

    def examine(settings: Settings) -> Sequence[Problem]:
        """Say what is wrong with the files of a tunnel."""
        try:
            warned.extend(Tunnels(settings).warnings)
        except ConfigurationError as error:
            return error.problems
        return ()

    found = _configuration(arguments, examine=examine)
    return replace(found, warnings=(*found.warnings, *warned))


def _configuration(arguments: Sequence[str], *, examine: Examine | None = None) -> Configuration:
    """Read the whole configuration: environment, arguments, and the hosts file for its advice."""
    try:
        hosts = HOSTS_FILE.read_bytes().decode("utf-8", "replace")
    except OSError:
        hosts = ""
    return read(os.environ, arguments=arguments, hosts=hosts, examine=examine)  # noqa: TID251 - the one place that does
