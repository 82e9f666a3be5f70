"""The packaged model is small and reads as well as its log says."""

import re
import zipfile

import pytest

from ctc_scratch.digits.data.mnist_files import load_mnist
from ctc_scratch.digits.model import model_file
from ctc_scratch.digits.model.evaluate import evaluate
from ctc_scratch.digits.model.model_file import load_model

LOG = model_file.packaged_model().with_name("trained.log")


def test_it_is_small_and_its_file_holds_half_precision():
    assert model_file.packaged_model().stat().st_size <= 3e6
    with zipfile.ZipFile(model_file.packaged_model()) as archive:
        heads = [archive.read(name)[:128] for name in archive.namelist() if "weight" in name]
    assert heads and all(b"'<f2'" in head for head in heads)


@pytest.mark.slow
def test_it_reads_as_well_as_its_log_says():
    """All test digits in rows of 5. Another processor rounds differently, which may change a digit or two."""
    figures = re.search(r"^ +5 +2000 +greedy +(\S+) % +(\S+) %$", LOG.read_text(), re.MULTILINE).groups()
    rate, right = map(float, figures)
    mnist = load_mnist()
    found = evaluate(load_model(model_file.find_model()), mnist.test_images, mnist.test_labels, 5)
    assert abs(100 * found.label_error_rate - rate) <= 0.03, f"{found.label_error_rate:.2%}"
    assert abs(100 * found.row_accuracy - right) <= 0.15, f"{found.row_accuracy:.2%}"
