"""Is your LSTM, or any other layer, right? Checks in one call, like that of CTC."""

from .layer import check_layer
from .lstm.adapter import LSTMAdapter
from .lstm.check import check_lstm
from .report import LayerReport

__all__ = ["LSTMAdapter", "LayerReport", "check_layer", "check_lstm"]
