"""diagnose names planted mistakes by their cause, and finds nothing in healthy batches."""

import numba
import numpy as np
import pytest

from ctc_scratch.ctc import InfeasibleTargetError, ctc_loss
from ctc_scratch.ctc.diagnosis.diagnose import diagnose, diagnose_lengths
from ctc_scratch.ctc.diagnosis.findings import CAUSES
from ctc_scratch.ctc.labels import min_frames
from tests.conftest import assert_close


class Plan:
    """A healthy batch, as the arguments of ctc_loss, into which a mistake can be planted."""

    def __init__(self, seed=0, T=60, N=8, C=11, U=6, blank=0):
        rng = self.rng = np.random.default_rng(seed)
        self.logits = rng.standard_normal((T, N, C))
        classes = [c for c in range(C) if c != blank]
        self.targets = [rng.choice(classes, size=rng.integers(2, U + 1)) for _ in range(N)]
        self.lengths = rng.integers(2 * U, T + 1, size=N)
        self.lengths[0] = T
        self.target_lengths = None
        self.options = {"blank": blank}

    @property
    def U(self):
        return np.array([len(target) for target in self.targets])

    def pad(self, value):
        """Targets as a rectangle."""
        rows = np.full((len(self.targets), self.U.max()), value)
        for row, target in zip(rows, self.targets):
            row[:len(target)] = target
        return rows

    def probs(self):
        return np.exp(self.logits) / np.exp(self.logits).sum(axis=-1, keepdims=True)

    def diagnose(self):
        return diagnose(self.logits, self.targets, self.lengths, self.target_lengths, **self.options)


MISTAKES = {}


def mistake(cause, legal=False):
    def plant(change):
        MISTAKES[change.__name__] = (cause, legal, change)
        return change

    return plant


@mistake("lengths-in-labels")
def number_of_digits_as_length(plan):
    plan.targets = [plan.rng.integers(1, 11, 5) for _ in range(32)]
    plan.targets[3][1] = plan.targets[3][0]
    plan.logits = plan.rng.standard_normal((140, 32, 11))
    plan.lengths = np.full(32, 5)


@mistake("lengths-in-labels")
def ragged_label_counts_as_lengths(plan):
    plan.targets[2] = np.array([4, 4, 5])
    plan.lengths = plan.U


@mistake("lengths-in-labels", legal=True)
def label_counts_as_lengths_without_repeats(plan):
    plan.targets = [np.array([1, 2, 3]), np.array([2, 1]), np.array([4, 5, 6]), np.array([3, 1])]
    plan.logits, plan.lengths = plan.logits[:, :4], np.array([3, 2, 3, 2])


@mistake("lengths-in-labels", legal=True)
def one_row_of_digits(plan):
    plan.logits, plan.targets, plan.lengths = np.zeros((140, 11)), [1, 2, 3, 4, 5], 5


@mistake("lengths-exchanged")
def lengths_in_the_wrong_order(plan):
    plan.targets = plan.pad(1)
    plan.lengths, plan.target_lengths = np.full(8, 6), np.full(8, 60)


@mistake("lengths-exchanged")
def lengths_of_joined_targets_in_the_wrong_order(plan):
    plan.lengths, plan.target_lengths = plan.U, plan.lengths
    plan.targets = np.concatenate(plan.targets)


@mistake("lengths-before-subsampling")
def lengths_from_before_a_stride_of_four(plan):
    plan.lengths = 4 * plan.lengths - 1


@mistake("lengths")
def a_length_beyond_the_end(plan):
    plan.lengths[3] = 65


@mistake("lengths")
def target_lengths_beyond_the_padding(plan):
    plan.target_lengths = plan.U + 1


@mistake("time-batch-exchanged")
def batch_first_logits(plan):
    plan.logits = plan.logits.swapaxes(0, 1)


@mistake("time-batch-exchanged")
def batch_first_logits_without_lengths(plan):
    plan.logits, plan.lengths = plan.logits.swapaxes(0, 1), None


@mistake("time-batch-exchanged")
def time_first_logits_said_to_be_batch_first(plan):
    plan.options["layout"] = "NTC"


@mistake("classes-not-last")
def channels_before_time(plan):
    plan.logits = plan.logits.transpose(1, 2, 0)
    plan.options["layout"] = "NTC"


@mistake("shape")
def a_target_too_few(plan):
    plan.targets = plan.targets[:-1]


@mistake("blank-off-by-one")
def labels_from_0_with_the_blank_at_the_end(plan):
    plan.targets = [np.arange(k, 10) for k in range(8)]


