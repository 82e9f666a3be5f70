"""Wrong twins of the plain layers: `plain_layers.py` with one mistake each."""

from __future__ import annotations

from . import plain_layers
from .twin import Twin, once, with_gradient

# The affine map.
Y = "return x @ weight.T + bias"
DX, DWEIGHT = "dx = dy @ weight", "dweight = dy.reshape(-1, dy.shape[-1]).T @ x.reshape(-1, x.shape[-1])"
DBIAS = "dbias = dy.sum(axis=tuple(range(dy.ndim - 1)))"
DWEIGHT_T = "dweight = (x.reshape(-1, x.shape[-1]).T @ dy.reshape(-1, dy.shape[-1]))"
RETURN = 'return {"x": dx, "weight": dweight, "bias": dbias}'
RESHAPED = "weight.reshape(weight.shape[::-1])"
N = "x.shape[-2]"
"""The number of samples, for an x of shape (T, N, D) or (N, D)."""


def _weights(change: str) -> tuple:
    """Variants that change the gradients d_ of the weight and the bias, or only one of them."""
    weight, bias = (f"{name} = {change.replace('d_', name)}" for name in ("dweight", "dbias"))
    return once(RETURN, f"{weight}; {bias}; {RETURN}", f"{weight}; {RETURN}", f"{bias}; {RETURN}")


def _frames(index: str) -> tuple:
    """Variants in which only some frames count in the gradients of the weight, the bias, or both."""
    weight = (DWEIGHT, DWEIGHT.replace("dy.r", f"dy[{index}].r").replace("x.r", f"x[{index}].r"))
    bias = (DBIAS, f"dbias = dy[{index}].reshape(-1, dy.shape[-1]).sum(axis=0)")
    return (weight, bias), (weight,), (bias,)


LINEAR_TWINS = (
    Twin(plain_layers, "bias missing", "y = weight x",
         with_gradient((Y, "return x @ weight.T"), (DBIAS, "dbias = 0 * bias"))),
    Twin(plain_layers, "bias twice", "y = weight x + 2 bias",
         with_gradient((Y, f"{Y} + bias"), (DBIAS, f"{DBIAS} * 2"))),
    Twin(plain_layers, "bias subtracted", "y = weight x - bias",
         with_gradient((Y, Y.replace("+", "-")), (DBIAS, DBIAS.replace("= dy", "= -dy")))),
    Twin(plain_layers, "weight transposed", "y = weightᵀ x + bias, which works only if C = D",
         with_gradient((Y, Y.replace(".T", "")), (DX, f"{DX}.T"), (DWEIGHT, DWEIGHT_T))),
    Twin(plain_layers, "weight read as (D, C)",
         "the numbers of the (C, D) matrix are read as a (D, C) matrix",
         with_gradient((Y, Y.replace("weight.T", RESHAPED)), (DX, f"dx = dy @ {RESHAPED}.T"),
                       (DWEIGHT, DWEIGHT_T + ".reshape(weight.shape)"))),
    Twin(plain_layers, "gradient of x with the transposed weight",
         "dx = weight dy, which works only if C = D",
         once(DX, f"{DX}.T")),
    Twin(plain_layers, "weight gradient transposed",
         "the numbers of the gradient (C, D) are those of its transpose",
         once(DWEIGHT, DWEIGHT_T + ".reshape(weight.shape)")),
    Twin(plain_layers, "gradients averaged over samples", "the sum over all frames is divided by N",
         _weights(f"d_ / {N}")),
    Twin(plain_layers, "gradients averaged over frames", "the sum over all frames is divided by T, or by T N",
         (*_weights("d_ / len(x)"), *_weights("d_ / (x.size / x.shape[-1])"))),
    Twin(plain_layers, "gradients of the last frame only",
         "the weight and the bias, or one of them, have the gradient of the last frame, not the sum",
         _frames("-1")),
    Twin(plain_layers, "gradients of the first frame only",
         "the weight and the bias, or one of them, have the gradient of the first frame, not the sum",
         _frames("0")),
    Twin(plain_layers, "gradients of one sample only", "the weight and the bias, or one of them, have the "
         "gradient of the first or last sample, not the sum",
         (*_frames("..., 0, :"), *_frames("..., -1, :"))),
    Twin(plain_layers, "no gradient of the bias", "it is 0",
         once(RETURN, f"dbias = 0 * bias; {RETURN}")),
    Twin(plain_layers, "no gradient of the weight", "it is 0",
         once(RETURN, f"dweight = 0 * weight; {RETURN}")),
    Twin(plain_layers, "no gradient of x", "it is 0",
         once(DX, "dx = 0 * x")),
    Twin(plain_layers, "bias gradient twice", "the gradient of the bias is counted twice",
         once(DBIAS, f"{DBIAS} * 2")),
    Twin(plain_layers, "dy ignored", "the gradients are those of the sum of y, as if dy were 1",
         once(DX, f"dy = np.ones(dy.shape); {DX}")),
    Twin(plain_layers, "sign of the gradients", "every gradient has the wrong sign",
         once(DX, f"dy = -dy; {DX}")),
    Twin(plain_layers, "sign of the gradients of the weights",
         "the gradients of the weight and the bias have the wrong sign",
         once(RETURN, f"dweight, dbias = -dweight, -dbias; {RETURN}")),
    Twin(plain_layers, "float32 inside", "the errors are those of arithmetic in float32",
         with_gradient((Y, f"x, weight, bias = (a.astype(np.float32) for a in (x, weight, bias)); {Y}"),
                       (DX, f"dy, x, weight = (a.astype(np.float32) for a in (dy, x, weight)); {DX}")),
         coarse=True),
)

