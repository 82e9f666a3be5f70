"""A mask over the padding gives the lengths; other masks and lengths that contradict it are refused."""

import numpy as np
import pytest

import ctc_scratch as ctc
from ctc_scratch.ctc.decoding.by_name import decode

LENGTHS, TARGETS = [7, 4, 0], [[1, 2], [3, 3], []]
PADDED = np.ma.array([[1, 2, 0], [3, 3, -9], [77, 0, 0]], mask=[[0, 0, 1], [0, 0, 1], [1, 1, 1]])

PRIOR = {"prior": [0.6, 0.1, 0.1, 0.1, 0.1], "weight": 0.5}


def vectors(logits):
    """What a Hessian of these logits is multiplied with; it has no mask."""
    return np.linspace(-1, 1, logits.size).reshape(logits.shape)


# Each takes logits, lengths or None, and layout.
CALLS = {
    "ctc_loss": lambda x, lengths, layout: ctc.ctc_loss(x, TARGETS, lengths, layout=layout),
    "log_partition": lambda x, lengths, layout: ctc.log_partition(x, TARGETS, lengths, layout=layout),
    "occupancy": lambda x, lengths, layout: ctc.log_partition(
        x, TARGETS, lengths, layout=layout, want="occupancy"),
    "align": lambda x, lengths, layout: ctc.align(x, TARGETS, lengths, layout=layout),
    "stars": lambda x, lengths, layout: ctc.align(x, TARGETS, lengths, layout=layout, star="ends"),
    "prior": lambda x, lengths, layout: ctc.prior_ctc_loss(x, TARGETS, lengths, layout=layout, **PRIOR),
    "focal": lambda x, lengths, layout: ctc.focal_ctc_loss(x, TARGETS, lengths, layout=layout, power=1),
    "min risk": lambda x, lengths, layout: ctc.min_risk_ctc_loss(
        x, TARGETS, lengths, layout=layout, hypotheses=[[[1], [2]], [[3, 3]], [[]]]),
    "log_partition_hvp": lambda x, lengths, layout: ctc.log_partition_hvp(
        x, TARGETS, vectors(x), lengths, layout=layout),
    "ctc_loss_hvp": lambda x, lengths, layout: ctc.ctc_loss_hvp(
        x, TARGETS, vectors(x), lengths, layout=layout),
    "gauss_newton_vp": lambda x, lengths, layout: ctc.gauss_newton_vp(
        x, TARGETS, vectors(x), lengths, layout=layout),
    "fisher_vp": lambda x, lengths, layout: ctc.fisher_vp(
        x, vectors(x), lengths, layout=layout, samples=4, rng=np.random.default_rng(0)),
    "lattice": lambda x, lengths, layout: ctc.lattice(x, TARGETS, lengths, layout=layout),
    "greedy": lambda x, lengths, layout: ctc.greedy_decode(x, lengths, layout=layout),
    "beam": lambda x, lengths, layout: ctc.prefix_beam_search(x, lengths, layout=layout),
    "map": lambda x, lengths, layout: ctc.map_decode(x, lengths, layout=layout),
    "by name": lambda x, lengths, layout: decode("beam", x, lengths, layout=layout),
}
IN_THE_LAYOUT = [CALLS[name] for name in (
    "ctc_loss", "log_partition", "occupancy", "prior", "focal", "min risk",
    "log_partition_hvp", "ctc_loss_hvp", "gauss_newton_vp", "fisher_vp")]
"""What these return has the layout of the logits."""


@pytest.fixture
def logits(rng):
    return 2 * rng.standard_normal((7, 3, 5))


def masked_padding(logits, lengths=LENGTHS, hidden=np.nan):
    """The logits (T, N, C), with a mask over all frames after the lengths, and `hidden` under it."""
    mask = np.zeros(logits.shape, bool)
    for n, T in enumerate(lengths):
        mask[T:, n] = True
    return np.ma.array(np.where(mask, hidden, logits), mask=mask)


def numbers_of(result):
    """All that a call returned, in a form that == can compare."""
    if isinstance(result, (ctc.CTCResult, ctc.ObjectiveResult)):
        return result.loss.tolist(), result.grad.tolist(), type(result.grad)
    if isinstance(result, (ctc.LogPartition, ctc.LogPartitionHVP, ctc.CTCHVP)):
        return [np.asarray(part).tolist() for part in vars(result).values()]
    if isinstance(result, np.ndarray):
        return result.tolist(), type(result)
    if isinstance(result, ctc.Lattice):
        return result.logits.tolist(), result.labels.tolist(), result.gamma.tolist()
    if isinstance(result, ctc.Hypothesis):
        return result.labels, result.log_score
    if isinstance(result, ctc.Alignment):
        return result.path.tolist(), result.log_prob, result.spans
    return list(map(numbers_of, result)) if type(result) is list else result


