"""Problems for the page: small, with labels that repeat and with closed classes, as links and as JSON."""

import numpy as np

# Five frames, a repeat, and a class that is closed at one frame.
TARGET = [1, 2, 2]
LOGITS = np.array([
    [0.5, 1.25, -0.75], [-1.0, 0.125, 2.0], [1.5, -np.inf, 0.25], [0.0, 0.75, 1.0], [0.25, -0.5, 1.75]])


def link(room="lattice", target=TARGET, logits=LOGITS, **more):
    """The deep link to a room with this problem."""
    rows = ";".join(",".join("n" if x == -np.inf else repr(float(x)) for x in row) for row in logits)
    more = "".join(f"&{name}={value}" for name, value in more.items())
    return f"#{room}?target={','.join(map(str, target))}&T={len(logits)}&x={rows}{more}"


def draw_problem(rng):
    """Random logits (T, C) and labels: few labels, which repeat; some do not fit; 1 logit in 10 is -inf."""
    T, C = int(rng.integers(1, 13)), int(rng.integers(2, 6))
    logits = rng.standard_normal((T, C)) * rng.choice([0.3, 1, 5, 20])
    closed = rng.random((T, C)) < 0.1
    closed[np.arange(T), rng.integers(C, size=T)] = False
    logits[closed] = -np.inf
    labels = rng.integers(1, min(C, 3), size=rng.integers(0, 5 if C > 2 else 3))
    return logits, [int(label) for label in labels]


def to_json(array):
    """Nested lists of an array, with None for -inf."""
    return [to_json(row) if np.ndim(row) else (None if row == -np.inf else float(row)) for row in array]
