"""Kill a run at random moments, resume it each time, and compare its weights with an undisturbed one.

    python -m tests.kill_at_random --moments 20

The moments fall anywhere: while Python starts, before there is a folder, within a step, an evaluation
or the writing of a checkpoint.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

OPTIONS = "--steps 200 --evaluations 7 --average 0.99 --save-every 0.1".split()


def train(*arguments: str) -> subprocess.Popen:
    """A training process."""
    return subprocess.Popen([sys.executable, "-m", "ctc_scratch", "train", *arguments],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> str:
    """The SHA-256 that a process prints at its end."""
    out, err = process.communicate()
    found = re.search(r"weights after step \d+: SHA-256 (\w{64})", out)
    if process.returncode or not found:
        raise RuntimeError(f"exit status {process.returncode}:\n{out}\n{err}")
    return found[1]


def killed_run(folder: Path, options: list[str], moments: int, longest: float,
               rng: np.random.Generator) -> tuple[str, int]:
    """Start, kill, resume, kill ... so many times, then let it end: the SHA-256, and kills that hit.

    A process that ended before its moment came is no kill; a run that is over is started anew.
    """
    kills, runs = 0, 0
    while True:
        name = folder / str(runs)
        process = train("--resume", str(name)) if name.exists() else train("--out", str(name), *options)
        if kills == moments:
            return finish(process), kills
        try:
            process.wait(rng.uniform(0, longest))
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
            print(f"kill {kills}: {_where(name)}", flush=True)
        else:
            finish(process)
            runs += 1
        process.communicate()


def _where(folder: Path) -> str:
    metrics = folder / "metrics.jsonl"
    steps = re.findall(r'"step": (\d+)', metrics.read_text()) if metrics.exists() else []
    unfinished = [path.name for path in folder.glob("*.unfinished")]
    return " ".join([f"after step {steps[-1]}" if steps else "before the first record", *unfinished])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=20, help="kills (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        expected = finish(train("--out", f"{folder}/undisturbed", *OPTIONS))
        longest = 0.6 * (time.monotonic() - start)      # most moments come before the end
        found, kills = killed_run(Path(folder), OPTIONS, options.moments, longest,
                                  np.random.default_rng(options.seed))
    print(f"undisturbed              {expected}\nkilled {kills:3d} times, resumed {found}")
    return found != expected


if __name__ == "__main__":
    sys.exit(main())
