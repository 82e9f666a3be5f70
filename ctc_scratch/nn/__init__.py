"""The network by hand: layers, their gradients, optimisers, and the check that they are right."""

from .gradcheck import GradCheck, assert_grad, check_grad
from .layers import Layer, Linear, Stack
from .lstm import LSTM, BiLSTM
from .muon import Muon, orthogonal
from .optim import SGD, Adam, Average, clip_by_global_norm, one_cycle

__all__ = ["Adam", "Average", "BiLSTM", "GradCheck", "LSTM", "Layer", "Linear", "Muon", "SGD", "Stack",
           "assert_grad", "check_grad", "clip_by_global_norm", "one_cycle", "orthogonal"]
