"""A real MariaDB on an island, which keeps count of the hosts that come and say nothing."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.support.deadline import PATIENCE, eventually
from tests.support.net import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.island import Island

_USER = "CREATE USER IF NOT EXISTS 'app'@'%' IDENTIFIED BY 'secret';\n"


class MariaDB:
    """A server that can be started and stopped. It blocks a host after a hundred connections that said nothing.

    It counts only hosts whose names it can find, so this side's address has a name on the island.
    """

    def __init__(self, island: Island, folder: Path) -> None:
        self.host, self.port = island.there, free_port()
        self._prefix = island.prefix
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        island.hosts({"ambassador.example": [island.here]})
        (folder / "init.sql").write_text(_USER, encoding="ascii")
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={folder}/data", "--user=root", "--skip-test-db",
             "--auth-root-authentication-method=normal"],
            check=True, capture_output=True, timeout=2 * PATIENCE,
        )  # fmt: skip

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            [*self._prefix, "mariadbd", "--no-defaults", "--user=root", f"--datadir={self._folder}/data",
             f"--socket={self._folder}/socket", f"--pid-file={self._folder}/pid", f"--port={self.port}",
             f"--bind-address={self.host}", f"--init-file={self._folder}/init.sql", f"--log-error={self._folder}/log"],
        )  # fmt: skip
        eventually(lambda: self._ask("SELECT 1", f"--socket={self._folder}/socket", "-uroot")[0] == 0, "MariaDB")

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)

    def aborted_connects(self) -> int:
        """Return how many came and did not log in."""
        _, said = self._ask("SHOW GLOBAL STATUS LIKE 'Aborted_connects'", f"--socket={self._folder}/socket", "-uroot")
        return int(said.split()[-1])

    def query(self, host: str, port: int) -> str:
        """Return what a client is told that asks for 42 there."""
        _, said = self._ask("SELECT 42", "--protocol=tcp", f"--host={host}", f"--port={port}", "-uapp", "-psecret")
        return said.strip()

    @staticmethod
    def _ask(question: str, *options: str) -> tuple[int, str]:
        done = subprocess.run(
            ["mariadb", "--no-defaults", *options, "--skip-column-names", f"--execute={question}"],
            check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE,
        )  # fmt: skip
        return done.returncode, done.stdout
