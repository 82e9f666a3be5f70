"""Wrong twins of the LSTM whose outputs are wrong: `plain.py` with one mistake each.

Most have two variants, with the gradient of the right output and with that of the wrong one. Twins whose
gradient alone is wrong follow in `gradient_twins.py`.
"""

from __future__ import annotations

from itertools import permutations

from ..twin import Change, Twin, once, with_gradient
from . import plain

Variants = tuple[tuple[Change, ...], ...]

# The forward pass.
Z = "z = weight_ih @ x + bias_ih + weight_hh @ h + bias_hh\n    i,"
GATES = "i, f, g, o = z.reshape(4, -1)"
SQUASHED = "i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)"
CELL, HIDDEN = "c_new = f * c + i * g\n    h", "h_new = o * np.tanh(c_new)\n    r"
SIGMOID = "return 0.5 + 0.5 * np.tanh(0.5 * z)"
OWN = "own = {name: array[k] for name, array in weights.items()}"
STARTS = "h, c = h0[k, n], c0[k, n]"
BACK, FRAMES = "range(lengths[n])[::-1] if", "range(lengths[n])[::-1] if reverse[k] else range(lengths[n])"
STEP, OUTPUT, LAST = "= step(x[t, n], h, c, own)", "y[t, n, k] = h", "h_n[k, n], c_n[k, n] = h, c"
SHAPES, RETURN = "(T, N, D), (K, _, H) = x.shape, h0.shape", 'return {"y":'
# The backward pass.
DO, DC = "do = dh * np.tanh(c_new)", "dc = dc + dh * o * (1 - np.tanh(c_new) ** 2)"
DF, DI, DG, DC_BEFORE = "df = dc * c", "di = dc * g", "dg = dc * i", "dc_before = dc * f"
SLOPE = {"i": "di = di * i * (1 - i)", "f": "df = df * f * (1 - f)", "g": "dg = dg * (1 - g ** 2)",
         "o": "do = do * o * (1 - o)"}
DZ = "dz = np.concatenate([di, df, dg, do])"
DX_STEP, DH = "dx = weight_ih.T @ dz", "dh_before = weight_hh.T @ dz"
DWEIGHT_IH, DWEIGHT_HH = "dweight_ih = np.outer(dz, x)", "dweight_hh = np.outer(dz, h)"
START_BACK, DY = "dh, dc = np.zeros((2, H))", "step_back(dy[t, n, k] + dh, dc,"
DX, SUM, STATES_BACK = "dx[t, n] += dx_t", "grads[name][k] += dweight", "dh0[k, n], dc0[k, n] = dh, dc"

ELSEWHERE = {"iofg": ": that of ONNX", "igfo": ": that of TensorFlow's first cells"}


def order(gates: str) -> Twin:
    """A twin that takes the rows of the weights in another order."""
    names, gradients = ", ".join(gates), ", ".join(f"d{gate}" for gate in gates)
    return Twin(plain, f"gate order {names}",
                f"the rows of the weights are in the order i, f, g, o, but are "
                f"read as {names}{ELSEWHERE.get(gates, '')}",
                with_gradient((GATES, f"{names} = z.reshape(4, -1)"),
                              (DZ, f"dz = np.concatenate([{gradients}])")))


def squashed(gates: str, function: str, slope: str) -> Variants:
    """Variants in which gates are a function of their input z; `slope` is its derivative at the output a."""
    text, backward = SQUASHED, []
    for gate in gates:
        right = f"np.tanh({gate})" if gate == "g" else f"sigmoid({gate})"
        text = text.replace(right, function.replace("z", gate))
        backward.append((SLOPE[gate], f"d{gate} = d{gate} * " + slope.replace("a", gate)))
    return with_gradient((SQUASHED, text), *backward)


def for_sigmoid(name: str, function: str, slope: str) -> list[Twin]:
    """Twins with another function in place of σ: in all three gates, or in one of them."""
    return [Twin(plain, f"{name} for sigmoid in {where}",
                 f"{where}: {name} in place of the logistic function",
                 squashed(gates, function, slope))
            for gates, where in [("ifo", "all gates"), ("i", "the input gate"), ("f", "the forget gate"),
                                 ("o", "the output gate")]]


