"""What does `import ctc_scratch` cost beyond `import numba`?

    python -m benchmarks.tools.import_time [--seconds 30]

Each import runs in a new interpreter, and the imports take turns. The times include the start of the
interpreter; the row `nothing` shows how long that takes. The difference to `import numba` does not
include it. It is the median over the rounds, and should be at most 0.15 s.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Callable

import numpy as np

from .harness import conclude, interleave, machine, milliseconds

MOST = 0.15
"""Seconds that the import may take beyond numba's own."""

STATEMENTS = {"nothing": "pass", "numba": "import numba", "ctc_scratch": "import ctc_scratch"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tools.import_time")
    parser.add_argument("--seconds", type=float, default=30.0, help="seconds for all rounds (default: 30)")
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
    """A function that runs `code` in a new interpreter and waits until it ends."""
    def call() -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    return call


if __name__ == "__main__":
    main()
