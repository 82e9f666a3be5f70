"""Small inputs that break rescaled or log-space CTC."""

import numpy as np

from ctc_scratch.ctc.labels import min_frames


def adversarial(rng):
    """Yield (name, logits, labels) that break rescaled or log-space CTC, small enough for the truth."""
    for scale in (1, 5, 20, 100, 1e3, 1e4):
        for T, C, U in ((12, 4, 3), (40, 3, 12), (60, 12, 8), (80, 5, 30)):
            logits = scale * rng.standard_normal((T, C))
            labels = rng.integers(1, C, U)
            while min_frames(labels) > T:
                labels = labels[:-1]
            yield f"scale {scale:g}, T={T}, U={len(labels)}", logits, labels
    for U in (1, 6, 20):
        labels = np.repeat(1 + np.arange(U) % 3, rng.integers(1, 3, U))
        yield f"tight fit, U={len(labels)}", 10 * rng.standard_normal((min_frames(labels), 4)), labels
    for T in (30, 60):
        logits = 3 * rng.standard_normal((T, 4))
        logits[rng.random((T, 4)) < 0.3] = -np.inf
        logits[:, 0] = 0.0
        yield f"-inf entries, T={T}", logits, [1, 2, 2, 3]
    for late in (1e-30, 1e-60, 1e-200):  # likely at first, later all but impossible
        probs = np.full((60, 3), 1e-4)
        probs[30:, 1:] = late
        probs[:, 0] = 1 - probs[:, 1:].sum(axis=1)
        yield f"late cliff, {late:g}", np.log(probs), 1 + np.arange(24) % 2
