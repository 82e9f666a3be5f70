"""Random problems for the decoders, and a language model of label pairs."""

import numpy as np

from ctc_scratch.ctc.enumeration import labelling_distribution


def random_case(rng, most_frames=7, most_classes=3):
    """Logits (T, C) of any scale, some with -inf entries, and a blank."""
    T, C = rng.integers(1, most_frames + 1), rng.integers(2, most_classes + 1)
    logits = rng.choice([0.5, 2.0, 10.0]) * rng.standard_normal((T, C))
    if rng.random() < 0.2:
        logits[rng.random((T, C)) < 0.2] = -np.inf
        logits[np.isinf(logits).all(axis=1)] = 0.0
    return logits, int(rng.integers(C))


def possible(log_probs, blank):
    """All labellings with a probability above 0, and the probability of each, most probable first."""
    distribution = labelling_distribution(log_probs, blank)
    return sorted(((p, labels) for labels, p in distribution.items() if p > 0), reverse=True)


class Pairs:
    """A language model of label pairs, with an end."""

    def __init__(self, rng, C, scale=3.0):
        self.table, self.last = rng.normal(0, scale, (C + 1, C)), rng.normal(0, scale, C + 1)

    def score(self, prefix, label):
        return self.table[prefix[-1] if prefix else -1, label]

    def end(self, prefix):
        return self.last[prefix[-1] if prefix else -1]

    def whole(self, labels):
        """What the model adds to the score of these labels in all."""
        return sum(self.score(labels[:u], c) for u, c in enumerate(labels)) + self.end(labels)


class Asked:
    """A model that passes on `score` and `end` of another; `asked` lists the labellings that were scored.

    highest_score : the bound that it declares, if any
    """

    def __init__(self, model, highest_score=None):
        self.model, self.asked = model, []
        if highest_score is not None:
            self.highest_score = highest_score

    def score(self, prefix, label):
        self.asked.append((*prefix, label))
        return self.model.score(prefix, label)

    def end(self, prefix):
        return self.model.end(prefix)


class AllAtOnce(Asked):
    """A model that gives the scores of another for all labels at once."""

    def score(self, prefix, label):
        raise AssertionError("scores_for takes the place of score")

    def scores_for(self, labels):
        return lambda prefix: np.array([self.model.score(prefix, c) for c in labels.tolist()])


def pairs_with_a_gap(rng, C):
    """A `Pairs` that never lets label 1 follow class 0."""
    model = Pairs(rng, C)
    model.table[0, 1] = -np.inf
    return model
