"""Why a target does not fit its frames, or why a batch is probably not what it was meant to be.

`diagnose` takes what `ctc_loss` takes, and it reports mistakes without raising: what is wrong, where,
which common mistake it looks like, and what to change. `diagnose_lengths` needs no logits, only the number
of frames of each target; it takes a single target or a whole data set.

An *error* is something that `ctc_loss` refuses or gives probability 0. A *suspicion* is legal but seldom
intended: logits that are already probabilities, or lengths that equal the label counts. All mistakes are
named, unless one makes another impossible to see. If no error is found among the common mistakes, the
checks of `ctc_loss` are run, and what they raise becomes a finding.

`arguments` reads the arguments, `mistakes` and `fits` look for mistakes, `findings` has the results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ..inputs.options import check_blank, check_count
from ..inputs.targets import check_targets
from ..inputs.values import check_logits
from .arguments import (
    is_one_target,
    read_array,
    read_batch,
    read_blank,
    read_frames,
    read_logits,
    read_mask,
    read_targets,
)
from .findings import Diagnosis, count, few
from .fits import find_misfits
from .mistakes import find_label_counts_as_lengths, find_label_mistakes, find_value_mistakes

MORE_THAN_ANY_LABEL = 2**62
"""Stands for the number of classes if that is not known."""


def diagnose(
    logits: ArrayLike, targets: Any, logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None, *, blank: int = 0, layout: Literal["TNC", "NTC"] = "TNC",
) -> Diagnosis:
    """What is wrong with a batch, in words; the arguments are those of `ctc_loss`.

    Parameters
    ----------
    logits, targets, logit_lengths, target_lengths, blank, layout : as for `ctc_loss`

    Returns
    -------
    Diagnosis
        It has no findings if `ctc_loss` accepts the batch and nothing looks strange.

    Notes
    -----
    An error is certain. A suspicion rests on a coincidence, for example that three or more lengths
    all equal their label counts, and may be wrong where the data are unusual.

    Examples
    --------
    Three labels, one of them a repeat, need four frames. Here the lengths were counted in labels:

    >>> import numpy as np
    >>> print(diagnose(np.zeros((9, 1, 3)), [[1, 1, 2]], [3]))
    1 sequence: 3 labels, 1 repeat (at label 1), 4 frames needed, 3 there
    <BLANKLINE>
    ERROR lengths-in-labels: lengths are counted in labels, not in frames
      Each sequence has as many frames as labels (3), while the logits have 9
      frames. 1 of 1 target cannot fit: a repeat needs one more frame, for the
      blank that separates it from its neighbour.
      -> Pass the number of frames (rows of the network's output) of each sequence,
      not its number of labels.
    <BLANKLINE>
    1 error, 0 suspicions.
    """
    diagnosis = Diagnosis()

    def find() -> None:
        class_of_blank = read_blank(diagnosis, blank)
        unmasked, lengths = read_mask(diagnosis, logits, logit_lengths, layout)
        scores = read_logits(diagnosis, unmasked)
        if scores is None:      # targets alone may hold further mistakes
            several = [targets] if is_one_target(targets) else targets
            labels, _ = read_targets(
                diagnosis, several, read_array(diagnosis, target_lengths, "target_lengths"))
            find_label_mistakes(diagnosis, labels or [], None, class_of_blank, False, None, None)
            return
        batch = read_batch(diagnosis, scores, targets, lengths, target_lengths, layout)
        if batch.lengths is not None:
            find_value_mistakes(diagnosis, batch)
        if batch.targets is None:
            return
        labels = find_label_mistakes(diagnosis, batch.targets, batch.C, class_of_blank, batch.padded,
                                     batch.lengths, batch.winners())
        if batch.lengths is not None:
            if not batch.unclear:
                find_label_counts_as_lengths(diagnosis, labels, batch.lengths, batch.T)
            find_misfits(diagnosis, labels, batch.lengths, class_of_blank, batch, batch.unclear)

    def check() -> None:
        frames = check_logits(logits, logit_lengths, layout)
        check_targets(targets, target_lengths, frames, check_blank(blank, frames.rows.shape[1]))

    return _completed(diagnosis, find, check)


def diagnose_lengths(
    targets: Any, frames: Any, *, blank: int = 0, classes: int | None = None
) -> Diagnosis:
    """What is wrong with targets and their numbers of frames, without any logits.

    Parameters
    ----------
    targets : N integer sequences, or one
    frames : N integers, the number of frames of each target, or one integer for all of them
    blank : which class is the blank
    classes : C; if it is given, labels must be below it

    Returns
    -------
    Diagnosis

    >>> print(diagnose_lengths([1, 1, 2], 4))
    1 sequence: 3 labels, 1 repeat (at label 1), 4 frames needed, 4 there
    It fits; nothing strange found.
    """
    diagnosis = Diagnosis()

    def find() -> None:
        class_of_blank, C = read_blank(diagnosis, blank), None
        if classes is not None:
            try:
                C = check_count("classes", classes)
            except (TypeError, ValueError) as refusal:
                diagnosis.add("arguments", [], f"{refusal}.", "Pass the number of classes, with the blank.")
        labels, unclear = read_targets(diagnosis, [targets] if is_one_target(targets) else targets, None)
        if labels is None:
            return
        lengths = read_frames(frames)
        if lengths.size == 1:
            lengths = np.repeat(lengths, len(labels))
        is_whole = lengths.dtype.kind in "iu" and len(lengths) == len(labels)
        wrong = np.flatnonzero(lengths < 0).tolist() if is_whole else []
        if not is_whole or wrong:
            diagnosis.add(
                "lengths", wrong,
                f"The frames of {count(len(labels), 'target')} are {few(lengths.tolist())}.",
                "Give each target a whole number of frames, 0 or more.",
            )
        labels = find_label_mistakes(diagnosis, labels, C, class_of_blank, False,
                                     None if not is_whole or wrong else lengths, None)
        if is_whole:
            unclear.update(wrong)
            if not unclear:
                find_label_counts_as_lengths(diagnosis, labels, lengths, None)
            find_misfits(diagnosis, labels, lengths, class_of_blank, None, unclear)

    def check() -> None:
        check_blank(blank, MORE_THAN_ANY_LABEL if classes is None else check_count("classes", classes))
        is_one_target(targets), read_frames(frames)

    return _completed(diagnosis, find, check)


def _completed(diagnosis: Diagnosis, find: Callable[[], None], check: Callable[[], None]) -> Diagnosis:
    """The diagnosis after find(); if that adds no error, or fails, what check() raises is added."""
    failure = None
    try:
        find()
    except Exception as error:  # the arguments are not a batch at all; check() says why
        failure = error
    if failure or not diagnosis.errors:
        try:
            check()
        except Exception as refusal:    # the arguments may be of any kind
            diagnosis.add(
                "arguments", [], f"{refusal}.", "Pass what the docstring of ctc_loss asks for.")
        else:
            if failure:
                raise failure
    return diagnosis
