"""Threads, processes and read-only arrays give the same bits; kernels run even where they cannot be kept.

Equal bits are demanded only of the same code on the same machine.
"""

import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import ctc_scratch
from ctc_scratch import (
    Workspace,
    align,
    ctc_loss,
    ctc_loss_hvp,
    diagnose,
    entropy_ctc_loss,
    get_num_threads,
    greedy_decode,
    lattice,
    log_partition,
    map_decode,
    prefix_beam_search,
    set_num_threads,
)

pytestmark = pytest.mark.slow  # when run as plain Python


@pytest.fixture(autouse=True)
def two_threads():
    before = get_num_threads()
    set_num_threads(2)
    yield
    set_num_threads(before)


def make_arrays(dtype=np.float32):
    """Logits (T, N, C), targets (N, U), both lengths: a batch that is worth a second thread."""
    rng = np.random.default_rng(3)
    T, N, C, U = 200, 64, 12, 20
    targets = rng.integers(1, C, size=(N, U))
    return (3 * rng.standard_normal((T, N, C))).astype(dtype), targets, rng.integers(2 * U, T + 1, N), (
        rng.integers(0, U + 1, N))


SHARED = Workspace()
FUNCTIONS = {
    "ctc_loss": lambda x, y, T, U: ctc_loss(x, y, T, U),
    "ctc_loss workspace": lambda x, y, T, U: ctc_loss(x, y, T, U, workspace=SHARED),
    "ctc_loss exact": lambda x, y, T, U: ctc_loss(x, y, T, U, method="exact"),
    "ctc_loss log": lambda x, y, T, U: ctc_loss(x, y, T, U, method="log"),
    "ctc_loss NTC": lambda x, y, T, U: ctc_loss(x.transpose(1, 0, 2), y, T, U, layout="NTC"),
    "log_partition": lambda x, y, T, U: log_partition(x, y, T, U, workspace=SHARED),
    "log_partition exact": lambda x, y, T, U: log_partition(x, y, T, U, method="exact"),
    "occupancy": lambda x, y, T, U: log_partition(x, y, T, U, want="occupancy"),
    "align": lambda x, y, T, U: align(x[:, 1], y[1]),
    "entropy_ctc_loss": lambda x, y, T, U: entropy_ctc_loss(x[:, :9], y[:9], T[:9], U[:9], weight=0.5),
    "ctc_loss_hvp": lambda x, y, T, U: ctc_loss_hvp(x[:, :9], y[:9], x[::-1, :9], T[:9], U[:9]),
    "lattice": lambda x, y, T, U: [lattice(x[:, 2], y[2]).gamma, lattice(x[:, 2], y[2]).entropy],
    "greedy_decode": lambda x, y, T, U: greedy_decode(x, T),
    "prefix_beam_search": lambda x, y, T, U: [(h.labels, h.log_prob) for beam in prefix_beam_search(
        x, T, beam_width=5, top=2) for h in beam],
    "map_decode": lambda x, y, T, U: map_decode(x[:, :2], T[:2], budget=50),
    "diagnose": lambda x, y, T, U: str(diagnose(x, y, T, U)),
}


def bits(value):
    """A result in a form that is equal only if every bit of it is."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, (list, tuple)):
        return [bits(part) for part in value]
    if hasattr(value, "__dict__"):
        return [(name, bits(part)) for name, part in vars(value).items()]
    return repr(value)


# ---- threads and read-only arrays ---------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
def test_concurrent_threads_get_the_bits_of_a_single_one(name):
    function, arrays = FUNCTIONS[name], make_arrays()
    expected, found, together = bits(function(*arrays)), [], threading.Barrier(4)

    def call():
        together.wait()
        found.extend(bits(function(*arrays)) for _ in range(3))

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 12 and all(one == expected for one in found)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_read_only_arrays_give_the_same_bits(name, tmp_path):
    function, arrays = FUNCTIONS[name], make_arrays()
    expected, copies = bits(function(*arrays)), [array.tobytes() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    assert bits(function(*arrays)) == expected
    np.save(tmp_path / "x.npy", arrays[0])
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert bits(function(mapped, *arrays[1:])) == expected
    assert copies == [array.tobytes() for array in arrays], "inputs are as they were"


# ---- processes ----------------------------------------------------------------------------


def loss_bits(queue=None):
    """The bits of a loss and its gradient; a child process also puts them into the queue of its parent."""
    result = ctc_loss(*make_arrays())
    found = result.loss.tobytes(), result.grad.tobytes()
    if queue:
        queue.put((found, threads_of_the_driver()))
    return found


def threads_of_the_driver():
    return sum(thread.name.startswith("ctc_scratch") for thread in threading.enumerate())


def child(method):
    """The bits that a child process computes, and how many helper threads it has."""
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=loss_bits, args=(queue,))
    process.start()
    found = queue.get(timeout=300)
    process.join(timeout=60)
    assert process.exitcode == 0
    return found


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_process_gets_the_bits_of_its_parent(method):
    assert child(method) == (loss_bits(), get_num_threads() - 1)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_in_the_middle_of_work_is_safe():
    """Other threads may hold the lock of the driver, or its queue, while the child is made."""
    expected, stop = loss_bits(), threading.Event()

    def work():
        while not stop.is_set():
            assert loss_bits() == expected

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    try:
        assert [child("fork")[0] for _ in range(8)] == 8 * [expected]
    finally:
        stop.set()
        for worker in workers:
            worker.join()


# ---- where kernels are kept ---------------------------------------------------------------

LOSS = """
import threading
import numpy as np
import ctc_scratch

