"""Every benchmark runs, at sizes too small to measure anything, and prints a Markdown table."""

import json
import os
import sys
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks import (  # noqa: E402
    accuracy,
    ctc_loss,
    decoders,
    fallback,
    lstm,
    objectives,
    reading,
    scaling,
    training,
    years,
)
from benchmarks.in_training import __main__ as in_training  # noqa: E402
from benchmarks.in_training import linear_ctc_loss  # noqa: E402
from benchmarks.pictures import places  # noqa: E402
from benchmarks.pictures.photographs import STRENGTHS  # noqa: E402
from benchmarks.tools import checkout, harness, import_time, peak_memory  # noqa: E402
from ctc_scratch import get_num_threads, set_num_threads  # noqa: E402
from ctc_scratch.digits.data.mnist_files import load_mnist  # noqa: E402
from ctc_scratch.digits.data.touching import ink_edges  # noqa: E402
from ctc_scratch.digits.model.model_file import find_model, load_model, save_model  # noqa: E402
from ctc_scratch.digits.model.reader import RowReader  # noqa: E402
from ctc_scratch.digits.training.settings import Settings  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """run(module, *options) returns what the module's main prints; results go to a temporary folder."""
    threads, torch_threads = get_num_threads(), torch.get_num_threads()
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    monkeypatch.setenv("XLA_FLAGS", "")  # so that what a benchmark sets is undone after the test

    def call(module, *options):
        monkeypatch.setattr(sys, "argv", [module.__name__, *options])
        module.main()
        return capsys.readouterr().out

    yield call
    set_num_threads(threads)
    torch.set_num_threads(torch_threads)


def tables(text):
    """The Markdown tables of a text, each as a list of rows of cells, without the line of dashes."""
    found, inside = [], False
    for line in text.splitlines():
        if line.startswith("|"):
            if not inside:
                found.append([])
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        inside = line.startswith("|")
    for table in found:
        assert set("".join(table.pop(1))) == {"-"}
        assert len({len(row) for row in table}) == 1, "a ragged table"
    return found


def results(tmp_path, name):
    return json.loads((tmp_path / f"{name}.json").read_text())["results"]


def test_ctc_loss(run, tmp_path):
    table, against, single = tables(run(ctc_loss, "--quick", "--threads", "1", "--seconds", "0",
                                        "--restarts", "1", "--slow", "--against", str(checkout.HERE)))
    contenders = [row[2] for row in table[1:]]
    assert {"reused", "fresh", "torch", "log space", "reference"} <= set(contenders)
    assert len(results(tmp_path, "ctc_loss")) == len(contenders)
    assert [row[0] for row in against[1:]] == ["12, 4, 5, 3"] and against[1][-1] == "0.0e+00"
    assert [row[:3] for row in single[1:]] == [[name, "40, 4", "certified"] for name in ("normal", "peaky")]
    assert {"torch / ours", "ours / before", "exact / ours", "log / ours"} <= set(single[0])
    for row in results(tmp_path, "ctc_loss_single"):
        assert row["exact"] == dict(ours=False, before=False, exact=True, log=False)
        assert row["errors"]["ours"] < 1e-6


def test_a_checkout_is_solved_by_its_own_code(tmp_path):
    """A copy of the package in which every loss is 7 answers 7; a process that has died is reported."""
    package = tmp_path / "ctc_scratch"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from types import SimpleNamespace\n"
        "Workspace, set_num_threads = object, print\n"
        "def ctc_loss(logits, targets, **options):\n"
        "    return SimpleNamespace(loss=7.0, grad=logits, bound=0.0, exact=targets.any())\n")
    with checkout.Checkout(tmp_path) as other:
        assert other.solve(np.zeros((3, 2)), np.array([1])).loss == 7
        assert 0 < other.turn() < 1
        other.process.kill()
        with pytest.raises(RuntimeError, match=f"^the process of {tmp_path} has died"):
            other.turn()


