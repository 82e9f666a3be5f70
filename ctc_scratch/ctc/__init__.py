"""The CTC algorithm: definition, recursion, kernels, loss, lattice, decoding, metrics, diagnosis."""

from .decoding.beam_search import BeamStream, prefix_beam_search
from .decoding.greedy import GreedyStream, greedy_decode
from .decoding.hypotheses import Hypothesis
from .decoding.map_search import MapResult, map_decode
from .decoding.metrics import (
    character_error_rate,
    edit_distance,
    label_error_rate,
    sequence_accuracy,
    word_error_rate,
)
from .decoding.ngram import NGram
from .diagnosis.diagnose import Diagnosis, diagnose, diagnose_lengths
from .inputs.errors import InfeasibleTargetError
from .labels import can_skip, collapse, extend, min_frames
from .loss import CTCResult, Workspace, ctc_loss
from .partition import LogPartition, log_partition
from .paths.align import Alignment, Span, align
from .paths.lattice import Lattice, lattice
from .running.threads import get_num_threads, set_num_threads

__all__ = [
    "Alignment",
    "BeamStream",
    "CTCResult",
    "Diagnosis",
    "GreedyStream",
    "Hypothesis",
    "InfeasibleTargetError",
    "Lattice",
    "LogPartition",
    "MapResult",
    "NGram",
    "Span",
    "Workspace",
    "align",
    "can_skip",
    "character_error_rate",
    "collapse",
    "ctc_loss",
    "diagnose",
    "diagnose_lengths",
    "edit_distance",
    "extend",
    "get_num_threads",
    "greedy_decode",
    "label_error_rate",
    "lattice",
    "log_partition",
    "map_decode",
    "min_frames",
    "prefix_beam_search",
    "sequence_accuracy",
    "set_num_threads",
    "word_error_rate",
]
