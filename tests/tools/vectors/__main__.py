"""Write the files of all groups: python -m tests.tools.vectors [--to FOLDER] [GROUP ...]."""

import argparse
import json
import time
from pathlib import Path

import ctc_scratch

from .files import GROUPS, VERSION, file_of

FOLDER = Path(ctc_scratch.__file__).parent / "check" / "vectors" / f"v{VERSION}"

parser = argparse.ArgumentParser(prog="python -m tests.tools.vectors", description=__doc__)
# Without arguments, argparse looks for the empty list among the choices.
parser.add_argument("groups", nargs="*", choices=[[], *GROUPS], metavar="GROUP", help=", ".join(GROUPS))
parser.add_argument("--to", type=Path, default=FOLDER, help="where to write (default: into the package)")
arguments = parser.parse_args()
for group in arguments.groups or GROUPS:
    start = time.perf_counter()
    text = file_of(group)
    (arguments.to / f"{group}.json").write_text(text, encoding="utf-8", newline="\n")
    contents = json.loads(text)
    print(f"{group}: {len(contents['cases'])} cases, {len(contents['batches'])} batches, {len(text)} bytes, "
          f"{time.perf_counter() - start:.1f} s")