TANH, SIGMOID, RELU = "    y = np.tanh(x)", "return 0.5 + 0.5 * np.tanh(0.5 * x)", "return np.maximum(x, 0)"
TANH_SLOPE, SIGMOID_SLOPE, RELU_SLOPE = "dy * (1 - np.tanh(x) ** 2)", "dy * s * (1 - s)", "dy * (x > 0)"

ENTRY_TWINS = {
    "tanh": (
        Twin(plain_layers, "sigmoid for tanh", "y = σ(x)",
             with_gradient((TANH, "    y = sigmoid(x)"), (TANH_SLOPE, "dy * sigmoid(x) * (1 - sigmoid(x))"))),
        Twin(plain_layers, "tanh of x / 2", "y = 2 σ(x) - 1, which is tanh(x/2)",
             with_gradient((TANH, "    y = np.tanh(x / 2)"),
                           (TANH_SLOPE, "dy * (1 - np.tanh(x / 2) ** 2) / 2"))),
        Twin(plain_layers, "slope forgotten", "dx = dy",
             once(TANH_SLOPE, "dy")),
        Twin(plain_layers, "slope 1 - x²", "dx has 1 - x² in place of 1 - y²",
             once(TANH_SLOPE, "dy * (1 - x ** 2)")),
        Twin(plain_layers, "slope 1 - y", "dx has 1 - y in place of 1 - y²",
             once(TANH_SLOPE, "dy * (1 - np.tanh(x))")),
        Twin(plain_layers, "slope at y", "dx has the slope at y in place of that at x",
             once(TANH_SLOPE, "dy * (1 - np.tanh(np.tanh(x)) ** 2)")),
        Twin(plain_layers, "slope of sigmoid", "dx has y (1 - y) in place of 1 - y²",
             once(TANH_SLOPE, "dy * np.tanh(x) * (1 - np.tanh(x))")),
        Twin(plain_layers, "sign of the gradients", "dx has the wrong sign",
             once(TANH_SLOPE, f"-{TANH_SLOPE}")),
    ),
    "sigmoid": (
        Twin(plain_layers, "tanh for sigmoid", "y = tanh x",
             with_gradient((SIGMOID, "return np.tanh(x)"), ("s = sigmoid(x)", "s = np.tanh(x)"),
                           (SIGMOID_SLOPE, "dy * (1 - s ** 2)"))),
        Twin(plain_layers, "sigmoid of -x", "y = 1 / (1 + exp x)",
             with_gradient((SIGMOID, SIGMOID.replace("+", "-")), (SIGMOID_SLOPE, f"-{SIGMOID_SLOPE}"))),
        Twin(plain_layers, "sigmoid overflows", "exp x / (1 + exp x) is inf / inf at a large x",
             once(SIGMOID, "return np.exp(x) / (1 + np.exp(x))")),
        Twin(plain_layers, "hard sigmoid", "y is x/5 + 1/2 or x/6 + 1/2 between 0 and 1",
             tuple((variant for slope in ("0.2", "(1 / 6)") for variant in with_gradient(
                 (SIGMOID, f"return np.clip({slope} * x + 0.5, 0, 1)"),
                 (SIGMOID_SLOPE, f"dy * {slope} * ((s > 0) & (s < 1))"))))),
        Twin(plain_layers, "slope forgotten", "dx = dy",
             once(SIGMOID_SLOPE, "dy")),
        Twin(plain_layers, "slope x (1 - x)", "dx has x in place of y",
             once(SIGMOID_SLOPE, "dy * x * (1 - x)")),
        Twin(plain_layers, "slope of tanh", "dx has 1 - y² in place of y (1 - y)",
             once(SIGMOID_SLOPE, "dy * (1 - s ** 2)")),
        Twin(plain_layers, "slope at y", "dx has the slope at y in place of that at x",
             once("s = sigmoid(x)", "s = sigmoid(sigmoid(x))")),
        Twin(plain_layers, "sign of the gradients", "dx has the wrong sign",
             once(SIGMOID_SLOPE, f"-{SIGMOID_SLOPE}")),
    ),
    "relu": (
        Twin(plain_layers, "leaky", "y is a hundredth, or a fifth, of a negative x, not 0",
             tuple(variant for leak in ("0.01", "0.2") for variant in with_gradient(
                 (RELU, f"return np.maximum(x, {leak} * x)"),
                 (RELU_SLOPE, f"dy * np.where(x > 0, 1, {leak})")))),
        Twin(plain_layers, "absolute value", "y = |x|",
             with_gradient((RELU, "return np.abs(x)"), (RELU_SLOPE, "dy * np.sign(x)"))),
        Twin(plain_layers, "negative part", "y = min(x, 0)",
             with_gradient((RELU, "return np.minimum(x, 0)"), (RELU_SLOPE, "dy * (x < 0)"))),
        Twin(plain_layers, "slope forgotten", "dx = dy",
             once(RELU_SLOPE, "dy")),
        Twin(plain_layers, "slope by the sign of dy", "dx is dy where dy > 0, else 0",
             once(RELU_SLOPE, "dy * (dy > 0)")),
        Twin(plain_layers, "sign of the gradients", "dx has the wrong sign",
             once(RELU_SLOPE, f"-{RELU_SLOPE}")),
    ),
}

LAYER_TWINS = {"linear": LINEAR_TWINS, **ENTRY_TWINS}
