"""The CTC algorithm: definition, recursion, kernels, loss, decoding, metrics."""

from .beam import Hypothesis
from .checks import InfeasibleTargetError
from .decode import BeamStream, GreedyStream, greedy_decode, prefix_beam_search
from .labels import can_skip, collapse, extend, min_frames
from .loss import CTCResult, LogPartition, Workspace, ctc_loss, log_partition
from .map_search import MapResult, map_decode
from .metrics import edit_distance, label_error_rate, sequence_accuracy
from .ngram import NGram
from .threads import get_num_threads, set_num_threads

__all__ = [
    "BeamStream",
    "CTCResult",
    "GreedyStream",
    "Hypothesis",
    "InfeasibleTargetError",
    "LogPartition",
    "MapResult",
    "NGram",
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
    "map_decode",
    "min_frames",
    "prefix_beam_search",
    "sequence_accuracy",
    "set_num_threads",
]
