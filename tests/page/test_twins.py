"""The scripts of the page in Node against their twins in Python: 300 problems with -inf and repeats."""

import json
import subprocess

import numpy as np
import pytest

from ctc_scratch.ctc import enumeration, greedy_decode, reference
from ctc_scratch.ctc.decoding.reference_beam import prefix_beam_search
from ctc_scratch.ctc.inputs.errors import InfeasibleTargetError
from ctc_scratch.ctc.labels import count_repeats, min_frames, states_of
from ctc_scratch.ctc.paths.lattice import lattice
from ctc_scratch.page import bundle
from tests.conftest import assert_close
from tests.page.problems import draw_problem, to_json
from tests.tools.programs import find_program

PROBLEMS = [draw_problem(np.random.default_rng(seed)) for seed in range(300)]
TOLERANCE = 1e-12

REVIVE = "const revive = (x) => Array.isArray(x) ? x.map(revive) : x ?? -Infinity;"
SOLVE = """data.map(([x, labels]) => { const logits = revive(x), log_probs = ctc.log_softmax(logits);
    const [loss, grad] = ctc.loss_and_grad(logits, labels), feasible = loss < Infinity;
    return {loss: String(loss), grad,
            alpha: ctc.forward(log_probs, labels), beta: ctc.backward(log_probs, labels),
            gamma: feasible ? ctc.gamma(log_probs, labels) : [],
            occupancy: feasible ? ctc.occupancy(log_probs, labels) : []}; })"""


def in_node(module, expression, data):
    """The value of a JavaScript expression in which `ctc` and a module of the page are known, and `data`."""
    script = (f"{bundle.read('ctc.js')}\n{bundle.script(module) if module else ''}\n{REVIVE}\n"
              f"const data = JSON.parse(require('fs').readFileSync(0));\n"
              f"console.log(JSON.stringify({expression}));")
    ended = subprocess.run([find_program("node"), "-e", script], input=json.dumps(data), capture_output=True,
                           text=True, check=True)
    return json.loads(ended.stdout)


def assert_solved(problems, answers):
    """Compare what ctc.js says about problems with `reference`."""
    for (logits, labels), answer in zip(problems, answers, strict=True):
        loss, grad = reference.loss_and_grad(logits, labels)
        log_probs = reference.log_softmax(logits)
        assert_close(float(answer["loss"].replace("Infinity", "inf")), loss, TOLERANCE, "loss")
        expected = {"grad": grad, "alpha": reference.forward(log_probs, labels),
                    "beta": reference.backward(log_probs, labels)}
        if loss < np.inf:
            expected |= {"gamma": reference.gamma(log_probs, labels),
                         "occupancy": reference.occupancy(log_probs, labels)}
        for name, array in expected.items():
            shown = np.array(answer[name], float)
            shown[np.isnan(shown)] = -np.inf    # JSON has null for it
            assert_close(shown, array, TOLERANCE, f"{name} of {labels}")


def test_the_problems_hold_what_they_should():
    """Feasible and infeasible ones, for want of frames and because of -inf; repeats, and no labels at all."""
    fits = [min_frames(labels) <= len(logits) for logits, labels in PROBLEMS]
    losses = [reference.loss_and_grad(*problem)[0] for problem in PROBLEMS]
    assert sum(loss < np.inf for loss in losses) > 150 and fits.count(False) > 10
    assert sum(fit and loss == np.inf for fit, loss in zip(fits, losses)) > 10
    assert sum(count_repeats(labels) > 0 for _, labels in PROBLEMS) > 50
    assert sum(np.isinf(logits).any() for logits, _ in PROBLEMS) > 150


def test_the_recursion():
    assert_solved(PROBLEMS, in_node("", SOLVE, [[to_json(logits), labels] for logits, labels in PROBLEMS]))


@pytest.mark.slow
def test_the_recursion_in_the_browser(opened):
    data = json.dumps([[to_json(logits), labels] for logits, labels in PROBLEMS])
    assert_solved(PROBLEMS, json.loads(opened.run(
        f"(() => {{ {REVIVE} const data = {data}; return JSON.stringify({SOLVE}); }})()")))


@pytest.mark.slow
def test_the_best_paths_and_their_number():
    """The probabilities of the five best paths, and the best path itself unless it ties with another."""
    problems = [each for each in PROBLEMS if reference.loss_and_grad(*each)[0] < np.inf][:100]
    answers = in_node("math/paths.js", """data.map(([x, labels]) => {
        const log_probs = ctc.log_softmax(revive(x)), count = String(count_possible(log_probs, labels));
        return {best: best_paths(log_probs, labels, 5), count}; })""",
                      [[to_json(logits), labels] for logits, labels in problems])
    for (logits, labels), answer in zip(problems, answers, strict=True):
        result = lattice(logits, labels)
        best = result.k_best(5)
        assert int(answer["count"]) == result.num_alignments
        scores = [path["log_prob"] for path in answer["best"]]
        assert_close(scores, [path.log_prob for path in best], TOLERANCE, f"log_prob of {labels}")
        if len(scores) > 1 and scores[0] - scores[1] > 1e-9:
            assert [result.ext[s] for s in answer["best"][0]["states"]] == best[0].path.tolist()


