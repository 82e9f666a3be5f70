"""Settings that cannot be used are refused; every preset can be used."""

import json
from dataclasses import asdict

import pytest

from ctc_scratch.digits.errors import OptionError
from ctc_scratch.digits.training.settings import PRESETS, Settings, from_json, with_preset
from ctc_scratch.digits.training.train import train
from tests.tools.small_runs import SMALL

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_runs")]


@pytest.mark.parametrize("wrong, message", [
    (dict(digits=(3, 2)), "--digits must be at least 1, and LOW-HIGH in order, not"),
    (dict(digits=(0, 2)), "--digits"), (dict(digits=(1, 10**9)), "--digits must be 10000 at most, not"),
    (dict(batch=10**6), "--batch must be from 1 to 333333 for rows of up to 3 digits, not 1000000"),
    (dict(hidden=10**5), "--hidden must be from 1 to 10000, not 100000"), (dict(gap=10**9), "--gap must be"),
    (dict(rotate=1e30), "--rotate must be a number from 0 to 180, not 1e"), (dict(rate=1e9), "--rate"),
    (dict(test_digits=0), "--test-digits must be at least 1, not 0"),
    (dict(test_digits=401), "--test-digits must be at most 400, the images there are, not 401"),
    (dict(optimiser="sgd"), "--optimiser must be 'adam' or 'muon', not sgd"),
    (dict(hidden=0), "--hidden"), (dict(layers=0), "--layers"), (dict(direction="back"), "--direction"),
    (dict(window=15), "--window must be from 1 to 14, not 15"), (dict(batch=0), "--batch"),
    (dict(steps=0), "--steps"), (dict(rate=float("nan")), "--rate"), (dict(clip=0), "--clip"),
    (dict(evaluations=-1), "--evaluations"), (dict(shards=0), "--shards"),
    (dict(seed=-1), "--seed"), (dict(seed=2**64), "--seed must be from 0 to 18446744073709551615, not 18"),
    (dict(steps=10**10), "--steps must be from 1 to 1000000000, not 10000000000"),
    (dict(shards=10**400), "--shards"), (dict(evaluations=10**400), "--evaluations"),
    (dict(digits=(6, 4)), "--digits must be at least 1, and LOW-HIGH in order, not 6-4"),
    (dict(scale=1.0), "--scale must be from 0 to below 1, not 1.0"), (dict(rotate=-1), "--rotate"),
    (dict(wave=float("inf")), "--wave"), (dict(plain=1.1), "--plain must be from 0 to 1, not 1.1"),
    (dict(gap=-1), "--gap"), (dict(average=1.0), "--average"),
    (dict(overlap=15), "--overlap must be from 0 to 14, which leaves two frames of 7 columns, not 15"),
    (dict(margin=-1), "--margin must be from 0 to 1000, not -1"),
    (dict(margin=1001), "--margin must be from 0 to 1000, not 1001"),
    (dict(batch=10**4, digits=(1, 100), margin=1000), "--batch must be from 1 to 5833 for rows of up to 100"),
    (dict(close=1.1), "--close must be from 0 to 1, not 1.1"), (dict(blur=-1), "--blur"),
    (dict(close=0.5, window=5), "--close must be 0 with a --window of more than 4 columns, not 0.5"),
    (dict(objective="mse"), "--objective must be one of ctc, entropy, prior, focal, delay, bayes-risk, not"),
    (dict(weight=0.5), "--weight must be 0 without an --objective, not 0.5"),
    (dict(weight=float("nan")), "--weight must be 0 without an --objective, not nan"),
    (dict(objective="entropy"), "--weight must be a number from -100 to 100 other than 0 with"),
    (dict(objective="delay", weight=float("nan")), "--weight must be a number .* delay, not nan"),
    (dict(objective="prior", weight=-101.0), "--weight must be a number .* prior, not -101.0"),
    (dict(objective="focal", weight=-1.0), "--weight must be above 0 with --objective focal, not -1.0"),
    (dict(minutes=-1), "--minutes"), (dict(patience=-1), "--patience"), (dict(save_every=-1), "--save-every"),
    (dict(evaluations=5, patience=5), "--patience must be from 0 to 4, fewer than --evaluations, not 5"),
    (dict(evaluations=0, patience=1), "--patience must be from 0 to 0, fewer than --evaluations, not 1"),
])
def test_bad_settings_are_refused_before_a_folder_is_made(tmp_path, wrong, message):
    with pytest.raises(OptionError, match=message):
        train(Settings(**{**SMALL, "out": str(tmp_path / "run"), **wrong}))
    assert not (tmp_path / "run").exists()


def test_settings_from_before_objectives_have_plain_ctc():
    values = json.loads(json.dumps(asdict(Settings(objective="prior", weight=0.5))))
    del values["objective"], values["weight"]
    assert from_json(values) == Settings() and Settings().objective == "ctc"


def test_presets_are_valid_settings_and_can_be_changed():
    for name in PRESETS:
        with_preset(name).check()
    assert with_preset("best", layers=3) == Settings(**{**PRESETS["best"], "layers": 3})
    assert with_preset("") == Settings()
    with pytest.raises(OptionError, match="--preset must be one of best, not worst"):
        with_preset("worst")


def test_settings_survive_json():
    settings = with_preset("best", seed=2**64 - 1, out="runs/one", objective="delay", weight=-0.1)
    assert from_json(json.loads(json.dumps(asdict(settings)))) == settings


@pytest.mark.parametrize("change", [dict(transpose=True), dict(close=0.5, window=4), dict(margin=16),
                                    dict(blur=1.0), dict(weight=-0.5)])
def test_settings_of_older_runs_leave_off_what_there_was_not(change):
    values = json.loads(json.dumps(asdict(Settings(**change))))
    assert from_json(values) == Settings(**change)
    name, = change.keys() - {"window"}
    del values[name]
    assert from_json(values) == Settings(**{**change, name: type(change[name])()})


@pytest.mark.parametrize("change, message", [
    (lambda values: values.pop("rate"), "no rate"),
    (lambda values: values.update(colour="red"), "unknown setting 'colour'"),
    (lambda values: values.update(digits=[1, 2, 3]), r"digits = \[1, 2, 3\]"),
    (lambda values: values.update(hidden="64"), "hidden = '64'"),
    (lambda values: values.update(transpose=1), "transpose = 1"),
], ids=["missing", "unknown", "length", "type", "flag"])
def test_settings_of_another_kind_are_refused(change, message):
    values = json.loads(json.dumps(asdict(Settings())))
    change(values)
    with pytest.raises(TypeError, match=message):
        from_json(values)
