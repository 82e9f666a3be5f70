"""A saved model comes back bit for bit, its weights must fit its settings, and commands find it."""

import os

import numpy as np
import pytest

from ctc_scratch.commands.main import main
from ctc_scratch.digits.errors import ArchiveError
from ctc_scratch.digits.model import model_file
from ctc_scratch.digits.model.model_file import digest, load_model, save_model
from ctc_scratch.digits.model.reader import CLASS_NAMES, param_shapes
from tests.digits.model.conftest import assert_same_weights, make_model
from tests.tools.archives import read, rewrite

# ---- saving and loading ------------------------------------------------------------------


KINDS = pytest.mark.parametrize("settings", [{}, dict(layers=2), dict(bidirectional=False, layers=3)],
                                ids=["one_layer", "two_layers", "forward_only"])


@KINDS
def test_the_shapes_of_a_model_are_known_without_making_it(settings):
    model = make_model(**settings)
    assert list(param_shapes(**model.config)) == [(name, p.shape) for name, p in model.params.items()]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@KINDS
def test_a_model_comes_back_bit_for_bit(path, rng, settings, dtype):
    model = make_model(dtype=dtype, **settings)
    save_model(path, model)
    loaded = load_model(path)
    assert loaded.config == model.config
    assert_same_weights(loaded, model)
    images, widths = rng.random((2, 28, 56)), np.array([56, 30])
    (expected, _), (found, _) = (each.forward(*each.frames(images, widths))
                                 for each in (model, loaded))
    np.testing.assert_array_equal(found, expected, strict=True)


def test_class_names_come_back_and_files_without_them_are_of_digits(path):
    letters = make_model(class_names=("blank", "A", "b"))
    save_model(path, letters)
    loaded = load_model(path)
    assert loaded.class_names == ("blank", "A", "b") and loaded.params["output.bias"].shape == (3,)
    assert_same_weights(loaded, letters)
    save_model(path, make_model())
    assert "class_names" not in read(path)[0]
    assert load_model(path).class_names == CLASS_NAMES


@pytest.mark.parametrize("names", [
    None, "blank", ["blank"], ["A", "B"], ["blank", "A", "A"], ["blank", 1, 2], ["blank", "A", "$"],
    ["blank", *map(chr, range(0x4E00, 0x4F01))],
], ids=["none", "text", "alone", "no_blank", "twice", "numbers", "sign", "many"])
def test_names_that_no_classes_have_are_refused(path, names):
    save_model(path, make_model())
    rewrite(path, lambda header, arrays: header.update(class_names=names))
    with pytest.raises(ArchiveError, match=f"{path}: expected the names of a model's classes, found "):
        load_model(path)


def test_weights_that_are_special_values_survive(path):
    model = make_model()
    next(iter(model.params.values())).flat[:4] = [np.nan, np.inf, -0.0, 1e-45]
    save_model(path, model)
    for name, param in load_model(path).params.items():
        assert param.tobytes() == model.params[name].tobytes(), name


def test_half_precision_in_the_file_is_single_in_memory(path):
    model = make_model(hidden=16)
    save_model(path, model)
    size = path.stat().st_size
    save_model(path, model, np.float16)
    assert path.stat().st_size < 0.7 * size
    for name, param in load_model(path).params.items():
        assert param.dtype == np.float32
        np.testing.assert_allclose(param, model.params[name], rtol=2 ** -11, atol=2 ** -24, err_msg=name)


def test_the_digest_depends_on_every_bit_and_name(rng):
    params = {"a": rng.random((2, 3)), "b": rng.random(4)}
    same = {"b": params["b"].copy(), "a": np.asfortranarray(params["a"])}
    assert digest(params) == digest(same)
    others = [{"a": params["a"], "c": params["b"]}, {**params, "a": params["a"].reshape(3, 2)},
              {**params, "b": np.nextafter(params["b"], 1)}, {**params, "b": params["b"].view(np.int64)}]
    assert len({digest(params), *map(digest, others)}) == 5


# ---- weights and settings that do not fit ------------------------------------------------


def first(arrays):
    return next(iter(arrays))


MISFITS = {
    "hidden": (lambda header, arrays: header["config"].update(hidden=3),
               r"expected lstm1.forward.weight_ih of shape \(12, 56\), found \(8, 56\)"),
    "layers": (lambda header, arrays: header["config"].update(layers=2),
               "expected lstm2.forward.weight_ih, found no lstm2.forward.weight_ih"),
    "fewer_layers": (lambda header, arrays: arrays.update({"params/more": arrays[first(arrays)]}),
                     "expected no more, found more"),
    "parameter_gone": (lambda header, arrays: arrays.pop(first(arrays)),
                       "expected lstm1.forward.weight_ih, found no lstm1.forward.weight_ih"),
    "classes": (lambda header, arrays: header.update(class_names=["blank", "A", "B"]),
                r"expected output.weight of shape \(3, 4\), found \(11, 4\)"),
    "no_config": (lambda header, arrays: header.pop("config"),
                  "expected the settings of a model, found None"),
    "unknown_setting": (lambda header, arrays: header["config"].update(colour=1),
                        "expected the settings of a model, found .*colour"),
    "impossible_setting": (lambda header, arrays: header["config"].update(window=0),
                           "window must be at least 1, not 0"),
    "setting_no_number": (lambda header, arrays: header["config"].update(hidden="two"),
                          "expected the settings of a model, found .*two"),
    "mixed_dtypes": (lambda header, arrays: arrays.update(
        {first(arrays): arrays[first(arrays)].astype(np.float64)}),
        "all float32 or all float64, found float32, float64"),
    "integers": (lambda header, arrays: arrays.update(
        {name: array.astype(int) for name, array in arrays.items()}), "found int64"),
}


@pytest.mark.parametrize("change, message", MISFITS.values(), ids=MISFITS.keys())
def test_the_error_for_weights_that_do_not_fit_their_settings_names_both(path, change, message):
    save_model(path, make_model())
    rewrite(path, change)
    with pytest.raises(ArchiveError, match=f"{path}: .*{message}"):
        load_model(path)


# ---- which file --------------------------------------------------------------------------


def test_a_model_is_found_in_a_run_as_a_file_or_in_the_package(tmp_path, monkeypatch):
    assert model_file.find_model("runs/one") == os.path.join("runs/one", "model.npz")
    assert model_file.find_model("one.npz") == "one.npz"
    (tmp_path / "run.npz").mkdir()
    assert model_file.find_model(tmp_path / "run.npz") == str(tmp_path / "run.npz" / "model.npz")
    monkeypatch.setattr(model_file, "packaged_model", lambda: tmp_path / "trained.npz")
    with pytest.raises(ArchiveError, match="no run is named, and this package holds no trained model"):
        model_file.find_model()
    save_model(tmp_path / "trained.npz", make_model())
    assert model_file.find_model() == tmp_path / "trained.npz"


@pytest.mark.parametrize("verb", [["read", "row.png"], ["evaluate"]], ids=["read", "evaluate"])
def test_without_a_model_one_line_says_so(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(model_file, "packaged_model", lambda: tmp_path / "trained.npz")
    assert main(verb) == 2
    err = capsys.readouterr().err
    assert "holds no trained model" in err and len(err.splitlines()) == 1
