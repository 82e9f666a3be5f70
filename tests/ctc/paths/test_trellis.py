"""The lattice as text: what each mark means, how wide it is, and which characters a terminal gets."""

import io

import pytest

from ctc_scratch.ctc.enumeration import count_alignments
from ctc_scratch.ctc.paths.lattice import MOST_STATES, lattice
from ctc_scratch.ctc.paths.trellis import gamma_text, number_text, trellis_text


def test_text_of_a_trellis_has_a_mark_for_each_move(rng):
    result = lattice(rng.standard_normal((5, 4)), [1, 2, 2])
    lines = trellis_text(result).splitlines()
    assert len(lines) == 1 + 2 * 7 - 1 and max(map(len, lines)) <= 80
    stay, step, skip = (result.xi > 0).sum(axis=(1, 2))
    assert sum(line.count("╲") for line in lines) == step + 3 * skip
    values = [cell for line in lines[1:] for cell in line[6:].replace("─", " ").split() if cell[0] in ".1"]
    assert len(values) == (result.gamma > 0).sum()


def test_text_of_gamma_fits_any_width(rng):
    result = lattice(rng.standard_normal((500, 4)), [1, 2, 2])
    for width in (30, 80):
        lines = gamma_text(result, width).splitlines()
        assert len(lines) == 8 and max(map(len, lines[:7])) <= width
    sharp = lattice(4 * result.logits[:40], [1, 2, 2])
    for s, line in enumerate(gamma_text(sharp).splitlines()[:7]):
        for p, shade in zip(sharp.gamma[:, s], line[6:].ljust(40)):
            assert (shade == " ") == (p == 0) and abs(" .:-=+*#%@".index(shade) / 9 - p) < 0.12


def test_without_lines_the_text_is_ascii_and_says_the_same(rng):
    result = lattice(rng.standard_normal((5, 4)), [1, 2, 2])
    drawn, plain = trellis_text(result), trellis_text(result, ascii_only=True)
    assert plain.isascii() and not drawn.isascii()
    assert plain == drawn.replace("─", "-").replace("╲", "\\").replace("·", ".")


@pytest.mark.parametrize("encoding, ascii_only", [("utf-8", False), ("ascii", True), ("cp1252", True)])
def test_print_uses_the_characters_that_the_terminal_has(rng, monkeypatch, encoding, ascii_only):
    result = lattice(rng.standard_normal((4, 3)), [1, 2])
    terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", terminal)
    print(result)
    terminal.flush()
    assert terminal.buffer.getvalue().decode(encoding).splitlines() == trellis_text(
        result, ascii_only=ascii_only).splitlines()


@pytest.mark.parametrize("stdout", [None, io.StringIO()], ids=["none", "no_encoding"])
def test_a_text_needs_no_terminal(rng, monkeypatch, stdout):
    result = lattice(rng.standard_normal((4, 3)), [1, 2])
    monkeypatch.setattr("sys.stdout", stdout)
    assert str(result) == trellis_text(result)


def test_a_lattice_of_very_many_states_is_not_printed(rng):
    logits, U = rng.standard_normal((99, 4)), MOST_STATES // 2
    assert len(str(lattice(logits, [1] * U)).splitlines()) == MOST_STATES + 1
    assert str(lattice(logits, [1] * (U + 1))) == f"{MOST_STATES + 2} states, too many to show as text"


@pytest.mark.parametrize("T, U", [(10, 3), (60, 20), (20_000, 5_000)])
def test_large_numbers_are_given_as_a_power_of_ten(T, U):
    """Also numbers of more digits than Python converts to text."""
    number = count_alignments([1, 2] * (U // 2) + [1] * (U % 2), T)
    text = number_text(number)
    if number < 10**15:
        assert text == str(number)
    else:
        power = 10 ** int(text.removeprefix("about 10^"))
        assert 999 * power <= 1000 * number <= 10_010 * power