@pytest.mark.parametrize("hidden", [np.nan, np.inf, -np.inf, 50.0], ids=str)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_masked_frames_are_padding(logits, call, hidden):
    expected = numbers_of(call(logits, LENGTHS, "TNC"))
    masked = masked_padding(logits, hidden=hidden)
    assert numbers_of(call(masked, None, "TNC")) == expected
    assert numbers_of(call(masked, LENGTHS, "TNC")) == expected
    if call not in IN_THE_LAYOUT:
        assert numbers_of(call(masked.swapaxes(0, 1), None, "NTC")) == expected


def test_the_gradient_gamma_and_occupancy_of_masked_frames_are_0(logits):
    plain, masked = logits.swapaxes(0, 1).copy(), masked_padding(logits).swapaxes(0, 1).copy()
    out = np.full(masked.shape, 9.0)
    result = ctc.ctc_loss(masked, TARGETS, layout="NTC", out=out)
    expected = ctc.ctc_loss(plain, TARGETS, LENGTHS, layout="NTC")
    assert (result.loss == expected.loss).all() and (out == expected.grad).all()
    assert not out[1, 4:].any() and not out[2].any() and out[1, :4].all()
    for want in ("gamma", "occupancy"):
        result = ctc.log_partition(masked, PADDED, layout="NTC", want=want)
        expected = ctc.log_partition(plain, TARGETS, LENGTHS, layout="NTC", want=want)
        assert numbers_of(result) == numbers_of(expected)


@pytest.mark.parametrize("targets", [PADDED, list(PADDED), tuple(PADDED), [[1, 2], PADDED[1], []]],
                         ids=["array", "list", "tuple", "one of a list"])
def test_masked_labels_are_padding(logits, targets):
    expected = ctc.ctc_loss(logits, TARGETS, LENGTHS)
    for target_lengths in (None, [2, 2, 0]):
        result = ctc.ctc_loss(logits, targets, LENGTHS, target_lengths)
        assert (result.loss == expected.loss).all() and (result.grad == expected.grad).all()


def test_logits_and_targets_may_both_be_masked(logits):
    expected = ctc.ctc_loss(logits, TARGETS, LENGTHS)
    assert (ctc.ctc_loss(masked_padding(logits), PADDED).grad == expected.grad).all()


def test_one_sequence_may_be_masked_at_its_end(logits):
    masked, target = masked_padding(logits)[:, 1], PADDED[1]
    assert np.isnan(masked.data[4:]).all() and target.mask.any()
    expected = ctc.ctc_loss(logits[:4, 1], [3, 3])
    result = ctc.ctc_loss(masked, target)
    assert result.loss == expected.loss and (result.grad[:4] == expected.grad).all()
    assert result.grad.shape == (7, 5) and not result.grad[4:].any()
    for function in (ctc.align, ctc.lattice):
        assert numbers_of(function(masked, target)) == numbers_of(function(logits[:4, 1], [3, 3]))
    found, of_four = ctc.log_partition(masked, target), ctc.log_partition(logits[:4, 1], [3, 3])
    assert found.log_z == of_four.log_z and (found.gamma[:4] == of_four.gamma).all()
    assert found.gamma.shape == (7, 5) and not found.gamma[4:].any()


def test_a_piece_of_a_stream_may_be_masked_at_its_end(logits):
    masked, plain = masked_padding(logits)[:, 1], logits[:4, 1]
    beams, greedy = [ctc.BeamStream(), ctc.BeamStream()], [ctc.GreedyStream(), ctc.GreedyStream()]
    for pieces in ((masked, plain), (logits[:, 0], logits[:, 0])):
        for stream, piece in zip(beams, pieces):
            stream.push(piece)
        assert greedy[0].push(pieces[0]) == greedy[1].push(pieces[1])
        assert numbers_of(beams[0].hypotheses(3)) == numbers_of(beams[1].hypotheses(3))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_lengths_that_differ_from_the_mask_are_refused(logits, call):
    for wrong in ([7, 5, 0], [7, 3, 0]):
        message = rf"lengths\[1\] is {wrong[1]}, the mask of (logits|scores) leaves 4 frames$"
        with pytest.raises(ValueError, match=message):
            call(masked_padding(logits), wrong, "TNC")


