"""Simulated recordings whose transcript lacks words, and how well `align` finds the words that it holds.

    python -m tests.ctc.paths.recordings        # the table in benchmarks/README.md

A recording is a text of random words, as a network trained with CTC would hear it: a spike for each
character, one to three frames wide, and the blank in between. Of the spikes, some lose to another character
or to the blank, and some frames show a character that was not said. The transcript lacks about a fifth of
the words, and in every second recording it also begins and ends in the middle.
"""

from typing import NamedTuple

import numpy as np

from ctc_scratch import align, greedy_decode, label_error_rate

C = 30  # the blank, which is class 0, and 29 characters
CLOSE = 2  # frames that a label may be off at either end


class Recording(NamedTuple):
    logits: np.ndarray  # (T, C)
    said: list[int]  # all characters of the recording
    labels: list[int]  # (U,) those of the transcript
    places: np.ndarray  # (U, 2) first and last frame of their spikes
    borders: list[int]  # the positions between words, the two ends among them


def recording(n: int, noise: float) -> Recording:
    """Recording number n, of 300 to 600 frames; `noise` is the share of spikes that lose."""
    rng = np.random.default_rng((7, n))
    T = int(rng.integers(300, 601))
    words, frame = [], int(rng.integers(2, 20))
    while True:  # a word: (character, first frame, last frame) of each spike
        word = []
        for _ in range(rng.integers(2, 9)):
            width = int(rng.integers(1, 4))
            word.append((int(rng.integers(1, C)), frame, frame + width - 1))
            frame += width + int(rng.integers(1, 4))
        if frame + 2 > T:
            break
        words.append(word)
        frame += int(rng.integers(1, 10))
    spikes = [spike for word in words for spike in word]
    logits, said = heard(rng, spikes, T, noise), [c for c, *_ in spikes]
    if n % 2:  # the middle half
        words = words[len(words) // 4:len(words) - len(words) // 4]
    missing = rng.random(len(words)) < 0.2
    missing[rng.integers(1, len(words) - 1)] = True  # at least one, amid the others
    words = [word for word, not_written in zip(words, missing) if not not_written]
    spikes = [spike for word in words for spike in word]
    places = np.array([place for _, *place in spikes])
    borders = np.cumsum([0, *map(len, words)]).tolist()
    return Recording(logits, said, [c for c, *_ in spikes], places, borders)


def heard(rng, spikes, T, noise):
    """Logits (T, C): what a network makes of spikes (character, first frame, last frame)."""
    probs = rng.dirichlet(np.full(C, 0.1), T) * rng.uniform(0.002, 0.1, (T, 1))
    for t in np.flatnonzero(rng.random(T) < noise / 10):
        probs[t, rng.integers(1, C)] += rng.uniform(0.3, 1.5)  # nobody said that
    probs[:, 0] += 1.0 - probs[:, 1:].sum(axis=1).clip(0, 0.9)
    for label, first, last in spikes:
        fate, other = rng.random(), rng.integers(1, C)
        peak, rest = rng.uniform(0.7, 0.98), rng.uniform(0.0, 0.2)
        if fate < 0.7 * noise:  # it loses to another character
            peak, rest = rest, peak
        elif fate < noise:  # it loses to the blank
            peak = rng.uniform(0.02, 0.3)
        for t in range(first, last + 1):
            edge = rng.uniform(0.5, 1.0) if last > first and t in (first, last) else 1.0
            probs[t] *= 1.0 - edge * (max(peak, rest) if fate < 0.7 * noise else peak)
            probs[t, label] += edge * peak
            probs[t, other] += edge * rest * (1.0 - peak)
    return np.log(probs) + 0.5 * rng.standard_normal((T, C))


def distances(one: Recording, **options) -> np.ndarray:
    """How many frames each label (U,) is off, at the end where it is further off."""
    spans = [span for span in align(one.logits, one.labels, **options).spans if span.label > 0]
    assert [span.label for span in spans] == one.labels
    return np.abs(np.array([[span.first, span.last] for span in spans]) - one.places).max(axis=1)


def shares(recordings: list[Recording], with_stars: bool, weight: float = 0.0) -> tuple[float, float]:
    """The share of labels that are close to their place, and the share of recordings where all are."""
    close = [distances(one, star=one.borders if with_stars else None, star_weight=weight) <= CLOSE
             for one in recordings]
    return float(np.concatenate(close).mean()), float(np.mean([every.all() for every in close]))


def main() -> None:
    print("| spikes that lose | greedy error rate | `align` | stars | stars, weight -0.25 |")
    print("|---|---|---|---|---|")
    for noise in (0.0, 0.01, 0.02, 0.05, 0.1):
        recordings = [recording(n, noise) for n in range(200)]
        rate = label_error_rate([greedy_decode(one.logits) for one in recordings],
                                [one.said for one in recordings])
        cells = ["{:.2%}, {:.1%}".format(*shares(recordings, *how))
                 for how in ((False,), (True,), (True, -0.25))]
        print(f"| {noise:.0%} | {rate:.1%} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