def reshaped(name: str, operand: str) -> list[Change]:
    """Changes by which the numbers of a (4H, D) matrix are read as a (D, 4H) matrix."""
    matrix = f"{name}.reshape({name}.shape[::-1])"
    gradient = {"weight_ih": (DX_STEP, f"dx = {matrix} @ dz"),
                "weight_hh": (DH, f"dh_before = {matrix} @ dz")}[name]
    return [(f"{name} @ {operand} +", f"{operand} @ {matrix} +"), gradient,
            (f"d{name} = np.outer(dz, {operand})",
             f"d{name} = np.outer({operand}, dz).reshape({name}.shape)")]


PER_GATE = "weight_hh.reshape(4, len(h), len(h))"
TANH_1997 = (SQUASHED, SQUASHED.replace("np.tanh(g)", "2 * np.tanh(g / 2)"))
HIDDEN_1997 = (HIDDEN, HIDDEN.replace("c_new)", "c_new / 2)"))

GATE_TWINS = (
    *(order("".join(gates)) for gates in permutations("ifgo") if gates != tuple("ifgo")),
    Twin(plain, "gates interleaved",
         "the four gates of each unit are read from neighbouring rows of the weights",
         with_gradient((GATES, "i, f, g, o = z.reshape(-1, 4).T"),
                       (DZ, "dz = np.stack([di, df, dg, do], axis=1).ravel()"))),
    Twin(plain, "no forget gate", "the cell keeps all of its state: c = c + i g",
         with_gradient((CELL, CELL.replace("f * c", "c")), (DC_BEFORE, "dc_before = dc"),
                       (DF, "df = 0 * c"))),
    Twin(plain, "no input gate", "c = f c + g",
         with_gradient((CELL, CELL.replace("i * g", "g")), (DG, "dg = dc"), (DI, "di = 0 * g"))),
    Twin(plain, "no output gate", "h = tanh c",
         with_gradient((HIDDEN, HIDDEN.replace("o * ", "")), (DO, "do = 0 * dh"),
                       (DC, DC.replace("o * ", "")))),
    Twin(plain, "forget gate is 1 - i", "the forget gate is tied to the input gate",
         with_gradient((CELL, CELL.replace("f * c", "(1 - i) * c")), (DC_BEFORE, "dc_before = dc * (1 - i)"),
                       (DI, "di = dc * (g - c)"), (DF, "df = 0 * c"))),
    Twin(plain, "1 added to the forget gate", "1 is added to the input of the forget gate, besides its bias",
         once(GATES, f"{GATES}; f = f + 1")),
    Twin(plain, "forget gate's bias twice", "the bias of the forget gate is added twice",
         once(GATES, f"{GATES}; f = f + (bias_ih + bias_hh).reshape(4, -1)[1]")),
    *for_sigmoid("tanh", "np.tanh(z)", "(1 - a ** 2)"),
    *for_sigmoid("hard sigmoid", "np.clip(0.2 * z + 0.5, 0, 1)", "0.2 * ((a > 0) & (a < 1))"),
    *for_sigmoid("hard sigmoid of slope 1/6", "np.clip(z / 6 + 0.5, 0, 1)", "((a > 0) & (a < 1)) / 6"),
    Twin(plain, "sigmoid overflows", "exp z / (1 + exp z) is inf / inf at a large z",
         once(SIGMOID, "return np.exp(z) / (1 + np.exp(z))")),
    Twin(plain, "sigmoid of -z", "1 / (1 + exp z): the gates close where they should open",
         with_gradient((SIGMOID, "return 0.5 - 0.5 * np.tanh(0.5 * z)"),
                       *((SLOPE[gate], SLOPE[gate].replace(f"= d{gate}", f"= -d{gate}")) for gate in "ifo"))),
    Twin(plain, "sigmoid for tanh in the candidate", "g is σ of its input, not tanh",
         squashed("g", "sigmoid(z)", "g * (1 - g)")),
    Twin(plain, "no tanh in the candidate", "g is its input, not squashed",
         squashed("g", "z", "1")),
    Twin(plain, "relu for tanh in the candidate", "g is the positive part of its input, not tanh",
         squashed("g", "np.maximum(z, 0)", "(g > 0)")),
    Twin(plain, "no tanh on the cell", "h = o c",
         with_gradient((HIDDEN, HIDDEN.replace("np.tanh(c_new)", "c_new")), (DO, "do = dh * c_new"),
                       (DC, "dc = dc + dh * o"))),
    Twin(plain, "sigmoid for tanh on the cell", "h = o σ(c)",
         with_gradient((HIDDEN, HIDDEN.replace("np.tanh", "sigmoid")), (DO, "do = dh * sigmoid(c_new)"),
                       (DC, "dc = dc + dh * o * sigmoid(c_new) * (1 - sigmoid(c_new))"))),
    Twin(plain, "squashed as in 1997", "g = 2 tanh(z/2) and h = o tanh(c/2), as in the first LSTM",
         ((TANH_1997, HIDDEN_1997),
          (TANH_1997, HIDDEN_1997, (SLOPE["g"], "dg = dg * (1 - (g / 2) ** 2)"),
           (DO, "do = dh * np.tanh(c_new / 2)"),
           (DC, "dc = dc + dh * o * (1 - np.tanh(c_new / 2) ** 2) / 2")))),
    Twin(plain, "output from the old cell", "h = o tanh of c before its update",
         with_gradient((HIDDEN, HIDDEN.replace("c_new", "c")), (DO, "do = dh * np.tanh(c)"), (DC, "pass"),
                       (DC_BEFORE, "dc_before = dc * f + dh * o * (1 - np.tanh(c) ** 2)"))),
    Twin(plain, "peephole", "the gates see the cell state as well as h",
         (*with_gradient((Z, Z.replace("@ h", "@ (h + c)")), (DWEIGHT_HH, "dweight_hh = np.outer(dz, h + c)"),
                         (DH, f"{DH}; dc_before = dc_before + dh_before")),
          *with_gradient((GATES, f"{GATES}; i, f = i + c, f + c"),
                         (DZ, f"{DZ}; dc_before = dc_before + di + df")))),
    Twin(plain, "recurrence over the cell", "the gates see c of the frame before, not h",
         with_gradient((Z, Z.replace("@ h", "@ c")), (DWEIGHT_HH, "dweight_hh = np.outer(dz, c)"),
                       (DH, f"dc_before, dh_before = dc_before + {DH.partition(' = ')[2]}, 0 * h"))),
    Twin(plain, "recurrence lags by a frame", "the gates see h of two frames before",
         once(f"h, c, cache {STEP}",
              "before, (h, c, cache) = h, step(x[t, n], before if t != frames[0] else h, c, own)")),
    Twin(plain, "no recurrence", "the gates see x alone, not h of the frame before",
         with_gradient((Z, Z.replace("weight_hh @ h", "0")), (DWEIGHT_HH, "dweight_hh = 0 * weight_hh"),
                       (DH, "dh_before = 0 * h"))),
    # ---- weights and biases
    Twin(plain, "bias ignored", "no bias is added",
         once(Z, "z = weight_ih @ x + weight_hh @ h\n    i,")),
    Twin(plain, "only one of two biases", "bias_ih or bias_hh is not added",
         once(Z, Z.replace(" + bias_hh", ""), Z.replace(" + bias_ih", ""))),
    Twin(plain, "bias twice", "both biases, or one of them, are added twice",
         once(Z,
              *(Z.replace("+ bias_ih", f"+ bias_ih + {more}")
                for more in ("bias_ih + bias_hh", "bias_ih", "bias_hh")))),
    Twin(plain, "recurrent weights transposed",
         "each gate uses the transpose of its (H, H) matrix in weight_hh",
         with_gradient((Z, Z.replace("weight_hh @ h", f"(h @ {PER_GATE}).ravel()")),
                       (DH, f"dh_before = np.einsum('kij,kj->i', {PER_GATE}, dz.reshape(4, -1))"),
                       (DWEIGHT_HH, "dweight_hh = np.einsum('kj,i->kij', dz.reshape(4, -1), "
                        "h).reshape(weight_hh.shape)"))),
    Twin(plain, "weights read as (D, 4H)",
         "the numbers of weight_ih (4H, D), or weight_hh, or both, are read as a (D, 4H) matrix",
         tuple((tuple(changes) for changes in (
             [*reshaped("weight_ih", "x"), *reshaped("weight_hh", "h")], reshaped("weight_ih", "x"),
             reshaped("weight_hh", "h"))))),
    Twin(plain, "weights swapped",
         "weight_hh multiplies x and weight_ih multiplies h, which works only if D = H",
         with_gradient((Z, "z = weight_hh @ x + bias_ih + weight_ih @ h + bias_hh\n    i,"),
                       (DX_STEP, "dx = weight_hh.T @ dz"), (DH, "dh_before = weight_ih.T @ dz"),
                       (DWEIGHT_IH, "dweight_ih = np.outer(dz, h)"),
                       (DWEIGHT_HH, "dweight_hh = np.outer(dz, x)"))),
    Twin(plain, "float32 inside", "the errors are those of arithmetic in float32",
         once(GATES, f"{GATES.replace('z.', 'z.astype(np.float32).')}"), coarse=True),
)

