"""The two losses that both tables compare, torch's and ours, and the BiLSTM that both tables train."""

from __future__ import annotations

from typing import Callable

import torch
from torch import nn

from ctc_scratch import torch as ctc_torch

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(logits (T, N, C), targets (N, U), logit lengths (N,), target lengths (N,)) -> the mean loss"""


def torch_loss(logits, targets, lengths, counts):
    return nn.functional.ctc_loss(logits.log_softmax(2), targets, lengths, counts)


LOSSES: dict[str, Loss] = {"torch": torch_loss, "ctc_scratch": ctc_torch.ctc_loss_from_logits}


class BiLSTM(nn.Module):
    def __init__(self, layers: int, hidden: int, D: int, C: int):
        super().__init__()
        self.lstm, self.output = nn.LSTM(D, hidden, layers, bidirectional=True), nn.Linear(2 * hidden, C)

    def forward(self, x):
        return self.output(self.lstm(x)[0])