x, found = np.random.default_rng(0).standard_normal((30, 4, 5)).astype("f4"), []


def call():
    found.append(ctc_scratch.ctc_loss(x, [[1, 2]] * 4, method="log").loss)


callers = [threading.Thread(target=call) for _ in range(3)]
for caller in callers:
    caller.start()
for caller in callers:
    caller.join()
print(*(loss.tobytes().hex() for loss in found))
"""


def start(**environment):
    # NUMBA_CACHE_DIR may name the folder of the test suite, which a child must not use.
    inherited = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    return subprocess.Popen([sys.executable, "-W", "always", "-c", LOSS], stdout=subprocess.PIPE, text=True,
                            stderr=subprocess.PIPE, env=inherited | environment, cwd="/")


def losses(process):
    """The loss that all three threads of a process have found, and what it wrote to stderr."""
    out, err = process.communicate()
    assert process.returncode == 0, err
    found = out.split()
    assert len(found) == 3 and len(set(found)) == 1
    return found[0], err


@pytest.fixture(scope="module")
def expected():
    x = np.random.default_rng(0).standard_normal((30, 4, 5)).astype(np.float32)
    return ctc_loss(x, [[1, 2]] * 4, method="log").loss.tobytes().hex()


def test_processes_that_compile_at_once_share_a_cache(tmp_path, expected):
    """Three threads of three processes begin with an empty folder; a fourth process finds it filled."""
    cache = dict(NUMBA_CACHE_DIR=str(tmp_path))
    together = [start(**cache) for _ in range(3)]
    assert [losses(process) for process in together] == 3 * [(expected, "")]
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")}
    assert len(kept) > 5
    assert losses(start(**cache)) == (expected, "")
    assert kept == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")}, "none is made again"


@pytest.fixture
def nowhere(tmp_path):
    """The environment of a user without a home, and of a package whose folders cannot hold kernels."""
    package = Path(ctc_scratch.__file__).parent
    copy = tmp_path / "ctc_scratch"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__", "mnist"))
    for folder in [copy, *filter(Path.is_dir, list(copy.rglob("*")))]:
        (folder / "__pycache__").write_text("a file, where a folder would have to be")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    return dict(PYTHONPATH=str(tmp_path), XDG_CACHE_HOME=os.devnull, HOME=os.devnull, TMPDIR=str(temporary))


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems keep a cache elsewhere")


@on_linux
def test_without_a_folder_for_kernels_a_process_compiles_its_own(nowhere, expected):
    found, said = losses(start(**nowhere))
    assert found == expected and said.count("RuntimeWarning: compiled kernels cannot be kept") == 1
    assert not os.listdir(nowhere["TMPDIR"]), "and it leaves no file behind"


@on_linux
def test_a_folder_that_is_named_is_used(nowhere, expected, tmp_path):
    assert losses(start(**nowhere, NUMBA_CACHE_DIR=str(tmp_path / "kernels"))) == (expected, "")
    assert list((tmp_path / "kernels").rglob("*.nbc"))
    assert losses(start(NUMBA_CACHE_DIR=os.devnull)) == (expected, ""), "it uses the folder beside the source"