IN_PADDING = "range(T)[::-1] if"
MASKED = (OUTPUT, "y[t, n, k] = h * (t < lengths[n])")
MASKED_BACK = (DY, "step_back(dy[t, n, k] * (t < lengths[n]) + dh, dc,")
PADDED = "y[lengths[n]:, n, k] = h0[k, n] if reverse[k] else h"
SORTED = "order = np.argsort(-lengths, kind='stable')\n    y = y[:, order]\n    "

BATCH_TWINS = (
    # ---- states
    Twin(plain, "initial state ignored", "h0, or c0, or both are replaced by 0",
         tuple((((STARTS, f"h, c = {wrong}"), *more)
               for wrong, given in [("np.zeros((2, H))", "0, 0"), ("np.zeros(H), c0[k, n]", "0, dc"),
                                    ("h0[k, n], np.zeros(H)", "dh, 0")]
               for more in ((), ((STATES_BACK, f"dh0[k, n], dc0[k, n] = {given}"),))))),
    Twin(plain, "initial states swapped", "h0 is taken for c0, and c0 for h0",
         with_gradient((STARTS, "c, h = h0[k, n], c0[k, n]"),
                       (STATES_BACK, "dc0[k, n], dh0[k, n] = dh, dc"))),
    Twin(plain, "initial state of the first sequence",
         "every sequence starts with the h0 and c0 of the first",
         with_gradient((STARTS, "h, c = h0[k, 0], c0[k, 0]"),
                       (STATES_BACK, "dh0[k, 0] += dh; dc0[k, 0] += dc"))),
    Twin(plain, "state leaks over sequences",
         "a sequence starts with the final h, or c, or both, of the sequence before it in the batch",
         (*(((STARTS, f"h, c = {left} if n else (h0[k, n], c0[k, n])"),)
            for left in ("(h, c)", "(h, c0[k, n])", "(h0[k, n], c)")),
          ((STARTS, "h, c = (h, c) if n else (h0[k, n], c0[k, n])"),
           (START_BACK, f"if n == N - 1:\n                {START_BACK}"),
           (STATES_BACK, "if n == 0:\n                dh0[k, n], dc0[k, n] = dh, dc")))),
    Twin(plain, "output lags by a frame", "y[t] is the state before frame t, not after it",
         with_gradient((OUTPUT, "y[t, n, k] = cache.h"), (DY, "step_back(dh, dc,"),
                       (DX, f"{DX}; dh = dh + dy[t, n, k]"))),
    Twin(plain, "output is the cell state", "y is c, not h",
         with_gradient((OUTPUT, "y[t, n, k] = c"), (DY, "step_back(dh, dc + dy[t, n, k],"))),
    Twin(plain, "final states swapped", "c_n is given for h_n, and h_n for c_n",
         once(LAST, "c_n[k, n], h_n[k, n] = h, c")),
    Twin(plain, "final state from the last frame of the batch",
         "h_n is y[T - 1], which may be padding, and which in the reverse direction is the first state",
         once(LAST, "h_n[k, n], c_n[k, n] = y[-1, n, k], c")),
    Twin(plain, "final state from the last frame of each sequence",
         "h_n is y at the last frame, which in the reverse direction is the first state",
         once(LAST, "h_n[k, n], c_n[k, n] = y[lengths[n] - 1, n, k] if lengths[n] else h, c")),
    # ---- lengths
    Twin(plain, "ignores lengths",
         "every sequence is read to the end of the batch, or of the longest sequence",
         once(FRAMES, FRAMES.replace("lengths[n]", "T"), FRAMES.replace("lengths[n]", "max(lengths)"))),
    Twin(plain, "lengths one too short", "the last frame of each sequence is not read",
         once(FRAMES, FRAMES.replace("lengths[n]", "lengths[n] - 1"))),
    Twin(plain, "lengths of the first sequence", "every sequence has as many frames as the first",
         once(FRAMES, FRAMES.replace("lengths[n]", "lengths[0]"))),
    Twin(plain, "padded outputs repeat the last one",
         "y is not 0 in padded frames: the last state stands there",
         with_gradient((LAST, f"{LAST}; {PADDED}"),
                       (START_BACK,
                        f"{START_BACK}; dh = dh + (dy[lengths[n]:, n, k].sum(axis=0) * (not reverse[k]))"))),
    Twin(plain, "padded outputs are computed", "y is not 0 in padded frames, which are read like all others",
         once(LAST,
              f"{LAST}\n            for t in range(lengths[n], T):\n"
              "                h, c, _ = step(x[t, n], h, c, own)\n                y[t, n, k] = h")),
    Twin(plain, "outputs sorted by length",
         "the sequences of y, or of the final states too, stay sorted, longest first",
         once(RETURN, SORTED + RETURN, f"{SORTED}h_n, c_n = h_n[:, order], c_n[:, order]\n    {RETURN}")),
    Twin(plain, "time and batch exchanged", "the steps go from sequence to sequence, not from frame to frame",
         (((SHAPES, f"x, dy = x.swapaxes(0, 1), dy.swapaxes(0, 1)\n    {SHAPES}\n    "
            "lengths, (h0, c0) = np.full(N, T), np.zeros((2, K, N, H))"),
           (RETURN, "h_n, c_n, dh0, dc0 = np.zeros((4, K, T, H))\n    "
            f"y, dx, T, N = y.swapaxes(0, 1), dx.swapaxes(0, 1), N, T\n    {RETURN}")),)),
    Twin(plain, "transposed batch", "(T, N, D) is read as if it were (N, T, D)",
         (((STEP, "= step(x.reshape(N, T, D)[n, t], h, c, own)"),),
          ((STEP, "= step(x.reshape(N, T, D)[n, t], h, c, own)"), (DX, "dx.reshape(N, T, D)[n, t] += dx_t"),
           (OUTPUT, "y.reshape(N, T, K, H)[n, t, k] = h"),
           (DY, "step_back(dy.reshape(N, T, K, H)[n, t, k] + " "dh, dc,")))),
    # ---- directions
    Twin(plain, "reverse direction starts in the padding",
         "it starts at the last frame of the batch, not of the sequence",
         (((BACK, IN_PADDING),), ((BACK, IN_PADDING), MASKED), ((BACK, IN_PADDING), MASKED, MASKED_BACK))),
    Twin(plain, "reverse direction reverses the padded batch",
         "it reads as many frames as the sequence has, but from the end of the batch",
         once(BACK, "range(T)[::-1][:lengths[n]] if")),
    Twin(plain, "reads from the wrong end",
         "the direction that should read from the end reads from the start, and the other one from the end",
         once(FRAMES, FRAMES.replace("reverse[k]", "not reverse[k]"))),
    Twin(plain, "reverse direction reads forward", "both directions read from the start",
         once(BACK, "range(lengths[n]) if")),
    Twin(plain, "reverse outputs in the order of reading",
         "the outputs of the reverse direction are not put back into the order of time",
         with_gradient((OUTPUT, "y[lengths[n] - 1 - t if reverse[k] else t, n, k] = h"),
                       (DY, "step_back(dy[lengths[n] - 1 - t if reverse[k] else t, n, k] + dh, dc,"))),
    Twin(plain, "outputs of the directions swapped", "the reverse direction stands first in y",
         with_gradient((OUTPUT, "y[t, n, K - 1 - k] = h"), (DY, "step_back(dy[t, n, K - 1 - k] + dh, dc,"))),
    Twin(plain, "weights of the directions swapped",
         "the forward direction has the weights of the reverse one",
         with_gradient((OWN, OWN.replace("[k]", "[K - 1 - k]")), (SUM, SUM.replace("[k]", "[K - 1 - k]")))),
    Twin(plain, "one set of weights for both directions",
         "the reverse direction has the forward one's weights",
         with_gradient((OWN, OWN.replace("[k]", "[0]")), (SUM, SUM.replace("[k]", "[0]")))),
)