def test_a_folder_without_the_package_is_no_checkout(run, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(ctc_loss, "--against", str(tmp_path))
    assert f"--against: {tmp_path} holds no ctc_scratch" in capsys.readouterr().err


def test_ctc_loss_reports_the_gain_of_more_threads(run, tmp_path):
    printed = run(ctc_loss, "--quick", "--tables", "batches", "--threads", "2", "--seconds", "0")
    assert "12, 4, 5, 3: 2 threads are " in printed
    one, more = results(tmp_path, "ctc_loss")[-2:]
    assert (one["threads"], more["threads"]) == (1, 2) and len(one["seconds"]) == len(more["seconds"]) == 5
    assert 0 <= one["stolen"] <= 1


def test_fallback(run, tmp_path):
    by_family, fuzz = tables(run(fallback, "--quick"))
    assert [row[:4] for row in by_family[1:]] == [
        [family, "40, 4", dtype, "certified"]
        for dtype in ("float32", "float64") for family in ("normal", "peaky")]
    total = results(tmp_path, "fallback_fuzz")[-1]
    assert fuzz[-1][:4] == ["all", "128", f"{100 * total['certified'] / 128:.2f} %", "0"]
    assert total["certified"] > 100 and total["grad"] < 1e-12
    assert sum(row["problems"] for row in results(tmp_path, "fallback_fuzz")[:-1]) == 128


@pytest.mark.parametrize("error", [1e-9, np.nan])
def test_fallback_finds_a_certified_answer_that_is_wrong(run, monkeypatch, error):
    def wrong(logits, targets, *rest, method="auto"):
        result = true(logits, targets, *rest, method=method)
        if method == "auto":
            result.grad[0, 0, 1] += error
        return result

    true = fallback.ctc_loss
    monkeypatch.setattr(fallback, "ctc_loss", wrong)
    with pytest.raises(SystemExit, match="^wrong answers: 1$"):
        run(fallback, "--tables", "fuzz", "--problems", "5")


def test_problems_of_the_fuzz_are_as_described():
    batches = [*fallback.batches(640, seed=3), *fallback.batches(640, seed=4)]
    assert len(batches) == 20 and all(batch.logits.shape[1] == 64 for batch in batches)
    T = np.concatenate([batch.lengths for batch in batches])
    U = np.array([len(target) for batch in batches for target in batch.targets])
    assert 1 <= T.min() < 5 and 495 < T.max() <= 500 and np.all(2 * U <= T)
    assert 0.22 < np.mean(U / T) < 0.28
    for batch in batches:
        assert batch.logits[:, 1].std() == pytest.approx(batch.scales[1], rel=0.2)
        assert min(target.min(initial=1) for target in batch.targets) == 1
        assert max(target.max(initial=1) for target in batch.targets) < batch.logits.shape[2]
    repeated = [np.mean([np.mean(np.diff(target) == 0) for batch in batches if batch.logits.shape[2] > 10
                         for target in batch.targets[first::3] if len(target) > 1]) for first in range(3)]
    assert repeated[0] > 0.45 and max(repeated[1:]) < 0.1


def test_decoders(run, monkeypatch, tmp_path):
    monkeypatch.setattr(decoders, "SHAPES", [(30, 5, 4)])
    table, = tables(run(decoders, "--seconds", "0", "--sequences", "3"))
    assert {row[1] for row in table[1:]} == {"flat", "peaky"}
    bound = {row[1]: float(row[6]) for row in table[1:] if row[2] == "no labelling exceeds"}
    for _, kind, name, _, _, _, log_prob in table[1:]:
        assert float(log_prob) <= bound[kind] + 1e-4, f"{name}: {log_prob}"
    by_name = {(row[1], row[2]): row for row in table[1:]}
    assert by_name["flat", "ours, in full"][5] == "100%"
    if ("flat", "fast-ctc-decode") in by_name:
        assert by_name["flat", "fast-ctc-decode"][5] == "100%"
    for result in results(tmp_path, "decoders"):
        assert result["log_prob"] <= result["bound"] + 1e-9


def test_years(run, tmp_path):
    save_model(tmp_path / "model.npz", RowReader(hidden=4, window=14, rng=np.random.default_rng(0)))
    table, = tables(run(years, str(tmp_path), "--rows", "20"))
    assert [row[0] for row in table[1:]] == [
        "greedy", "beam", "map", "beam, 1-gram", "beam, 2-gram", "beam, 3-gram", "beam, 5-gram"]
    assert [result["decoder"] for result in results(tmp_path, "years")] == [row[0] for row in table[1:]]


def test_reading(run, tmp_path):
    save_model(tmp_path / "model.npz", RowReader(hidden=4, window=14, rng=np.random.default_rng(0)))
    table, = tables(run(reading, str(tmp_path), "--rows", "2", "--conditions", "plain,colours,lines"))
    cases = [["plain", "mild"], *([name, how] for name in ("colours", "lines") for how in STRENGTHS)]
    assert [row[:2] for row in table[1:]] == [*cases, *(["all", how] for how in (*STRENGTHS, "all"))]
    found = results(tmp_path, "reading")["conditions"]
    for row, (*case, values) in zip(table[1:], found):
        assert row[:5] == [*case, str(values["rows"]), f"{values['right']:.1%}",
                           f"{values['label error rate']:.1%}"]
    rows = [values["rows"] for *_, values in found]
    assert rows[:5] == [2, 2, 2, 2, 2] and rows[-1] == sum(rows[:len(cases)])


def test_reading_refuses_an_unknown_condition(run, capsys):
    with pytest.raises(SystemExit):
        run(reading, "--conditions", "blur,fog")
    assert "'fog' is none of the conditions plain, " in capsys.readouterr().err


def test_reading_refuses_more_rows_than_there_are(run, capsys):
    with pytest.raises(SystemExit):
        run(reading, "--rows", "2001")
    assert "--rows must be 1 to 2000, not 2001" in capsys.readouterr().err


def test_places(run):
    table, = tables(run(places, "--digits", "10"))
    assert [row[0] for row in table[1:]] == list(places.CONDITIONS)
    assert table[1][1:3] == ["10", "100.0%"] and float(table[1][3]) > 0.95


def test_places_are_compared_with_the_ink_of_their_own_digits(monkeypatch):
    """Half a place has its centre on the ink, and half of the extent; one beside the digit has neither."""
    mnist = load_mnist()
    model, edges = load_model(find_model()), ink_edges(mnist.test_images[:5] / np.float32(255)).T
    edges = edges + 28 * np.arange(5)[:, None]
    for found, inside, common in [(edges, True, 1), ((edges + edges[:, :1]) / 2, True, 0.5),
                                  (edges + 28, False, 0)]:
        monkeypatch.setattr(places, "find_places", lambda *row: found)
        actual = places.compare(model, mnist.test_images[:5], mnist.test_labels[:5], None)
        assert actual[0].tolist() == [inside] * 5
        np.testing.assert_allclose(actual[1], common, atol=1e-12)


def test_rows_of_years_consist_of_their_digits():
    mnist = load_mnist()
    images, drawn = years.draw_rows(mnist, 3, np.random.default_rng(0))
    for image, year in zip(images, drawn):
        for digit, block in zip(map(int, str(year)), np.split(image, 4, axis=1)):
            same = (mnist.test_images == np.rint(255 * block)).all(axis=(1, 2))
            assert same.any() and set(mnist.test_labels[same]) == {digit}


def test_lstm(run, monkeypatch, tmp_path):
    monkeypatch.setattr(lstm, "SHAPES", [(4, 2, 3, 5)])
    table, = tables(run(lstm, "--repeats", "1"))
    assert [row[1] for row in table[1:]] == ["ctc_scratch", "torch"]
    assert len(results(tmp_path, "lstm")) == 2


def test_training(run, monkeypatch, tmp_path):
    monkeypatch.setattr(training, "Settings", lambda: Settings(hidden=8, layers=2, batch=8))
    monkeypatch.setattr(training, "training_split", few_digits)
    speeds, curve = tables(run(training, "--threads", "1", "--rounds", "1", "--seconds", "1",
                               "--figure", str(tmp_path / "training.png")))
    assert [row[:2] for row in speeds[1:]] == [["1", "ctc_scratch"], ["1", "torch"]]
    assert curve[0] == ["seconds", "ctc_scratch", "torch"] and len(curve) > 2
    assert (tmp_path / "training.png").stat().st_size > 10_000
    assert results(tmp_path, "training")["errors"]["gradient"] < 1e-4


def few_digits(mnist):
    """A training split of 100 digits and a validation split of 60."""
    images, labels = mnist.train_images, mnist.train_labels
    return (images[:100], labels[:100]), (images[-60:], labels[-60:])


def test_training_compares_whole_steps():
    """After three steps both contenders have the same weights; with another clip they differ."""
    settings = Settings(hidden=8, layers=2, batch=8, clip=0.5)
    part, _ = few_digits(load_mnist())
    model = RowReader(8, 2, True, settings.window, rng=np.random.default_rng(0))
    weights = []
    for contender in (training.Ours(model, settings), training.Torch(model, settings),
                      training.Torch(model, replace(settings, clip=5.0))):
        draw = training.sampler(part, settings)
        for rate in (1e-3, 2e-3, 1e-3):
            contender.step(contender.prepare(draw.batch(settings.batch)), rate)
        weights.append(contender.reader().params)
    ours, same, other = weights
    apart = [max(float(np.abs(ours[name] - found[name]).max()) for name in ours) for found in (same, other)]
    assert apart[0] < 5e-5 < 5e-4 < apart[1], f"apart by {apart}"


def test_import_time(run, monkeypatch, tmp_path):
    monkeypatch.setattr(import_time, "STATEMENTS", dict.fromkeys(import_time.STATEMENTS, "pass"))
    table, = tables(run(import_time, "--seconds", "0"))
    assert [row[0] for row in table[1:]] == ["nothing", "numba", "ctc_scratch"]
    assert "import_time.json" in [path.name for path in tmp_path.iterdir()]


def test_objectives(run):
    table, = tables(run(objectives, "--quick", "--seconds", "0"))
    assert {row[1] for row in table[1:]} >= {"exact", "log_partition_hvp", "entropy", "star"}
    assert all(float(row[3]) > 0 for row in table[1:])


@pytest.mark.slow
def test_in_training(run, tmp_path):
    steps, bridge, curves = tables(run(in_training, "--quick", "--models", "linear,conv", "--threads", "1",
                                       "--rounds", "2"))
    assert [row[1] for row in steps[1:]] == ["linear probe", "3 convolutions"]
    assert all(float(row[-1]) > 0 for row in steps[1:])
    assert [row[0] for row in bridge[1:]] == ["12, 4, 5, 3"]
    assert all(float(share.removesuffix(" %")) > 0 for share in bridge[1][3:])
    assert [row[0] for row in curves[1:]] == ["float64", "float32"]
    assert float(curves[1][3]) < 1e-9 and float(curves[2][3]) < 1e-4
    assert set(results(tmp_path, "in_training")) == {"steps", "bridge", "curve"}


@pytest.mark.slow
def test_linear_ctc_loss(run, tmp_path):
    accurate, timed, peaks = tables(run(linear_ctc_loss, "--quick", "--threads", "1", "--rounds", "1",
                                        "--seconds", "0"))
    assert [row[2] for row in accurate[1:]] == 2 * linear_ctc_loss.CONTENDERS
    assert [row[2] for row in timed[1:]] == [row[2] for row in peaks[1:]] == linear_ctc_loss.CONTENDERS
    assert len(results(tmp_path, "linear_ctc_loss")[0]["seconds"]) == 1


def test_accuracy(run, tmp_path):
    by_length, by_scale, published = tables(run(accuracy, "--quick", "--figure", str(tmp_path / "a.png")))
    for table in by_length, by_scale, published:
        assert {row[0] for row in table} >= set(accuracy.CONTENDERS)
    assert (tmp_path / "a.png").stat().st_size > 10_000
    for sweep in ("lengths", "scales"):
        for point in results(tmp_path, "accuracy")[sweep].values():
            for name in "ours, float64", "ours, exact kernel", "ours, log space", "ours, float32":
                assert point[name]["fails"] == 0, f"{name}: {point[name]}"
                limit = 1e-5 if name.endswith("32") else 1e-12
                assert point[name]["grad"] < limit, f"{name}: {point[name]}"


def test_accuracy_reports_the_contender_that_fails():
    """Rescaling fails on large logits; on small ones it and float32 are as accurate as expected."""
    rng = np.random.default_rng(0)
    easy, hard = (accuracy.compare([accuracy.draw(rng, 40, 5, scale)]) for scale in (1, 300))
    assert hard["rescaling, float64"]["fails"] == 1 and hard["ours, float64"]["fails"] == 0
    assert hard["ours, float64"]["exact"] == 1 and easy["ours, float64"]["exact"] == 0
    assert easy["rescaling, float64"]["grad"] < 1e-14
    assert 1e-8 < easy["log space in float32"]["grad"] < 1e-4
    assert accuracy.cell(hard["rescaling, float64"]).startswith("fails")


def test_scaling(run, monkeypatch, tmp_path):
    monkeypatch.setattr(scaling, "peak_of", lambda shape, method, dtype: 1.0)  # starts a process; see below
    sweep, long, by_family = tables(run(scaling, "--quick", "--seconds", "0", "--figures", str(tmp_path)))
    assert [row[0] for row in sweep] == ["T", "20", "40", "exponent"]
    assert [row[0] for row in long[1:3]] == ["auto, float32", "auto, float64"]
    assert (tmp_path / "scaling_T.png").stat().st_size > 10_000
    assert results(tmp_path, "scaling")["sweeps"] == scaling.QUICK_SWEEPS
    assert [row[:3] for row in by_family[1:]] == [[family, size, "certified"] for family in
                                                  ("normal", "wide", "peaky") for size in ("40, 4", "80, 8")]
    assert (tmp_path / "scaling_families.png").stat().st_size > 10_000
    assert results(tmp_path, "scaling_families")["lengths"] == [40, 80]


def test_scaling_marks_the_families_that_fell_back(run, monkeypatch, tmp_path):
    """The figure is drawn with a family that needs the exact kernel, and the table names it."""
    def by_exact(logits, target, method="auto", **options):
        result = true(logits, target, method=method, **options)
        return replace(result, exact=np.bool_(logits.std() > 10)) if method == "auto" else result

    true = scaling.ctc_loss
    monkeypatch.setattr(scaling, "ctc_loss", by_exact)
    printed = run(scaling, "--quick", "--seconds", "0", "--tables", "families",
                  "--families", "uniform,very_wide")
    table, = tables(printed)
    assert [row[2] for row in table[1:]] == ["certified"] * 2 + ["exact"] * 2
    assert "T = 40: 1 of 11 families fell back (very_wide)" in printed


def test_the_exponent_of_scaling_is_that_of_the_upper_half():
    sizes = [1, 2, 4, 8, 16, 32]
    assert scaling.exponent(sizes, [7, 7, 7, 8**2, 16**2, 32**2]) == "2.00"


@pytest.mark.parametrize("sizes, values, least", [
    ([1, 2], [1, 2], 0.0), ([1, 2, 4, 8, 16, 32], [1, 1, 1, 1, 9, 2], 0.0), ([1, 2, 4], [0.1, 0.1, 0.3], 0.1),
], ids=["two points", "far off a line", "too little to measure"])
def test_no_slope_is_fitted_to_noise(sizes, values, least):
    assert scaling.exponent(sizes, values, least) == "-"


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="asks Linux for the peak")
def test_peak_memory_sees_what_compiled_code_allocates():
    """The log kernel keeps alpha and beta (T, S) and log_probs (T, C) in float64."""
    shape = dict(T=2000, N=1, C=8, U=200)
    expected = 8e-6 * 2000 * (2 * 401 + 8)
    seen = peak_memory.peak_of(shape, "log", "float32")
    assert abs(seen - expected) < 1, f"{seen} MB, expected {expected}"
