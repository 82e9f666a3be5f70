"""Adapters of functions to be checked: of `plain.solve` and its wrong twins, of our LSTM, and of torch's."""

import numpy as np

from ctc_scratch.check.layers import LSTMAdapter
from ctc_scratch.check.layers.answers import GRADIENT
from ctc_scratch.nn import LSTM, BiLSTM

REVERSE = {"forward": (False,), "reverse": (True,), "both": (False, True)}

# Ways of calling an LSTM. `given` is what it takes by name; without "gradient" it has no backward.
WAYS = {
    "everything": {"given": "lengths h0 c0", "biases": 2},
    "reverse": {"given": "lengths h0 c0", "directions": "reverse"},
    "both": {"given": "lengths h0 c0", "directions": "both"},
    "outputs": {"given": "lengths h0 c0", "directions": "both", "backward": False},
    "y alone": {"given": "", "backward": False, "final": False},
    "ragged y": {"given": "lengths", "backward": False, "final": False, "layout": "NTD"},
    "one sequence": {"given": "h0 c0", "layout": "TD"},
    "any padding": {"given": "lengths", "padding": "any", "biases": 0},
}


def adapter_of(solve, way="everything"):
    """An adapter of a function like `plain.solve`, which is called in this way."""
    options = {"directions": "forward", "biases": 1, "layout": "TND", "backward": True, "final": True,
               **WAYS[way]}
    given, final, has_backward = options.pop("given"), options.pop("final"), options.pop("backward")
    reverse, biases, layout = REVERSE[options["directions"]], options["biases"], options["layout"]
    K = len(reverse)

    def run(dy, x, weights, given):
        x, dy = (a if layout == "TND" else a.swapaxes(0, 1) if layout == "NTD" else a[:, None] for a in (x,
                                                                                                         dy))
        T, N, _ = x.shape
        weights = [a if K > 1 else a[None] for a in weights]
        H = weights[0].shape[1] // 4
        weights += [np.zeros((K, 4 * H))] * (4 - len(weights))
        states = [given.get(name, np.zeros((K, N, H))).reshape(K, N, H) for name in ("h0", "c0")]
        found = solve(x, given.get("lengths", np.full(N, T)), dict(zip(
            ("weight_ih", "weight_hh", "bias_ih", "bias_hh"), weights)), *states, dy.reshape(T, N, K, H),
                      reverse)
        for name, array in found.items():
            if name in ("y", f"{GRADIENT}x"):
                found[name] = (array if layout == "TND" else array.swapaxes(0, 1) if layout == "NTD"
                               else array[:, 0])
            elif layout == "TD" and name.removeprefix(GRADIENT) in ("h0", "c0", "h_n", "c_n"):
                found[name] = array[:, 0] if K > 1 else array[0, 0]
            else:
                found[name] = array if K > 1 else array[0]
        return found

    def run_forward(x, *weights, **given):
        H = weights[0].shape[-2] // 4
        found = run(np.zeros((*x.shape[:-1], K * H)), x, list(weights), given)
        return (found["y"], found["h_n"], found["c_n"]) if final else found["y"]

    def run_backward(dy, x, *weights, **given):
        found = run(dy, x, list(weights), given)
        gradients = {name.removeprefix(GRADIENT): array for name, array in found.items()
                     if name.startswith(GRADIENT)}
        if biases == 1:
            gradients["bias"] = gradients["bias_ih"]
        names = ["x", "weight_ih", "weight_hh", *{0: [], 1: ["bias"], 2: ["bias_ih", "bias_hh"]}[biases],
                 *given]
        return {name: gradients[name] for name in names if name != "lengths"}

    # `check_lstm` looks for names of arguments, so each set of names has a function of its own.
    forward, backward = {
        "": (lambda x, *w: run_forward(x, *w), lambda dy, x, *w: run_backward(dy, x, *w)),
        "lengths": (lambda x, *w, lengths: run_forward(x, *w, lengths=lengths),
                    lambda dy, x, *w, lengths: run_backward(dy, x, *w, lengths=lengths)),
        "h0 c0": (lambda x, *w, h0, c0: run_forward(x, *w, h0=h0, c0=c0),
                  lambda dy, x, *w, h0, c0: run_backward(dy, x, *w, h0=h0, c0=c0)),
        "lengths h0 c0": (
            lambda x, *w, lengths, h0, c0: run_forward(x, *w, lengths=lengths, h0=h0, c0=c0),
            lambda dy, x, *w, lengths, h0, c0: run_backward(dy, x, *w, lengths=lengths, h0=h0, c0=c0)),
    }[given]
    return LSTMAdapter(forward, backward if has_backward else None, **options)


def ours(directions="both", dtype=np.float64):
    """An adapter of `nn.LSTM`, or of `nn.BiLSTM` for both directions."""

    def layer_of(weights):
        weight_ih, weight_hh, bias = weights
        layer = (BiLSTM if directions == "both" else LSTM)(
            weight_ih.shape[-1], weight_hh.shape[-1], np.random.default_rng(0), dtype)
        sides = layer.directions.values() if directions == "both" else [layer]
        for k, side in enumerate(sides):
            for name, array in zip(("weight_ih", "weight_hh", "bias"), (weight_ih, weight_hh, bias)):
                side.params[name][...] = array[k] if directions == "both" else array
        return layer

    def forward(x, *weights, lengths):
        return layer_of(weights).forward(x, lengths)[0]

    def backward(dy, x, *weights, lengths):
        layer = layer_of(weights)
        dx, grads = layer.backward(dy, layer.forward(x, lengths)[1])
        if directions == "both":
            grads = {name: np.stack([grads[f"forward.{name}"], grads[f"reverse.{name}"]])
                     for name in ("weight_ih", "weight_hh", "bias")}
        return {"x": dx, **grads}

    return LSTMAdapter(forward, backward, directions=directions)


def torch_lstm(directions="both"):
    """An adapter of `torch.nn.LSTM` with packed sequences, initial and final states, and gradients."""
    import torch

    def run(x, weights, lengths, h0, c0):
        leaves = [a.requires_grad_() for a in (x, *weights, h0, c0)]
        K = 2 if directions == "both" else 1
        sides = [[a[k] if K > 1 else a for a in weights] for k in range(K)]
        lstm = torch.nn.LSTM(x.shape[2], weights[1].shape[-1], bidirectional=K > 1, dtype=x.dtype)
        names = [f"{name}_l0{suffix}" for suffix in ("", "_reverse")[:K]
                 for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        states = [a if K > 1 else a[None] for a in (h0, c0)]
        found, (h_n, c_n) = torch.func.functional_call(
            lstm, dict(zip(names, [a for side in sides for a in side])), (packed, states))
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(found, total_length=len(x))
        return (y, h_n, c_n) if K > 1 else (y, h_n[0], c_n[0]), leaves

    def forward(x, *weights, lengths, h0, c0):
        return run(x, weights, lengths, h0, c0)[0]

    def backward(dy, x, *weights, lengths, h0, c0):
        (y, _, _), leaves = run(x, weights, lengths, h0, c0)
        y.backward(dy)
        names = ("x", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "h0", "c0")
        return {name: leaf.grad for name, leaf in zip(names, leaves)}

    return LSTMAdapter(forward, backward, directions=directions, biases=2, tensor=torch.from_numpy,
                       skip=("sequences without frames",))
