"""Helpers for tests of commands: the line of an error, and how often damaged files are refused."""

from pathlib import Path

from ctc_scratch.commands.main import main
from ctc_scratch.commands.notice import COMPILING


def error_line(stderr: str) -> str:
    """The single line of an error; on a cold cache the notice that kernels are compiled comes before it."""
    lines = [line for line in stderr.splitlines() if line != COMPILING]
    assert len(lines) == 1, stderr
    return lines[0]


def refusals_of_damage(name, whole, arguments, capsys, rng, tries=150):
    """Run a command on damaged copies of a file; returns how many of them it refuses.

    A copy is cut off somewhere in its second half, and one byte is changed. It must be refused in one line
    on stderr, or read without an error.
    """
    refused = 0
    for _ in range(tries):
        damaged = bytearray(whole[:rng.integers(len(whole) // 2, len(whole) + 1)])
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        Path(name).write_bytes(damaged)
        status = main(arguments)
        stderr = capsys.readouterr().err
        if status == 2:
            assert error_line(stderr).startswith("ctc-scratch: error: ")
            refused += 1
        else:
            assert "error" not in stderr, stderr
    return refused
