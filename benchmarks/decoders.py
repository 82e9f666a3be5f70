"""How fast is prefix beam search and how good are its answers, compared with other decoders?

    python -m benchmarks.decoders [--seconds 2] [--sequences 20]

The others are fast-ctc-decode (Rust; extra `bench`) and pyctcdecode (Python). All run on one thread,
one sequence per call, with the same posteriors and the same beam width. Only the width prunes:
beam_cut_threshold is 0 for fast-ctc-decode, beam_prune_logp and token_min_logp are -inf for pyctcdecode
(which also clips probabilities below 1e-15; that cannot be switched off). pyctcdecode asks for a NumPy
below 2, but runs with newer versions. To install it beside the others:

    pip install --no-deps pyctcdecode pygtrie

Ours and pyctcdecode get logits and apply the softmax themselves; fast-ctc-decode gets float32
probabilities. There are two kinds of posteriors:

    flat    logits are standard normal: every class is likely everywhere, which is hard to search
    peaky   simulates a trained network: blanks, and about every eighth frame a spike of one or two
            frames for a label, sometimes with a rival label

"ours" returns labels and their score. "in full" adds the exact log-probability and the spans of the best
alignment (fast-ctc-decode, too, returns one frame per label). "reranked" takes the hypothesis of the last
beam whose exact log-probability is highest.

First the answers are compared: how often they equal the labels of "ours", and their mean exact ln P.
`map_decode` gives a bound that no labelling exceeds. Then the contenders take turns on the first
sequence. The run takes about ten minutes, most of it in pyctcdecode.
"""

from __future__ import annotations

import argparse
import logging
import math
from typing import Callable

import numpy as np

from ctc_scratch import ctc_loss, map_decode, prefix_beam_search, set_num_threads

from .tools.harness import conclude, first_call, interleave, machine, milliseconds, ratio

SHAPES = [  # T, C, width
    (1000, 5, 5),
    (500, 32, 16),
    (200, 100, 32),
]
FIRST_SYMBOL = 0x4E00  # for decoders of text, class c is this character plus c: no space, no BPE mark

Decoder = Callable[[], list[int]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoders")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds per shape (default: 2)")
    parser.add_argument("--sequences", type=int, default=20, help="sequences to compare (default: 20)")
    options = parser.parse_args()
    set_num_threads(1)

    print(f"{machine()}\n{first_call(lambda: _in_full(np.zeros((2, 2), np.float32), 2))}\n")

    rows, results = [], []
    for shape in SHAPES:
        label = "{}, {}, {}".format(*shape)
        for kind, draw in {"flat": flat, "peaky": peaky}.items():
            rng = np.random.default_rng(0)
            sequences = [draw(rng, *shape[:2]) for _ in range(options.sequences)]
            quality, best = compare(sequences, shape[2])
            for name, (spent, slower) in measure(sequences[0], shape[2], options.seconds).items():
                agreement, log_prob = quality[name]
                rows.append([label, kind, name, milliseconds(spent), f"{slower:.2f}", f"{agreement:.0%}",
                             f"{log_prob:.4f}"])
                results.append(dict(shape=shape, kind=kind, contender=name, agreement=agreement,
                                    log_prob=log_prob, bound=best, seconds=spent.tolist()))
            rows.append([label, kind, "no labelling exceeds", "", "", "", f"{best:.4f}"])
    header = ["T, C, width", "posteriors", "contender", "ms (middle half)", "times as long as ours",
              "same labels", "mean ln P"]
    conclude("decoders", header, rows, results)


def flat(rng: np.random.Generator, T: int, C: int) -> np.ndarray:
    """Logits (T, C) without structure: each class is equally likely to be the best of a frame."""
    return rng.standard_normal((T, C)).astype(np.float32)


def peaky(rng: np.random.Generator, T: int, C: int) -> np.ndarray:
    """Logits (T, C) of spikes between blanks; spikes and rivals are 6 nats high, with deviation 2."""
    logits = rng.standard_normal((T, C))
    logits[:, 0] += 7.0
    t = int(rng.integers(1, 8))
    while t < T:
        frames = slice(t, t + int(rng.integers(1, 3)))
        label, rival = rng.integers(1, C, 2)
        logits[frames, 0] -= rng.normal(5.0, 2.0)
        logits[frames, label] += rng.normal(6.0, 2.0)
        if rng.random() < 0.2:
            logits[frames, rival] += rng.normal(6.0, 2.0)
        t += int(rng.integers(4, 13))
    return logits.astype(np.float32)


