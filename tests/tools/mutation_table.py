"""What `python -m tests.mutations` runs for each module, and the mutations that no test can notice."""

from __future__ import annotations

from typing import NamedTuple

# The tests of each module, as arguments of pytest. Tests that find most in the shortest time stand first.
CERTIFIED = ["tests/ctc/test_loss_vs_enumeration.py::test_minus_inf_entries_equal_enumeration",
             "tests/ctc/certified", "-k", "not counterexample and not long and not fuzz"]
EXACT = ["tests/ctc/exact/test_layout.py", "tests/ctc/exact/test_pairs.py", "tests/ctc/exact/test_exact.py",
         "-k", "not 690 and not 300"]
TARGETS = {
    "ctc_scratch/ctc/reference.py":
        ["tests/ctc/test_reference.py"],
    "ctc_scratch/ctc/kernels.py":
        ["tests/ctc/test_kernels.py", "tests/ctc/test_loss_laws.py", "-k", "kernels or log"],
    **{f"ctc_scratch/ctc/exact/{name}.py": EXACT
        for name in ("batch", "emissions", "layout", "pairs", "posterior", "recursion")},
    "ctc_scratch/compiled/bits.py": EXACT,
    "ctc_scratch/compiled/exp.py": ["tests/compiled/test_exp_exact.py", *EXACT],
    "ctc_scratch/compiled/targets.py": ["tests/compiled/test_targets.py"],
    **{f"ctc_scratch/ctc/certified/lanes/{name}.py": CERTIFIED
        for name in ("batch", "emissions", "frame", "layout", "passes")},
    **{f"ctc_scratch/ctc/certified/banded/{name}.py": CERTIFIED
        for name in ("backward", "batch", "bound", "emissions", "exponents", "frame", "layout", "posterior",
                     "tiles")},
    "ctc_scratch/compiled/log_space.py": ["tests/compiled/test_log_space.py"],
    "ctc_scratch/ctc/decoding/reference_beam.py": ["tests/ctc/decoding/test_beam_kernels.py"],
    "ctc_scratch/ctc/decoding/beam_kernels.py":
        ["tests/ctc/decoding/test_beam_kernels.py", "tests/ctc/decoding/test_beam_search.py",
         "tests/ctc/decoding/test_prefix_tree.py"],
    "ctc_scratch/ctc/decoding/prefix_tree.py":
        ["tests/ctc/decoding/test_prefix_tree.py", "tests/ctc/decoding/test_beam_kernels.py",
         "tests/ctc/decoding/test_beam_search.py"],
    "ctc_scratch/ctc/decoding/greedy.py":
        ["tests/ctc/decoding/test_greedy.py", "tests/ctc/decoding/test_beam_search.py"],
    "ctc_scratch/ctc/decoding/beam_search.py":
        ["tests/ctc/decoding/test_beam_search.py", "tests/ctc/decoding/test_beam_kernels.py",
         "tests/ctc/decoding/test_prefix_tree.py"],
    "ctc_scratch/ctc/decoding/map_search.py": ["tests/ctc/decoding/test_map_search.py"],
    "ctc_scratch/ctc/paths/align.py": ["tests/ctc/paths/test_align.py", "tests/ctc/paths/test_star.py"],
    "ctc_scratch/ctc/paths/star.py": ["tests/ctc/paths/test_star.py"],
    "ctc_scratch/ctc/paths/band.py":
        ["tests/ctc/paths/test_align.py", "tests/ctc/paths/test_band.py",
         "-k", "not likelier and not in_turns"],
    "ctc_scratch/ctc/paths/band_kernels.py":
        ["tests/ctc/paths/test_align.py", "tests/ctc/paths/test_band.py",
         "-k", "not likelier and not in_turns"],
    "ctc_scratch/nn/activations.py": ["tests/nn/test_activations.py"],
    "ctc_scratch/nn/product.py": ["tests/nn/test_product.py"],
    "ctc_scratch/nn/steps.py":
        ["tests/nn/test_gradcheck.py::test_every_gradient_is_right", "tests/nn/test_lstm.py",
         "-k", "not stack"],
    "ctc_scratch/nn/optimiser_kernels.py": ["tests/nn/test_optim.py"],
    "ctc_scratch/nn/lstm.py":
        ["tests/nn/test_gradcheck.py::test_every_gradient_is_right", "tests/nn/test_lstm.py"],
    "ctc_scratch/nn/layers.py":
        ["tests/nn/test_gradcheck.py::test_every_gradient_is_right", "tests/nn/test_layers.py",
         "tests/nn/test_lstm.py"],
    "ctc_scratch/nn/optim.py": ["tests/nn/test_optim.py"],
    "ctc_scratch/nn/muon.py": ["tests/nn/test_muon.py"],
    "ctc_scratch/digits/model/vertical.py": ["tests/digits/model/test_vertical.py"],
}


