"""Is your CTC right? A check in one call, and test vectors for any implementation, in any language.

`layers/` checks an LSTM, or any other layer. It is not imported here, because it needs `ctc_scratch.nn`.
"""

from .adapter import Adapter
from .check import check_ctc
from .report import Report

__all__ = ["Adapter", "Report", "check_ctc"]
