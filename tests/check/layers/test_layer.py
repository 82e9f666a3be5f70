"""`check_layer`: right layers have no fault, and each wrong twin of a known layer is named."""

import json
from pathlib import Path

import numpy as np
import pytest

import ctc_scratch
from ctc_scratch.check.answers import PRECISIONS
from ctc_scratch.check.layers import check_layer, plain_layers
from ctc_scratch.check.layers.answers import agree
from ctc_scratch.check.layers.layer import _problems
from ctc_scratch.check.layers.layer_laws import LAWS, Layer
from ctc_scratch.check.layers.layer_problems import Functions
from ctc_scratch.check.layers.layer_twins import LAYER_TWINS
from ctc_scratch.nn import BiLSTM, Linear, Stack

ROOT = Path(ctc_scratch.__file__).parents[1]
TWINS = [(kind, twin) for kind, twins in LAYER_TWINS.items() for twin in twins]


def plain(kind):
    return getattr(plain_layers, kind), getattr(plain_layers, f"{kind}_back")


def assert_right(report):
    assert report.ok and report.findings == (), report
    assert "No fault was found." in str(report) and max(map(len, str(report).splitlines())) <= 80


# ---- right layers


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", LAYER_TWINS)
def test_the_plain_layers_are_right(kind, precision):
    assert_right(check_layer(*plain(kind), kind=kind, precision=precision))
    assert_right(check_layer(*plain(kind), kind=kind, precision=precision, x=(3, 4)))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_ours_are_right(dtype, rng):
    precision = np.dtype(dtype).name
    assert_right(check_layer(Linear(4, 3, rng, dtype), kind="linear", precision=precision))
    stack = Stack([BiLSTM(2, 2, rng, dtype), Linear(4, 3, rng, dtype)])
    assert_right(check_layer(stack, x=(2, 2, 2), precision=precision))


def test_torch_is_right():
    torch = pytest.importorskip("torch")

    def backward(dy, x, weight, bias):
        leaves = [array.requires_grad_() for array in (x, weight, bias)]
        torch.nn.functional.linear(*leaves).backward(dy)
        return dict(zip(("x", "weight", "bias"), (leaf.grad for leaf in leaves)))

    for precision in PRECISIONS:
        assert_right(check_layer(torch.nn.functional.linear, backward, kind="linear", tensor=torch.from_numpy,
                                 precision=precision))


# ---- wrong twins


def same_answers(kind, first, second):
    """Whether two pairs of functions give the same answers to problems with another seed than the check's."""
    layers = [Layer(Functions(*pair), kind, -2, PRECISIONS["float64"]) for pair in (first, second)]
    problems = _problems(layers[0], np.random.default_rng(987), (3, 2, 4), None)
    return all(agree(*(layer.call(problem) for layer in layers), PRECISIONS["float64"])
               for problem in problems)


def pairs(kind, twin):
    return list(zip(twin.functions(kind), twin.functions(f"{kind}_back")))


@pytest.mark.parametrize("kind, twin", TWINS, ids=lambda value: getattr(value, "name", value))
@pytest.mark.filterwarnings("ignore")
def test_every_twin_is_named(kind, twin):
    """Twins that are named with it give the same answers."""
    for pair in pairs(kind, twin):
        assert not same_answers(kind, pair, plain(kind))
        report = check_layer(*pair, kind=kind)
        assert twin in report.twins and not report.ok, report
        assert max(map(len, str(report).splitlines())) <= 80
        for other in report.twins:
            assert other.coarse or other is twin or any(
                same_answers(kind, pair, each) for each in pairs(kind, other)), (twin.name, other.name)


def test_the_twins_are_many_and_explained():
    assert len(TWINS) >= 30
    for kind, twins in LAYER_TWINS.items():
        assert len({twin.name for twin in twins}) == len(twins)
    for _, twin in TWINS:
        assert twin.why and not twin.why.endswith("."), twin.name
        path, _, rest = twin.place.partition(":")
        line = (ROOT / path).read_text(encoding="utf-8").splitlines()[int(rest.partition(" ")[0]) - 1]
        assert twin.variants[0][0][0].splitlines()[0] in line, twin.name