class Equivalent(NamedTuple):
    """A mutation that changes no answer: the line `before` becomes `after`, or anything if that is "*".

    An entry that matches no mutation is an error, so an entry is removed with its line.
    """

    path: str
    before: str
    after: str
    reason: str


AGAIN = "rescaling is by a power of two: when it happens changes no bit"
TO_26 = "TO_INT, TO_26 = 1.5 * 2.0**52, "
ROUNDED = " # added and taken away: round to multiples of 1, of 2^26"
BELOW, ABOVE = "RESCALE_BELOW, RESCALE_ABOVE = 2.0 ** (HEADROOM - 32), ", "2.0 ** (HEADROOM + 20)"
EQUIVALENT = [Equivalent(path, before, after, reason) for path, entries in {
    "ctc_scratch/nn/optim.py": [
        ("if max_norm < norm < math.inf:", ["if max_norm <= norm < math.inf:"], "a factor of 1"),
    ],
    "ctc_scratch/nn/product.py": [
        ("if left + L <= M:", ["if left + L < M:"], "the last panel goes through `edge`, to the same bits"),
    ],
    "ctc_scratch/ctc/certified/lanes/batch.py": [
        ("segments = (T + G - 1) // G", ["segments = (T + G) // G", "segments = (T + G + 1) // G"],
         "one more segment, without frames; what it stores is overwritten"),
    ],
    "ctc_scratch/ctc/certified/lanes/layout.py": [
        ("need[u * LANES + j] = u + repeats", ["need[u * LANES + j] = u"],
         "a wider window holds more states, all 0: they cannot be reached or cannot finish"),
        ("return T if 3 * (T + 1) * width <= budget else int(math.ceil(math.sqrt(T)))",
         ["return T if 3 * (T + 1) * width < budget else int(math.ceil(math.sqrt(T)))",
          "return (int(math.ceil(math.sqrt(T))))"],
         "the number of frames that are kept at a time changes no bit"),
        ("steady = max(steady, need[last * LANES + j])", ["steady = min(steady, need[last * LANES + j])"],
         "a wider window holds more states, all 0: they cannot be reached"),
        ("while first < widths[j] and left[first * LANES + j] >= lengths[j] - t:",
         ["while first < widths[j] and left[first * LANES + j] > lengths[j] - t:"],
         "one more label that cannot finish: its beta is 0"),
        ("while first > 0 and left[(first - 1) * LANES + j] < lengths[j] - t:",
         ["while first > 0 and left[(first - 1) * LANES + j] <= lengths[j] - t:"],
         "one more label that cannot finish: its beta is 0"),
    ],
    "ctc_scratch/ctc/certified/lanes/passes.py": [
        (BELOW + ABOVE, [BELOW + "2.0", BELOW + "2.0 ** (20)", BELOW + "2.0 ** (HEADROOM)",
                         BELOW + "2.0 ** (HEADROOM - 20)"], AGAIN),
        (BELOW + ABOVE, [BELOW.replace(" - 32", sign) + ABOVE for sign in ("", " + 32")], AGAIN),
        ("if 0.0 < state < RESCALE_BELOW or state > RESCALE_ABOVE:",
         ["if 0.0 < state <= RESCALE_BELOW or state > RESCALE_ABOVE:",
          "if 0.0 < state < RESCALE_BELOW or state >= RESCALE_ABOVE:"], AGAIN),
        ("if t & RESCALE_MASK == 0:", ["if t & RESCALE_MASK != 0:"], AGAIN + ", and it happens more often"),
        ("whole = group.steady <= t < group.unsteady", ["whole = group.steady < t < group.unsteady"],
         "at t = steady the computed window holds all labels"),
    ],
    "ctc_scratch/ctc/certified/banded/emissions.py": [
        ("for start in range(0, whole, 512):", ["for start in range(0, (whole) - 1, 512):"],
         "whole is a multiple of 8, so no block begins there"),
        ("for k in range(start, min(start + 512, whole), 8):",
         ["for k in range(start, (min(start + 512, whole)) - 1, 8):"],
         "the end is a multiple of 8, so the last Eight begins before"),
        ("if done + 8 <= C:", ["if done + 8 < C:"], "the last Eight is written after the loop"),
        ("while k + 8 <= stop:", ["while k + 8 < stop:"], "the last Eight is checked after the loop"),
        ("k, stop = r * C, (r + 1) * C", ["k, stop = r * C, (1) * C"],
         "the loop over single classes checks what the loop of Eights leaves out"),
        ("past_cache = wanted and sequence.T * C * rows.itemsize > PAST_CACHE",
         "*",
         "the same numbers are written in another way, or twice"),
    ],
    "ctc_scratch/ctc/certified/banded/frame.py": [
        ("for k in range(0, 8 * blocks, 8):", ["for k in range(0, (8 * blocks) - 1, 8):"],
         "the last Eight begins eight before the end"),
    ],
    "ctc_scratch/ctc/exact/batch.py": [
        ("after, beta = betas[(t + 1) % 2], betas[t % 2]", ["after, beta = betas[(t - 1) % 2], betas[t % 2]"],
         "the same parity"),
        ("if j < last and k == B - 1:", ["if j <= last and k == B - 1:"],
         "the last block is computed once more, to the same bits"),
        ("C = rows[0].shape[1]", ["C = rows[(0) + 1].shape[1]"], "both arrays have as many classes"),
    ],
    "ctc_scratch/ctc/exact/layout.py": [
        ("B = T if T * 16 * (S + 4 + K + 1) <= budget else int(math.ceil(math.sqrt(T)))",
         ["B = T if T * 16 * (S + 4 + K) <= budget else int(math.ceil(math.sqrt(T)))",
          "B = T if T * 16 * (S + 4 + K + 1) < budget else int(math.ceil(math.sqrt(T)))"],
         "the answers are the same with checkpoints and without"),
        ("np.empty(((T + B - 1) // B, 2, S + 4)), np.empty((2, 2, S + 4)),",
         ["np.empty(((T + B) // B, 2, S + 4)), np.empty((2, 2, S + 4)),",
          "np.empty(((T + B + 1) // B, 2, S + 4)), np.empty((2, 2, S + 4)),"], "memory that is not used"),
    ],
    "ctc_scratch/ctc/exact/pairs.py": [
        ("return m * power_of_two(min(e, 900.0)) if e >= -1022.0 else 0.0",
         ["return m * power_of_two(min(e, 900.0)) if e > -1022.0 else 0.0"],
         "2^-1022 is lost beside a likelihood's share of about 1"),
    ],
    "ctc_scratch/ctc/exact/posterior.py": [
        ("if 0.5 < sums[0] + sums[1] < 4.0:",
         ["if 0.5 <= sums[0] + sums[1] < 4.0:", "if 0.5 < sums[0] - sums[1] < 4.0:"],
         "a second turn with another power of two gives the same"),
        ("stay = classes[slots[s]] if next_lo <= s < next_hi else -1",
         ["stay = classes[slots[s]] if next_lo <= s <= next_hi else -1"],
         "s < hi <= next_hi, as a state that can be reached can be reached in every later frame"),
    ],
    "ctc_scratch/compiled/bits.py": [
        ("if mantissa > 1.4142135623730951:", ["if mantissa >= 1.4142135623730951:"],
         "at equality both ways are right"),
    ],
    "ctc_scratch/compiled/exp.py": [
        (TO_26 + "1.5 * 2.0**78" + ROUNDED, [TO_26 + "2.0**78" + ROUNDED],
         "n <= 0, so it is rounded to a multiple of 2^25, and the products are as exact"),
        ("x[c] = exp_reduced(r) * power_of_two(max(n, -1022.0)) if hi > -708.0 else 0.0",
         ["x[c] = exp_reduced(r) * power_of_two(max(n, -1022.0)) if hi >= -708.0 else 0.0"],
         "e^-708 is lost beside the largest class's 1"),
    ],
    "ctc_scratch/ctc/paths/band.py": [
        ("reach = 1.5 * reach * T / (T - t) if attempt == 0 else np.inf",
         [f"reach = {wider} if attempt == 0 else np.inf" for wider in (
             "1.5 * T / (T - t)", "reach * T / (T - t)", "1.5 * reach / (T - t)", "T / (T - t)",
             "1.5 * reach * T", "1.5 * reach * T / (T)", "1.5 * reach * T / (T + t)")]
         + ["reach = (np.inf)", "reach = 1.5 * reach * T / (T - t) if attempt != 0 else np.inf"],
         "how far the second try reaches only changes how long it takes; the third reaches everywhere"),
    ],
    "ctc_scratch/ctc/paths/star.py": [
        ("if t % FRAMES_PER_TOP == 0:", ["if t == 0:"], "only rounding errors depend on how often"),
        ("best[s] -= top", ["best[s] += top", "pass"], "the same: all scores change alike"),
        ("moves, states = np.zeros((T, (S + 3) // 4), np.uint8), np.empty(T, np.intp)",
         ["moves, states = np.zeros((T, (S + 3)), np.uint8), np.empty(T, np.intp)"],
         "more memory than needed"),
    ],
    "ctc_scratch/nn/lstm.py": [
        ("shape, H = cache[0].shape, cache[0].cells.shape[1]",
         ["shape, H = cache[(0) + 1].shape, cache[0].cells.shape[1]"], "both directions have these frames"),
    ],
    "ctc_scratch/ctc/paths/band_kernels.py": [
        ("at_label[u] = in_label if in_label > SUM_FLOOR else SUM_FLOOR",
         ["at_label[u] = (in_label)", "at_label[u] = in_label if in_label >= SUM_FLOOR else SUM_FLOOR"],
         "states below the floor only take time: they are too small to change the sum"),
        ("proved = result >= math.log(3.0 * T) + (SUM_FLOOR_EXPONENT - SUM_HEADROOM + 50) * LN2",
         ["proved = result >= math.log(3.0) + (SUM_FLOOR_EXPONENT - SUM_HEADROOM + 50) * LN2"],
         "the margin of 2^50 is enough whatever T is"),
    ],
    "ctc_scratch/ctc/decoding/map_search.py": [
        ("likely = C - 1 if T * C * C <= FEW_STEPS else int(np.count_nonzero(peaks > LIKELY))",
         ["likely = C - 1 if T * C <= FEW_STEPS else int(np.count_nonzero(peaks > LIKELY))",
          "likely = C - 1 if C <= FEW_STEPS else int(np.count_nonzero(peaks > LIKELY))"],
         "how many classes have rows of their own only changes how long it takes"),
        ("if T * C * C <= FEW_STEPS and C <= most:",
         ["if T * C <= FEW_STEPS and C <= most:", "if C <= FEW_STEPS and C <= most:",
          "if T * C * C <= FEW_STEPS and C < most:"], "the same"),
    ],
    "ctc_scratch/compiled/log_space.py": [
        ("if a < b:", ["if a <= b:"], "equal numbers are exchanged"),
        ("if b < a - NEGLIGIBLE or b == -np.inf:", ["if b <= a - NEGLIGIBLE or b == -np.inf:"],
         "e^-37 is below the last bit that is claimed"),
    ],
    "ctc_scratch/ctc/decoding/prefix_tree.py": [
        ("tree[child, SIBLING], tree[child, SLOT] = tree[node, CHILD], -1",
         ["tree[child, SIBLING], tree[child, SLOT] = tree[node, CHILD], (1)",
          "tree[child, SIBLING], tree[(child) + 1, SLOT] = tree[node, CHILD], -1"],
         "`renew` sets the slot of every node that is added"),
        ("tree[:used, CHILD] = -1", ["tree[:(used) - 1, CHILD] = -1"], "the newest node has no child"),
        ("while child >= 0 and tree[child, LABEL] != c:", ["while child > 0 and tree[child, LABEL] != c:"],
         "node 0 is no node's child"),
        ("if child < 0:", ["if child <= 0:"], "node 0 is no node's child"),
        ("while k >= 0 and tree[k, CHILD] < 0:", ["while k >= 0 and tree[k, CHILD] <= 0:"],
         "walks on to the root, through nodes that are marked already"),
    ],
    "ctc_scratch/ctc/decoding/beam_kernels.py": [
        ("if size == W and (logs[i, TOTAL] + log_prob) + highest <= scores[W - 1]:",
         ["if size == W and (logs[i, TOTAL] + log_prob) + highest < scores[W - 1]:"],
         "`offer` refuses what is only as good as the last"),
        ("if counts[NODES] + W > capacity:", ["if counts[NODES] + W >= capacity:"],
         "nodes that are not needed are dropped a frame sooner"),
        ("if 2 * (counts[NODES] + W) > capacity:", ["if (counts[NODES] + W) > capacity:"],
         "unused nodes are dropped more often before the tree grows"),
        ("if 2 * (counts[NODES] + W) > capacity:", ["if 2 * (counts[NODES] + W) >= capacity:"],
         "the tree grows a frame earlier"),
        ("while size > 1 and scores[size - 1] < scores[0] - prune:",
         ["while size >= 1 and scores[size - 1] < scores[0] - prune:"], "the best is not worse than itself"),
    ],
}.items() for before, afters, reason in entries for after in afters]
