"""The palette is legible in grey, and curves do not differ by colour alone."""

import itertools

import numpy as np
from matplotlib.colors import to_rgb

from ctc_scratch.plots.style import ACCENT, AMBER, BLUE, CURVES, GREEN


def lightness(color):
    """CIE L*, from 0 (black) to 100 (white)."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    Y = linear @ [0.2126, 0.7152, 0.0722]
    return 116 * Y ** (1 / 3) - 16 if Y > 0.008856 else 903.3 * Y


def test_the_three_colours_differ_in_lightness_and_from_paper():
    values = {name: lightness(color) for name, color in dict(accent=ACCENT, blue=BLUE, amber=AMBER).items()}
    for (one, a), (other, b) in itertools.combinations([*values.items(), ("paper", 100)], 2):
        assert abs(a - b) >= 12, f"{one} has the lightness {a:.0f}, {other} {b:.0f}"


def test_the_three_colours_of_curves_differ_in_lightness():
    values = sorted(map(lightness, (BLUE, GREEN, AMBER)))
    assert min(np.diff(values)) >= 12, values


def test_curves_that_share_a_panel_differ_without_colour():
    looks = {(style.get("linestyle", "-"), style["linewidth"]) for style in CURVES}
    assert len(looks) == len(CURVES)