@mistake("blank-off-by-one")
def labels_from_1_with_the_blank_said_to_be_at_the_end(plan):
    plan.targets = [np.arange(1 + k, 11) for k in range(8)]
    plan.options["blank"] = 10


@mistake("blank-off-by-one")
def blank_said_to_be_1(plan):
    plan.targets = [np.arange(1, 11 - k) for k in range(8)]
    plan.options["blank"] = 1


@mistake("blank-off-by-one")
def blank_is_the_number_of_classes(plan):
    plan.options["blank"] = 11


@mistake("blank-off-by-one")
def blank_counted_from_the_end(plan):
    plan.options["blank"] = -1


@mistake("blank-off-by-one", legal=True)
def a_trained_network_with_another_blank(plan):
    plan.logits[..., 10] += 8
    plan.targets = [np.arange(1 + k, 10) for k in range(8)]


@mistake("blank")
def blank_far_outside(plan):
    plan.options["blank"] = 40


@mistake("labels-contain-blank")
def blanks_between_the_labels(plan):
    plan.targets = [np.insert(target, range(len(target) + 1), 0) for target in plan.targets]
    plan.lengths[:] = 60


@mistake("labels-contain-blank")
def a_stray_blank(plan):
    plan.targets[5] = np.array([3, 0, 10, 7])


