"""The digits that training tests run on: all of MNIST, or a folder with a few of them."""

import pytest

from ctc_scratch.digits.data.mnist_files import load_mnist
from ctc_scratch.digits.training.settings import Settings
from tests.tools.small_runs import SMALL, draw_nothing, use_few_digits, write_digits


@pytest.fixture(scope="session")
def mnist():
    return load_mnist()


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A data folder of 1200 training and 100 test digits."""
    return write_digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture
def few_digits(monkeypatch, mnist):
    """Let runs evaluate on few digits."""
    use_few_digits(monkeypatch, mnist)


@pytest.fixture
def quick_runs(few_digits, monkeypatch):
    """Let runs evaluate on few digits and draw no figures."""
    draw_nothing(monkeypatch)


@pytest.fixture
def small(tmp_path, digits):
    """The settings of a small run that writes a checkpoint after every step."""
    changes = dict(data=str(digits), out=str(tmp_path / "run"), save_every=0.0)
    return Settings(**{**SMALL, **changes})
