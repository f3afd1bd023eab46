"""`ambassador demo`: a whole link on this machine."""

from __future__ import annotations

from tests.support.process import command


def test_every_byte_comes_back_and_every_hop_is_told() -> None:
    """The demo ends with 0 and names each hop, whatever settings its environment has."""
    surroundings = {"AMBASSADOR_ROUTES": "nonsense", "OTHER_PORT_80_TCP": "tcp://10.0.0.7:80"}
    code, out, err = command("demo", env=surroundings, patience=90)
    assert (code, err) == (0, "")
    for hop in ("server ", "source ambassador", "target ambassador", "client ", "every byte came back"):
        assert hop in out
    assert out.count("exit code 0") == 2
