"""`ctc-scratch evaluate`: the table that it prints, also for several decoders."""

import numpy as np
import pytest

from ctc_scratch.commands.main import main
from ctc_scratch.digits.model.model_file import save_model
from ctc_scratch.digits.model.reader import RowReader


def test_evaluate_prints_a_table(tmp_path, capsys):
    save_model(tmp_path / "model.npz", RowReader(hidden=4, window=14, rng=np.random.default_rng(0)))
    assert main(["evaluate", str(tmp_path), "--digits", "5,50"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == "digits rows decoder label error rate rows right".split()
    assert lines[1].split()[:3] == ["5", "2000", "greedy"] and lines[2].split()[:3] == ["50", "200", "greedy"]
    assert lines[3].startswith("most frequent errors, greedy: ")
    with pytest.raises(SystemExit):
        main(["evaluate", str(tmp_path), "--digits", ""])
    assert main(["evaluate", str(tmp_path), "--digits", "10001"]) == 2
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path), "--gap", "-29"]) == 2
    assert "--gap must be from -28 to 1000 columns, not -29" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path), "--gap", "-2"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:3] == ["5", "2000", "greedy"]


@pytest.mark.slow
def test_evaluate_compares_decoders(tmp_path, capsys):
    save_model(tmp_path / "model.npz", RowReader(hidden=4, window=14, rng=np.random.default_rng(0)))
    assert main(["evaluate", str(tmp_path), "--digits", "1", "--decoder", "greedy,beam,map"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[:3] for row in rows[1:4]] == [["1", "10000", name] for name in ("greedy", "beam", "map")]
    errors = [float(row[3]) for row in rows[1:4]]
    assert errors[1] == errors[2] != errors[0], "in 2 frames a beam of 16 finds the best labelling"
    assert [row[3] for row in rows[4:] if row[0] == "most"] == ["greedy:", "beam:", "map:"]