@pytest.mark.parametrize("targets", [PADDED, list(PADDED)], ids=["array", "list"])
@pytest.mark.parametrize("U", [1, 3])
def test_target_lengths_that_differ_from_the_mask_are_refused(logits, targets, U):
    with pytest.raises(ValueError, match=rf"^target_lengths\[1\] is {U}, the mask of targets\[1\] leaves 2$"):
        ctc.ctc_loss(logits, targets, LENGTHS, [2, U, 0])
    with pytest.raises(ValueError, match=rf"^target_lengths\[0\] is {U}, the mask of targets leaves 2$"):
        ctc.ctc_loss(logits[:, 1], PADDED[1], 7, U)


@pytest.mark.parametrize("place", [
    (slice(0, 2), 1), (3, 1), (slice(None), 1, 2), (6, 1, slice(0, 4)), (slice(5, None), 1, 0),
], ids=["beginning", "inside", "class", "all classes but one", "class at the end"])
def test_other_masks_over_logits_are_refused(logits, place):
    masked = np.ma.array(logits, mask=False)
    masked[place] = np.ma.masked
    message = "^(logits|scores) must not be a masked array, .* last frames .* unlike in sequence {}; pass"
    for call in CALLS.values():
        for given, layout in ((masked, "TNC"), (masked.swapaxes(0, 1), "NTC")):
            with pytest.raises(TypeError, match=message.format(1)):
                call(given, None, layout)
    with pytest.raises(TypeError, match=message.format(0)):
        ctc.align(masked[:, 1], [3, 3])


def test_a_list_of_masked_frames_is_refused_with_the_remedy(logits):
    """NumPy would make a plain array of the list, without an error and without the masks."""
    masked = masked_padding(logits, [7, 4, 1])
    for frames in (list(masked), (logits[0], *masked[1:])):
        with pytest.raises(TypeError, match=r"^logits .* list of masked arrays; pass np.ma.stack\(logits\)$"):
            ctc.ctc_loss(frames, TARGETS)
        assert ctc.greedy_decode(np.ma.stack(frames)) == ctc.greedy_decode(logits, [7, 4, 1])


@pytest.mark.parametrize("mask", [[1, 0, 0], [0, 1, 0]], ids=["beginning", "inside"])
def test_other_masks_over_targets_are_refused(logits, mask):
    masked = np.ma.array([[1, 2, 1], [1, 2, 1], [1, 1, 1]], mask=[[0, 0, 1], mask, [0, 0, 0]])
    for targets in (masked, list(masked)):
        with pytest.raises(TypeError, match=r"^targets\[1\] must not be .* masks the end of a sequence"):
            ctc.ctc_loss(logits, targets)
    with pytest.raises(TypeError, match="^targets must not be a masked array, .* the end of a sequence"):
        ctc.ctc_loss(logits[:, 0], masked[1])


def test_joined_targets_and_lengths_cannot_be_masked(logits):
    with pytest.raises(TypeError, match="^targets must not be a masked array"):
        ctc.ctc_loss(logits, np.ma.array([1, 2, 3, 3], mask=[0, 0, 0, 1]), None, [1, 1, 1])
    with pytest.raises(TypeError, match="^logit_lengths must not be a masked array"):
        ctc.ctc_loss(logits, TARGETS, np.ma.array(LENGTHS, mask=[0, 0, 1]))
    with pytest.raises(TypeError, match="^target_lengths must not be a masked array"):
        ctc.ctc_loss(logits, TARGETS, LENGTHS, np.ma.array([2, 2, 0], mask=[0, 0, 1]))


def test_a_mask_that_masks_nothing_gives_no_lengths(logits):
    expected = ctc.ctc_loss(logits, TARGETS, LENGTHS)
    targets = np.ma.array([[1, 2, 9], [3, 3, 9], [9, 9, 9]], mask=np.zeros((3, 3)))
    for given in (targets, list(targets)):
        result = ctc.ctc_loss(np.ma.array(logits, mask=False), given, LENGTHS, [2, 2, 0])
        assert (result.grad == expected.grad).all()


def test_diagnose_reads_masks_as_ctc_loss_does(logits):
    assert not ctc.diagnose(masked_padding(logits), PADDED).findings
    short = ctc.diagnose(masked_padding(logits, [7, 2, 0]), PADDED)
    assert [finding.cause for finding in short.errors] == ["too-few-frames"] and "Target 1" in str(short)
    for arguments in ([6, 4, 0], None), (None, [2, 1, 0]):
        assert "mask of" in str(ctc.diagnose(masked_padding(logits), PADDED, *arguments))
    assert not ctc.diagnose_lengths(PADDED, LENGTHS).findings
    assert ctc.diagnose_lengths(PADDED, [7, 2, 0]).findings
