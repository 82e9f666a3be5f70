"""Connectionist Temporal Classification from scratch.

The public names; each is explained where it is defined:

- `ctc_scratch.ctc`, the algorithm: `ctc_loss`, `greedy_decode`, and the ladder
  `enumeration`, `reference`, `kernels`, on which it can be read
- `ctc_scratch.nn`, the network by hand: layers, LSTM, optimisers, `check_grad`
- `ctc_scratch.digits`, the task: rows of MNIST digits
- `ctc-scratch --help`, the command line
"""

from .ctc import (
    CTCResult,
    InfeasibleTargetError,
    LogPartition,
    Workspace,
    can_skip,
    collapse,
    ctc_loss,
    edit_distance,
    extend,
    get_num_threads,
    greedy_decode,
    label_error_rate,
    log_partition,
    min_frames,
    sequence_accuracy,
    set_num_threads,
)

__all__ = [
    "CTCResult",
    "InfeasibleTargetError",
    "LogPartition",
    "Workspace",
    "can_skip",
    "collapse",
    "ctc_loss",
    "edit_distance",
    "extend",
    "get_num_threads",
    "greedy_decode",
    "label_error_rate",
    "log_partition",
    "min_frames",
    "sequence_accuracy",
    "set_num_threads",
]