# ---- laws of every layer


def softmax(x):
    shifted = np.exp(x - x.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def softmax_back(dy, x):
    y = softmax(x)
    return {"x": y * (dy - (y * dy).sum(axis=-1, keepdims=True))}


def scale(x, gain):
    return x * gain


def scale_back(dy, x, gain):
    return {"x": dy * gain, "gain": (dy * x).sum(axis=(0, 1))}


def test_a_layer_of_no_known_kind_is_right():
    assert_right(check_layer(softmax, softmax_back))
    report = check_layer(scale, scale_back, params={"gain": (4,)})
    assert_right(report)
    assert "They cannot show whether y is what you intend" in str(report).replace("\n", " ")
    assert_right(check_layer(scale, scale_back, params={"gain": np.array([1.0, 0, -2, 3])}))


def test_a_wrong_output_with_its_own_gradient_passes_unless_its_kind_is_named():
    wrong = pairs("linear", LAYER_TWINS["linear"][0])[-1]       # no bias
    params = {"weight": (3, 4), "bias": (3,)}
    assert_right(check_layer(*wrong, params=params))
    assert not check_layer(*wrong, params=params, kind="linear").ok


@pytest.mark.parametrize("law, says, wrong", [
    ("finite differences", "all of it is -1 times the slope: the sign is wrong",
     lambda dy, x, gain: {**scale_back(dy, x, gain), "gain": -scale_back(dy, x, gain)["gain"]}),
    ("finite differences", "averaged over the samples",
     lambda dy, x, gain: {**scale_back(dy, x, gain), "gain": scale_back(dy, x, gain)["gain"] / x.shape[1]}),
    ("finite differences", "the gradient is 0", lambda dy, x, gain: {"x": dy * gain, "gain": 0 * gain}),
    ("backward is linear in dy", "for dy = 2 a - 3 b",
     lambda dy, x, gain: {"x": dy * gain, "gain": scale_back(dy, x, gain)["gain"] + 0.1 * gain}),
    ("a batch is the sum of its samples", "for its samples",
     lambda dy, x, gain: {"x": dy * gain, "gain": scale_back(dy, x, gain)["gain"] / x.shape[1]}),
    ("same call, same answer", "the call fails: ValueError: backward returned ['gian'], expected a dict with "
                               "some of",
     lambda dy, x, gain: {"gian": gain}),
    ("same call, same answer", "the gradient of gain has shape (3, 2, 4), expected (4,)",
     lambda dy, x, gain: {"gain": dy * x}),
], ids=lambda value: value if isinstance(value, str) else "")
def test_each_law_sees_its_fault(law, says, wrong):
    report = check_layer(scale, wrong, params={"gain": (4,)})
    assert any(fault.law == law for fault in report.faults), report
    texts = " ".join([*(fault.text for fault in report.faults), *(finding.text
                                                                  for finding in report.findings)])
    assert says in texts, report


def test_a_batch_norm_is_right_if_it_does_not_promise_the_law_of_batches():
    def forward(x):
        return x - x.mean(axis=1, keepdims=True)

    def backward(dy, x):
        return {"x": dy - dy.mean(axis=1, keepdims=True)}

    assert [fault.law for fault in check_layer(forward, backward).faults] == ["a batch is the sum of its "
                                                                              "samples"]
    report = check_layer(forward, backward, skip=("a batch is the sum of its samples",))
    assert_right(report)
    assert "Not checked: the row 'a batch is the sum of its samples'." in report.notes


def test_gradients_that_accumulate_over_calls_are_named():
    sums = {}

    def backward(dy, x, gain):
        found = scale_back(dy, x, gain)
        sums["gain"] = found["gain"] = sums.get("gain", 0) + found["gain"]
        return found

    report = check_layer(scale, backward, params={"gain": (4,)})
    assert [twin.name for twin in report.twins] == ["gradients accumulate over calls"]
    assert len(report.rows) == 1 and "Nothing else was tested" in report.findings[0].text


def test_a_function_that_writes_into_its_arguments_is_reported():
    def backward(dy, x):
        dy *= x > 0
        return {"x": dy.copy()}

    report = check_layer(plain_layers.relu, backward, kind="relu")
    assert [fault.text for fault in report.faults] == ["the functions write into dy"]


def test_a_report_shows_a_small_problem():
    report = check_layer(*pairs("linear", LAYER_TWINS["linear"][0])[0], kind="linear")
    finding = report.findings[0]
    assert finding.problem.size[:2] == (1, 4)       # x, weight, bias and dy of one number each
    assert all(line in str(report) for line in finding.example) and finding.text in str(report)
    assert json.loads(json.dumps(report.as_dict()))["findings"][0]["probably"][0]["mistake"] == "bias missing"


def test_an_example_stays_one_of_the_same_fault():
    """Arguments keep their order while the problem is made smaller, and no error is taken for the fault."""

    def linear(x, w, b):
        assert w.ndim == 2 and b.ndim == 1 and len(b) == len(w)
        return x @ w.T + b

    def backward(dy, x, w, b):
        return {**plain_layers.linear_back(dy, x, w, b), "bias": dy.sum(axis=(0, 1)) / x.shape[1]}

    finding = check_layer(linear, backward, kind="linear").findings[0]
    assert [twin.name for twin in finding.twins] == ["gradients averaged over samples"]
    assert finding.text.startswith("gradient of bias[0] is ") and finding.problem.x.shape == (1, 2, 1)


def test_a_gradient_that_is_not_returned_is_said():
    report = check_layer(scale, lambda dy, x, gain: {"x": dy * gain}, params={"gain": (4,)})
    assert_right(report)
    assert report.notes[0] == "Not checked: the gradient of gain."


# ---- what is refused


@pytest.mark.parametrize("options, error, message", [
    ({"backward": None}, TypeError, "backward must be callable, got None"),
    ({"forward": 3}, TypeError, "forward must be callable, got 3"),
    ({"tensor": 3}, TypeError, "tensor must be callable, got 3"),
    ({"kind": "gelu"}, ValueError, "kind must be one of linear, tanh, sigmoid, relu, or None, got 'gelu'"),
    ({"x": ()}, ValueError, r"x must be a shape of at least one axis, each of at least 1, got \(\)"),
    ({"x": (2, 0)}, ValueError, r"x must be a shape of at least one axis, each of at least 1, got \(2, 0\)"),
    ({"params": [3]}, TypeError, r"params must be a dict of shapes or arrays, got \[3\]"),
    ({"params": {"gain": 3}}, ValueError, r"params\['gain'\] must be a shape or an array, got 3"),
    ({"kind": "linear", "params": {"gain": (3,)}}, ValueError, "has the params weight and bias, got gain"),
    ({"kind": "linear", "params": {"weight": (3, 5), "bias": (3,)}}, ValueError,
     "x and params do not fit a linear layer: "),
    ({"batch_axis": 3}, ValueError,
     r"batch_axis must be an axis of x, which has the shape \(3, 2, 4\), got 3"),
    ({"precision": "float16"}, ValueError, "precision must be one of float64, float32, got 'float16'"),
    ({"skip": ("nothing",)}, ValueError, "skip: there is no row 'nothing'; the rows are same call, same "
                                         "answer, agreement"),
    ({"skip": "agreement"}, ValueError, "skip must be a tuple of names, got 'agreement'"),
], ids=lambda value: str(value)[:40] if isinstance(value, dict) else "")
def test_bad_arguments_are_refused(options, error, message):
    arguments = {"forward": plain_layers.tanh, "backward": plain_layers.tanh_back, **options}
    with pytest.raises(error, match=message):
        check_layer(**arguments)


def test_the_names_are_public():
    assert ctc_scratch.check_layer is check_layer and len(LAWS) == 6
