"""Is your CTC right? A check in one call, and test vectors for any implementation, in any language."""

from .adapter import Adapter
from .check import check_ctc
from .report import Report

__all__ = ["Adapter", "Report", "check_ctc"]