def compare(sequences: list[np.ndarray], width: int) -> tuple[dict[str, tuple[float, float]], float]:
    """For each contender: how often it finds the labels of "ours", and the mean exact ln P of its labels.

    The second result is an upper bound on this mean for any decoder.
    """
    answers = [{name: call() for name, call in contenders(logits, width).items()} for logits in sequences]
    quality = {}
    for name in answers[0]:
        same = [answer[name] == answer["ours"] for answer in answers]
        log_probs = [-ctc_loss(logits.astype(np.float64), answer[name]).loss
                     for logits, answer in zip(sequences, answers)]
        quality[name] = float(np.mean(same)), float(np.mean(log_probs))
    proofs = [map_decode(logits, budget=1000) for logits in sequences]
    return quality, math.fsum(proof.log_prob + proof.gap for proof in proofs) / len(proofs)


def measure(logits: np.ndarray, width: int, seconds: float) -> dict[str, tuple[np.ndarray, float]]:
    """The times of each contender, and how many times as long as ours it takes.

    pyctcdecode takes turns with ours only: it is so slow that the others would get too few turns.
    """
    calls = contenders(logits, width)
    slow = {name: calls.pop(name) for name in ["pyctcdecode"] if name in calls}
    times = interleave(calls, seconds)
    found = {name: (spent, ratio(times, name, "ours")) for name, spent in times.items()}
    times = interleave({"ours": calls["ours"], **slow}, 0.0, least=3)
    return found | {name: (times[name], ratio(times, name, "ours")) for name in slow}


def contenders(logits: np.ndarray, width: int) -> dict[str, Decoder]:
    """The installed decoders, each as a function that decodes this sequence."""
    return {
        "ours": lambda: prefix_beam_search(logits, beam_width=width)[0].labels,
        "ours, in full": lambda: _in_full(logits, width),
        "ours, reranked": lambda: _reranked(logits, width),
        **_with_fast_ctc_decode(logits, width),
        **_with_pyctcdecode(logits, width),
    }


def _in_full(logits: np.ndarray, width: int) -> list[int]:
    best, = prefix_beam_search(logits, beam_width=width)
    assert best.log_prob <= 0 and len(best.spans) == len(best.labels)
    return best.labels


def _reranked(logits: np.ndarray, width: int) -> list[int]:
    return max(prefix_beam_search(logits, beam_width=width, top=width), key=lambda h: h.log_prob).labels


def _with_fast_ctc_decode(logits: np.ndarray, width: int) -> dict[str, Decoder]:
    try:
        import fast_ctc_decode
    except ImportError:
        return {}
    probs = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)
    alphabet = _alphabet(logits)

    def call() -> list[int]:
        text, _ = fast_ctc_decode.beam_search(probs, alphabet, beam_size=width, beam_cut_threshold=0.0)
        return _labels(text)

    return {"fast-ctc-decode": call}


def _with_pyctcdecode(logits: np.ndarray, width: int) -> dict[str, Decoder]:
    logging.getLogger("pyctcdecode").setLevel(logging.ERROR)  # it warns that kenlm and a space are missing
    try:
        import pyctcdecode
    except ImportError:
        return {}
    decoder = pyctcdecode.build_ctcdecoder(["", *_alphabet(logits)[1:]])

    def call() -> list[int]:
        beams = decoder.decode_beams(
            logits, beam_width=width, beam_prune_logp=-np.inf, token_min_logp=-np.inf, prune_history=False
        )
        return _labels(beams[0][0])

    return {"pyctcdecode": call}


def _alphabet(logits: np.ndarray) -> list[str]:
    return [chr(FIRST_SYMBOL + c) for c in range(logits.shape[1])]


def _labels(text: str) -> list[int]:
    return [ord(symbol) - FIRST_SYMBOL for symbol in text]


if __name__ == "__main__":
    main()
