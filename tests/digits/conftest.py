"""The digits of MNIST, and rows of them."""

import pytest

from ctc_scratch.digits.data.mnist_files import load_mnist
from ctc_scratch.digits.data.rows import consecutive_rows


@pytest.fixture(scope="module")
def mnist():
    return load_mnist()


@pytest.fixture(scope="module")
def rows(mnist):
    """Forty rows of five test digits, (40, 28, 140)."""
    return consecutive_rows(mnist.test_images[:200], mnist.test_labels[:200], 5)[0]
