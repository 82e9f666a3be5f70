"""The lattice as text: every move has its mark, and it fits the width."""

from ctc_scratch.ctc.paths.lattice import lattice
from ctc_scratch.ctc.paths.trellis import gamma_text, trellis_text


def test_text_of_a_trellis_has_a_mark_for_each_move(rng):
    its = lattice(rng.standard_normal((5, 4)), [1, 2, 2])
    lines = trellis_text(its).splitlines()
    assert len(lines) == 1 + 2 * 7 - 1 and max(map(len, lines)) <= 80
    stay, step, skip = (its.xi > 0).sum(axis=(1, 2))
    assert sum(line.count("╲") for line in lines) == step + 3 * skip
    values = [cell for line in lines[1:] for cell in line[6:].replace("─", " ").split() if cell[0] in ".1"]
    assert len(values) == (its.gamma > 0).sum()


def test_text_of_gamma_fits_any_width(rng):
    its = lattice(rng.standard_normal((500, 4)), [1, 2, 2])
    for width in (30, 80):
        lines = gamma_text(its, width).splitlines()
        assert len(lines) == 8 and max(map(len, lines[:7])) <= width
    sharp = lattice(4 * its.logits[:40], [1, 2, 2])
    for s, line in enumerate(gamma_text(sharp).splitlines()[:7]):
        for p, shade in zip(sharp.gamma[:, s], line[6:].ljust(40)):
            assert (shade == " ") == (p == 0) and abs(" .:-=+*#%@".index(shade) / 9 - p) < 0.12
