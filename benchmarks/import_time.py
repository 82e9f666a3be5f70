"""What does `import ctc_scratch` cost beyond `import numba`?

    python -m benchmarks.import_time [--seconds 30]

Each import runs in a fresh interpreter, and the imports take turns. The times hold the start of
the interpreter too, which `nothing` shows alone and the difference does not hold. The difference
is the median over the rounds; it should be at most 0.2 s.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Callable

import numpy as np

from .tools.harness import conclude, interleave, machine, milliseconds

MOST = 0.2
"""Seconds that the import may cost beyond numba's."""

STATEMENTS = {"nothing": "pass", "numba": "import numba", "ctc_scratch": "import ctc_scratch"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.import_time")
    parser.add_argument("--seconds", type=float, default=30.0, help="for all rounds (default: 30)")
    options = parser.parse_args()

    times = interleave({name: starter(code) for name, code in STATEMENTS.items()}, options.seconds)
    more = {name: np.median(spent - times["numba"]) for name, spent in times.items()}
    print(f"{machine()}\n{len(times['numba'])} rounds\n")
    rows = [[name, milliseconds(spent), f"{1e3 * more[name]:+.1f}"] for name, spent in times.items()]
    verdict = "within" if more["ctc_scratch"] <= MOST else "OVER"
    conclude("import_time", ["import", "ms (middle half)", "ms beyond numba"], rows,
             {name: spent.tolist() for name, spent in times.items()},
             f"ctc_scratch costs {more['ctc_scratch']:.3f} s beyond numba: {verdict} the {MOST} s allowed")


def starter(code: str) -> Callable[[], None]:
    """A call that runs `code` in a fresh interpreter and waits for its end."""
    def call() -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    return call


if __name__ == "__main__":
    main()
