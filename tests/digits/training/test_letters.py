"""A data set of letters is learnt, resumed, evaluated and read under the names of its mapping file."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from ctc_scratch.commands.main import main
from ctc_scratch.digits.data.idx import read_idx
from ctc_scratch.digits.errors import ArchiveError
from ctc_scratch.digits.model.model_file import load_model, save_model
from ctc_scratch.digits.training.run_folder import CHECKPOINT
from ctc_scratch.digits.training.train import Settings, resume, train
from tests.tools.archives import rewrite
from tests.tools.idx_files import idx_bytes
from tests.tools.small_runs import SMALL, draw_nothing, records

NAMES = "abcdefghijklmnopqrst"

pytestmark = pytest.mark.slow


@pytest.fixture
def letters(tmp_path, digits):
    """A data folder in which each digit is one of two letters, with labels from 1 to 20."""
    folder = tmp_path / "letters"
    folder.mkdir()
    for path in digits.iterdir():
        array = read_idx(path)
        if "labels" in path.name:
            array = array * np.uint8(2) + (np.arange(len(array)) % 2).astype(np.uint8) + np.uint8(1)
        name = path.name.replace("t10k", "test")
        (folder / f"emnist-letters-{name}").write_bytes(idx_bytes(array))
    (folder / "emnist-letters-mapping.txt").write_text(
        "".join(f"{label} {ord(name)}\n" for label, name in enumerate(NAMES, 1)))
    return folder


def test_letters_are_learnt_resumed_evaluated_and_read(tmp_path, letters, digits, capsys):
    run = tmp_path / "run"
    train(Settings(**{**SMALL, "data": str(letters), "out": str(run), "save_every": 0.0}))
    sha256 = records(run)[-1]["sha256"]
    resume(run / "checkpoint.previous.npz")
    assert records(run)[-1]["sha256"] == sha256
    model = load_model(run / "model.npz")
    assert model.class_names == ("blank", *NAMES) and len(model.params["output.bias"]) == 21

    # A model that answers the letter c in every frame.
    model.params["output.bias"][NAMES.index("c") + 1] = 1000
    save_model(run / "model.npz", model)
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data", str(letters), "--digits", "1"]) == 0
    assert " read as c (" in capsys.readouterr().out
    assert main(["evaluate", str(run), "--data", str(digits)]) == 2
    assert f"characters that the model reads, {NAMES}, found 0123456789" in capsys.readouterr().err

    digit = read_idx(digits / "t10k-images-idx3-ubyte")[0]
    Image.fromarray(digit).save(tmp_path / "row.png")
    assert main(["read", str(tmp_path / "row.png"), "--model", str(run), "--json",
                 "--figure", str(tmp_path / "pictures")]) == 0
    (image,) = json.loads(capsys.readouterr().out)
    reading = image["lines"][0]["readings"][0]
    assert reading["digits"] == "c" and [each["digit"] for each in reading["each"]] == ["c"]
    assert (tmp_path / "pictures" / "row.png.read.png").exists()


def test_a_run_on_letters_does_not_go_on_with_other_names(tmp_path, letters, monkeypatch):
    draw_nothing(monkeypatch)
    run = tmp_path / "run"
    train(Settings(**{**SMALL, "data": str(letters), "out": str(run)}))
    mapping = letters / "emnist-letters-mapping.txt"
    whole = mapping.read_text()
    mapping.write_text(whole.replace(f" {ord('a')}\n", f" {ord('Z')}\n"))
    with pytest.raises(ArchiveError, match="the run learnt from other digits than those of"):
        resume(run)
    mapping.write_text(whole)
    shutil.copyfile(run / CHECKPOINT, tmp_path / "kept")
    for names, message in ((["blank", "A"], r"output.weight of shape \(2, 32\), found \(21, 32\)"),
                           (None, "class names must be")):
        rewrite(run / CHECKPOINT, lambda header, arrays: header.update(class_names=names))
        with pytest.raises(ArchiveError, match=message):
            resume(run)
        shutil.copyfile(tmp_path / "kept", run / CHECKPOINT)
    resume(run)
