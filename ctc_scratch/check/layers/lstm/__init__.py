"""Is your LSTM right? `check_lstm`, a plain LSTM, and its wrong twins."""

from .adapter import LSTMAdapter
from .check import check_lstm

__all__ = ["LSTMAdapter", "check_lstm"]
