"""Is your CTC right? A check in one call, and test vectors for any implementation, in any language."""

from .adapter import Adapter
from .check import check_ctc
from .layers import LayerReport, LSTMAdapter, check_layer, check_lstm
from .report import Report

__all__ = ["Adapter", "LSTMAdapter", "LayerReport", "Report", "check_ctc", "check_layer", "check_lstm"]
