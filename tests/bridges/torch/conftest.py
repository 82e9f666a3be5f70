"""One thread for torch, whose threads would wait for each other if other processes use the cores."""

import pytest


@pytest.fixture(autouse=True)
def one_thread():
    import torch

    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)
