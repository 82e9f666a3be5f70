"""Random calls of the public functions, each compared with an independent oracle: `python -m tests.fuzz`.

    python -m tests.fuzz --minutes 2                   as many cases as two minutes allow
    python -m tests.fuzz --cases 500000 --seed 1       this many cases
    python -m tests.fuzz --seed 1 --only 4711          a single case, in this process, with a traceback

A case is one call. The seed and the number of the case determine all of it: shapes, dtypes, memory
layouts, lengths, targets, logits from 1e-3 to 1e5 with patterns of -inf, options, or one bad argument.
The right answer comes from `tests/tools/oracle.py`, the recursion in long double. The result may differ
from it by what its own `bound` claims. For a bad argument, the call must raise ValueError or TypeError,
name the argument and leave `out` as it was.

Cases run in a child process. If it crashes or makes no progress for ten minutes, that is a failure too,
and another child goes on with the next case. The exit status is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import faulthandler
import multiprocessing
import signal
import statistics
import sys
import time
import traceback
import warnings

from tests.fuzz.cases.bad_calls import bad_call_case
from tests.fuzz.cases.bad_loss import bad_diagnose_case, bad_loss_case
from tests.fuzz.cases.decoders import beam_case, greedy_case, map_case
from tests.fuzz.cases.labels import diagnose_case, labels_case
from tests.fuzz.cases.loss import loss_case, twice_case
from tests.fuzz.cases.partition import log_partition_case
from tests.fuzz.cases.sequence import align_case, lattice_case
from tests.fuzz.draw import Draw
from tests.tools import oracle

KINDS = {
    loss_case: 650, bad_loss_case: 130, bad_call_case: 40, twice_case: 20, log_partition_case: 35,
    align_case: 30, lattice_case: 8, greedy_case: 25, beam_case: 8, map_case: 3, diagnose_case: 20,
    bad_diagnose_case: 11, labels_case: 20,
}
"""How many of 1000 cases are of each kind."""

TOGETHER = 1000
"""How many cases the oracle solves at a time."""

STILL = 600
"""A child process that does not finish its group of cases in this many seconds is ended."""

MOST_FAILURES = 10
"""The run ends after this many failures."""


def make_case(seed, number):
    """The case of this seed and number. It does not depend on the cases before it."""
    draw = Draw(seed, number)
    kind, = draw.choices(list(KINDS), KINDS.values())
    return kind(draw)


def answers_of(cases):
    """The oracle's answers to the problems of each case."""
    answers = iter(oracle.solve([problem for case in cases for problem in case.problems]))
    return [[next(answers) for _ in case.problems] for case in cases]


def failing(seed, numbers, make=make_case, doing=lambda what, number: None):
    """Yield (number, description, error) of each case that fails; it calls `doing` before each step."""
    cases = []
    for number in numbers:
        doing(MAKING, number)
        cases.append(make(seed, number))
    doing(SOLVING, 0)
    for number, case, answers in zip(numbers, cases, answers_of(cases)):
        doing(RUNNING, number)
        try:
            case.run(answers)
        except Exception as error:
            wrong = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
            yield number, case.what, wrong


def run_cases(seed, numbers, make=make_case):
    """The failures that `failing` yields, as a list."""
    return list(failing(seed, numbers, make))


MAKING, SOLVING, RUNNING = range(3)
STAGE, NUMBER, NEXT, FAILED = range(4)
"""Entries of the array that the processes share: the stage, its case, the next case, failures so far."""


def child(seed, stop, until, shared, skipped, make, still):
    """Run the cases from shared[NEXT] to stop - 1, except those skipped, until time is up; print failures."""
    faulthandler.enable()
    warnings.simplefilter("error")

    def doing(stage, number):
        shared[STAGE], shared[NUMBER] = stage, number
        if stage == RUNNING:
            shared[NEXT] = number

    told = time.time()
    limit = 2 * still if make is make_case else still  # the first cases compile
    while shared[NEXT] < stop and time.time() < until and shared[FAILED] < MOST_FAILURES:
        # If the time is up, this ends the process, whatever it is doing, and prints a traceback.
        faulthandler.dump_traceback_later(limit, exit=True)
        limit, group = still, range(shared[NEXT], min(shared[NEXT] + TOGETHER, stop))
        numbers = [number for number in group if number not in skipped]
        for number, what, wrong in failing(seed, numbers, make, doing):
            shared[FAILED] += 1
            print(f"FAILED --seed {seed} --only {number}: {wrong.strip()}\n    {what}", flush=True)
        shared[NEXT] = group.stop
        if time.time() > told + 60:
            told = time.time()
            print(f"seed {seed}: at case {group.stop}", file=sys.stderr, flush=True)
    faulthandler.cancel_dump_traceback_later()


def fuzz(seed, first, stop, minutes, make=make_case, still=STILL):
    """Run the cases first to stop - 1 in child processes; returns the next case and how many failed."""
    context = multiprocessing.get_context("spawn")
    shared, skipped = context.Array("q", [RUNNING, first, first, 0], lock=False), []
    until = time.time() + 60 * minutes
    while shared[NEXT] < stop and time.time() < until and shared[FAILED] < MOST_FAILURES:
        process = context.Process(target=child, args=(seed, stop, until, shared, skipped, make, still))
        process.start()
        process.join()
        if process.exitcode != 0:
            shared[FAILED] += 1
            stage, number, first = shared[:FAILED]
            what = "while it was made"
            if stage == SOLVING:
                what = f"while the oracle solved the {TOGETHER} cases from here on"
                number, shared[NEXT] = first, min(first + TOGETHER, stop)
            elif stage == RUNNING:
                what = make(seed, number).what
            skipped.append(number)
            print(f"FAILED --seed {seed} --only {number}: the process ended with {process.exitcode}, "
                  f"{_ending(process.exitcode, still)}\n    {what}", flush=True)
    return shared[NEXT], shared[FAILED]


def _ending(exitcode, still):
    if exitcode < 0:
        return f"signal {signal.Signals(-exitcode).name}"
    return f"because it made no progress for {still} seconds, if there is a traceback above"


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, metavar="M",
                        help="stop after M minutes (2, unless --cases is given)")
    parser.add_argument("--cases", type=int, metavar="N", help="stop after N cases")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the seed of all cases (0)")
    parser.add_argument("--first", type=int, default=0, metavar="K", help="begin with case K (0)")
    parser.add_argument("--only", type=int, metavar="K", help="run case K alone, in this process")
    options = parser.parse_args(argv)
    if options.only is not None:
        case = make_case(options.seed, options.only)
        print(case.what)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # as in a run of many
            case.run(*answers_of([case]))
        print("passed")
        return 0
    minutes = options.minutes or (float("inf") if options.cases else 2.0)
    start, first = time.time(), options.first
    stop = first + options.cases if options.cases else sys.maxsize
    after, failures = fuzz(options.seed, first, stop, minutes)
    seconds, cases = time.time() - start, after - first
    frames = [len(problem.log_probs) for k in range(first, min(after, first + 1000))
              for problem in make_case(options.seed, k).problems]
    print(f"seed {options.seed}: {cases} cases, {first} to {after - 1}, in {seconds:.0f} s, "
          f"{cases / seconds:.0f} per second; median T {statistics.median(frames or [0]):.0f}; "
          f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