def test_all_alignments():
    cases = [([1, 2], 4), ([1, 1], 4), ([2, 2, 1], 6), ([], 3), ([1], 1), ([1, 1], 2)]
    found = in_node("math/paths.js", "data.map(([labels, T]) => alignments(labels, T))", cases)
    for (labels, T), paths in zip(cases, found, strict=True):
        assert paths == [list(path) for path in enumeration.alignments(labels, T)]


@pytest.mark.slow
def test_samples_come_as_often_as_they_should():
    """Of 4000 samples of the toy problem, each path has its share, within five standard deviations."""
    logits = np.random.default_rng(0).standard_normal((4, 3))
    found = in_node("app/state.js", """(() => {
        const log_probs = ctc.log_softmax(data), log_beta = ctc.backward(log_probs, [1, 2]);
        const random = randoms(1), counts = {};
        for (let i = 0; i < 4000; i++) {
            const path = sample_path(log_probs, log_beta, [1, 2], random).join("");
            counts[path] = (counts[path] ?? 0) + 1; }
        return counts; })()""", logits.tolist())
    best = lattice(logits, [1, 2])
    assert sum(found.values()) == 4000 and len(found) <= best.num_alignments == 15
    for path in best.k_best(15):
        share = np.exp(path.log_prob - best.log_likelihood)
        states = "".join(map(str, states_of(path.path.tolist(), 0)))
        assert abs(found.get(states, 0) - 4000 * share) <= 5 * np.sqrt(4000 * share) + 1, states


@pytest.mark.parametrize("labels, T", [([1, 1], 2), ([1, 2, 2], 3), ([1], 0), ([3, 3, 3], 4), ([1, 2], 1)])
def test_the_words_of_the_error(labels, T):
    said = in_node("math/paths.js", "infeasible_message(data[0], data[1])", [labels, T])
    assert said == str(InfeasibleTargetError(0, min_frames(labels), T, count_repeats(labels)))


def test_the_words_of_the_error_if_logits_close_every_path():
    said = in_node("math/paths.js", "infeasible_message([1, 1], 5)", [])
    assert said == str(InfeasibleTargetError(0, 3, 5, 1))


@pytest.mark.slow
def test_the_decoders():
    problems = [logits for logits, _ in PROBLEMS[:100]]
    answers = in_node("math/decoding.js", """data.map((x) => { const log_probs = ctc.log_softmax(revive(x));
        return {greedy: greedy(log_probs).labels, best: most_probable(log_probs),
                beam: beam_search(log_probs, 3).at(-1).kept.map(({prefix, score}) => [prefix, score])}; })""",
                      [to_json(logits) for logits in problems])
    proved = 0
    for logits, answer in zip(problems, answers, strict=True):
        log_probs = reference.log_softmax(logits)
        assert answer["greedy"] == greedy_decode(logits)
        beam = prefix_beam_search(log_probs, 3)
        scores = [score for _, score in answer["beam"]]
        assert_close(scores, [score for _, score in beam], TOLERANCE, "scores")
        if len(logits) <= 5:    # few enough paths to enumerate
            all_labellings = enumeration.labelling_distribution(log_probs)
            best = max(all_labellings.values())
            assert_close(np.exp(answer["best"]["log_prob"]), best, TOLERANCE, "P of the most probable")
            assert_close(all_labellings[tuple(answer["best"]["labels"])], best, TOLERANCE, "P of its labels")
            proved += answer["best"]["proved"]
    assert proved >= 25


def test_floors_enclose_the_truth_and_rescaling_forgets_it():
    logits = np.random.default_rng(1).standard_normal((30, 4)) * 3
    labels = [1, 2, 3, 3, 1]
    truth = reference.log_likelihood(reference.log_softmax(logits), labels)
    found = in_node("math/numerics.js", """(() => { const log_probs = ctc.log_softmax(data[0]);
        const hard = hard_problem(200, 50, 20, 8);
        return {bounds: [4, 10, 20, 40].map((k) => floors(log_probs, data[1], 2 ** -k)),
                rescaled: rescaled(log_probs, data[1]).log_likelihood, hard,
                hard_rescaled: rescaled(hard.log_probs, hard.labels).log_likelihood}; })()""",
                    [logits.tolist(), labels])
    gaps = []
    for lower, upper in found["bounds"]:
        assert (lower is None or lower <= truth + 1e-12) and truth - 1e-12 <= upper
        gaps.append(np.inf if lower is None else upper - lower)
    assert gaps == sorted(gaps, reverse=True) and gaps[-1] < 1e-6
    assert_close(found["rescaled"], truth, TOLERANCE, "rescaled, where nothing is lost")
    hard = found["hard"]
    hard_truth = reference.log_likelihood(np.array(hard["log_probs"]), hard["labels"])
    assert found["hard_rescaled"] < hard_truth - 100


def test_float32_drifts_and_float64_does_not():
    log_probs = reference.log_softmax(np.random.default_rng(2).standard_normal((200, 5)))
    labels = [1, 2, 3, 3, 1, 2]
    single, double = in_node("math/numerics.js", """[Math.fround, (x) => x].map((round) =>
        log_space_sums(data[0], data[1], round))""", [log_probs.tolist(), labels])
    truth = reference.log_likelihood(log_probs, labels)
    assert_close(double, np.full(200, truth), 1e-11, "sums in float64")
    assert 1e-6 < np.abs(np.array(single) - truth).max() < 1e-1
