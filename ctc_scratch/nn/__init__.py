"""The network, written by hand: layers with their gradients, optimisers, and a check of the gradients.

Read `layers.py` first: what a layer is, and the simplest one. `lstm.py` is the LSTM; its steps, forward and
backward, are in `steps.py`, which takes tanh and σ from `activations.py` and its matrix product from
`product.py`. `gradcheck.py` checks any of it. `optim.py` and `muon.py` change the parameters;
`optimiser_kernels.py` has their loops.
"""

from .gradcheck import GradCheck, assert_grad, check_grad
from .layers import Layer, Linear, Stack
from .lstm import LSTM, BiLSTM
from .muon import Muon, orthogonal
from .optim import SGD, Adam, Average, clip_by_global_norm, one_cycle

__all__ = ["Adam", "Average", "BiLSTM", "GradCheck", "LSTM", "Layer", "Linear", "Muon", "SGD", "Stack",
           "assert_grad", "check_grad", "clip_by_global_norm", "one_cycle", "orthogonal"]
