"""One thread for torch: several would wait for each other while other processes use the cores."""

import pytest


@pytest.fixture(autouse=True)
def one_thread():
    import torch

    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)