@mistake("labels-contain-blank")
def paths_as_targets(plan):
    plan.targets = [np.repeat([0, 3, 0, 10], T // 4 + 1)[:T] for T in plan.lengths]


@mistake("padding-in-targets")
def targets_padded_with_the_blank(plan):
    plan.targets = plan.pad(0)


@mistake("padding-in-targets")
def targets_padded_with_minus_one(plan):
    plan.targets = plan.pad(-1)


@mistake("padding-in-targets")
def targets_padded_with_an_ignored_index(plan):
    plan.targets = plan.pad(-100).tolist()


@mistake("no-room-for-blank")
def as_many_outputs_as_labels(plan):
    plan.targets = [1 + np.arange(k, 10) for k in range(8)]
    plan.logits = plan.logits[..., :10]


@mistake("labels")
def a_label_that_is_no_class(plan):
    plan.targets[2][1] = 57


@mistake("labels")
def labels_as_floats(plan):
    plan.targets = [target.astype(float) for target in plan.targets]


@mistake("too-few-frames")
def a_strided_network(plan):
    plan.logits, plan.lengths = plan.logits[::12], -(-plan.lengths // 12)
    plan.targets[0] = np.array([1, 1, 2, 2, 3])


@mistake("too-few-frames")
def no_frames_at_all(plan):
    plan.lengths[4] = 0


@mistake("minus-infinity")
def a_masked_class(plan):
    plan.targets[6] = np.array([1, 7, 2])
    plan.logits[..., 7] = -np.inf


@mistake("minus-infinity")
def a_masked_blank_between_repeats(plan):
    plan.targets[1] = np.array([5, 5])
    plan.logits[..., 0] = -np.inf


@mistake("arguments")
def a_blank_that_is_no_integer(plan):
    plan.options["blank"] = 0.0


@mistake("arguments")
def a_blank_that_is_true(plan):
    plan.options["blank"] = True
    plan.targets = [target[target != 1] for target in plan.targets]


@mistake("arguments")
def a_layout_that_is_none(plan):
    plan.logits = plan.logits.swapaxes(0, 1)
    plan.options["layout"] = "BTC"


@mistake("arguments")
def target_lengths_as_floats(plan):
    plan.targets, plan.target_lengths = plan.pad(1), plan.U.astype(float)


@mistake("arguments")
def ragged_logits(plan):
    plan.logits = [[[0.0, 1.0]], [[0.0]]]


@mistake("arguments")
def a_target_within_a_target(plan):
    plan.targets[0] = plan.targets[0][None]


@mistake("not-finite")
def a_nan(plan):
    plan.logits[7, 0, 3] = np.nan


@mistake("not-finite")
def an_overflow(plan):
    plan.logits[7, 0, 3] = np.inf


@mistake("not-finite")
def a_mask_of_everything(plan):
    plan.logits[7, 0] = -np.inf


@mistake("probabilities", legal=True)
def softmax_before_the_loss(plan):
    plan.logits = plan.probs()


@mistake("probabilities", legal=True)
def softmax_in_half_precision(plan):
    plan.logits = plan.probs().astype(np.float16)


@pytest.mark.parametrize("name", MISTAKES)
def test_the_cause_of_a_planted_mistake_is_named(name):
    cause, legal, plant = MISTAKES[name]
    plan = Plan()
    assert not plan.diagnose().findings, "healthy before"
    plant(plan)
    found = plan.diagnose()
    assert [(finding.cause, finding.legal) for finding in found.findings] == [(cause, legal)], str(found)
    assert max(map(len, str(found).splitlines())) <= 79
    assert CAUSES[cause] in " ".join(str(found).split())


def test_every_cause_is_planted():
    assert len(MISTAKES) >= 20 and {cause for cause, _, _ in MISTAKES.values()} == set(CAUSES)


@pytest.mark.parametrize("name", [name for name, (cause, legal, _) in MISTAKES.items()
                                  if not legal and not cause.startswith("time")])
def test_ctc_loss_refuses_what_is_called_an_error(name):
    plan = Plan()
    MISTAKES[name][2](plan)
    with pytest.raises((ValueError, TypeError)):
        ctc_loss(plan.logits, plan.targets, plan.lengths, plan.target_lengths, **plan.options, method="exact")


@pytest.mark.parametrize("name", [name for name, (_, legal, _) in MISTAKES.items() if legal])
def test_ctc_loss_takes_what_is_called_a_suspicion(name):
    plan = Plan()
    MISTAKES[name][2](plan)
    ctc_loss(plan.logits, plan.targets, plan.lengths, plan.target_lengths, **plan.options)


def healthy(seed):
    """A random batch that ctc_loss takes: any sizes, blank, form of targets, layout, scale, -inf."""
    rng = np.random.default_rng(seed)
    N, C, T = rng.integers(1, 9), rng.integers(2, 30), rng.integers(4, 120)
    blank = int(rng.choice([0, C - 1, rng.integers(C)]))
    classes = [c for c in range(C) if c != blank]
    targets, lengths = [], []
    for _ in range(N):
        target = rng.choice(classes, size=rng.integers(T // 2 + 1))
        while min_frames(target) > T:
            target = target[:-1]
        targets.append(target)
        lengths.append(rng.integers(max(min_frames(target), 1), T + 1))
    longest = rng.random() < 0.5  # padded to the longest sequence, as a batch is, or further
    if longest:
        lengths[rng.integers(N)] = T
    logits = rng.choice([0.1, 1, 10]) * rng.standard_normal((T, N, C))
    if rng.random() < 0.3:
        logits[rng.integers(T), rng.integers(N), rng.integers(C)] = -np.inf
    if rng.random() < 0.2:  # log-probabilities are as good as logits
        logits -= np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    layout, U = "TNC", None
    if rng.random() < 0.5:
        logits, layout = logits.swapaxes(0, 1).copy(), "NTC"
    form = rng.integers(3)
    if form > 0:
        U = np.array([len(target) for target in targets])
        rows = np.full((N, U.max()), rng.choice([0, -1, blank]))
        for row, target in zip(rows, targets):
            row[:len(target)] = target
        targets = rows if form == 1 else np.concatenate([row[:u] for row, u in zip(rows, U)])
    return (logits.astype(rng.choice([np.float32, np.float64])), targets, np.array(lengths), U), \
        {"blank": blank, "layout": layout}


@pytest.mark.slow
@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="minutes without compiled kernels")
def test_nothing_is_found_in_1000_healthy_batches():
    taken = 0
    for seed in range(1050):
        arguments, options = healthy(seed)
        try:
            ctc_loss(*arguments, **options, method="exact")
        except InfeasibleTargetError:
            continue  # its one -inf has closed every path: not healthy
        taken += 1
        found = diagnose(*arguments, **options)
        assert not found.findings, f"seed {seed}: {found}"
        assert len(found.fits) == len(arguments[2])
    assert taken >= 1000


def test_a_whole_data_set():
    rng = np.random.default_rng(0)
    targets = [rng.integers(1, 11, 5) for _ in range(2000)]
    good = diagnose_lengths(targets, np.full(2000, 140), classes=11)
    assert not good.findings and "2000 sequences" in str(good)
    bad = diagnose_lengths(targets, np.full(2000, 5), classes=11)
    finding, = bad.findings
    assert finding.cause == "lengths-in-labels" and not finding.legal
    assert_close(len(finding.indices) / 2000, 1 - 0.9**4, 0.03, "share without a path")
    assert diagnose_lengths(targets, 140).findings == []


def test_an_empty_batch_is_healthy():
    assert diagnose(np.zeros((5, 0, 3)), []).findings == []
    assert diagnose(np.zeros((0, 3)), []).findings == []
