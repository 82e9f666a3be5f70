"""Is your LSTM, or another layer, right? Each check is one call, like `check_ctc`."""

from .layer import check_layer
from .lstm.adapter import LSTMAdapter
from .lstm.check import check_lstm
from .report import LayerReport

__all__ = ["LSTMAdapter", "LayerReport", "check_layer", "check_lstm"]
