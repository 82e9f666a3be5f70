"""The CTC algorithm: definition, recursion, kernels, loss, objectives, lattice, decoding, diagnosis."""

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
from .hessian import (
    CTCHVP,
    LogPartitionHVP,
    ctc_loss_hvp,
    fisher_vp,
    gauss_newton_vp,
    log_partition_hvp,
)
from .inputs.errors import InfeasibleTargetError
from .labels import can_skip, collapse, extend, min_frames
from .loss import CTCResult, Workspace, ctc_loss
from .objectives import (
    DelayResult,
    ObjectiveResult,
    RunningPrior,
    bayes_risk_ctc_loss,
    delay_ctc_loss,
    entropy_ctc_loss,
    focal_ctc_loss,
    min_risk_ctc_loss,
    prior_ctc_loss,
    star_ctc_loss,
    topology_ctc_loss,
)
from .partition import LogPartition, log_partition
from .paths.align import Alignment, Span, align
from .paths.lattice import Lattice, lattice
from .running.threads import get_num_threads, set_num_threads

__all__ = [
    "Alignment",
    "BeamStream",
    "CTCHVP",
    "CTCResult",
    "DelayResult",
    "Diagnosis",
    "GreedyStream",
    "Hypothesis",
    "InfeasibleTargetError",
    "Lattice",
    "LogPartition",
    "LogPartitionHVP",
    "MapResult",
    "NGram",
    "ObjectiveResult",
    "RunningPrior",
    "Span",
    "Workspace",
    "align",
    "bayes_risk_ctc_loss",
    "can_skip",
    "character_error_rate",
    "collapse",
    "ctc_loss",
    "ctc_loss_hvp",
    "delay_ctc_loss",
    "diagnose",
    "diagnose_lengths",
    "edit_distance",
    "entropy_ctc_loss",
    "extend",
    "fisher_vp",
    "focal_ctc_loss",
    "gauss_newton_vp",
    "get_num_threads",
    "greedy_decode",
    "label_error_rate",
    "lattice",
    "log_partition",
    "log_partition_hvp",
    "map_decode",
    "min_frames",
    "min_risk_ctc_loss",
    "prefix_beam_search",
    "prior_ctc_loss",
    "sequence_accuracy",
    "set_num_threads",
    "star_ctc_loss",
    "topology_ctc_loss",
    "word_error_rate",
]
