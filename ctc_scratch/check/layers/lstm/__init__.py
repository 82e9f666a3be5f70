"""Is your LSTM right? `check_lstm`, a plain LSTM to compare with, and copies of it with one mistake each."""

from .adapter import LSTMAdapter
from .check import check_lstm

__all__ = ["LSTMAdapter", "check_lstm"]
