"""Alignments and decoders of tensors that require a gradient, which the core refuses."""

import numpy as np
import pytest
import torch

import ctc_scratch
import ctc_scratch.torch


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_tensors_are_detached_and_converted(rng, dtype):
    logits = torch.from_numpy(rng.standard_normal((6, 2, 4))).to(dtype).requires_grad_()
    array = logits.detach().double().numpy().astype(np.float64 if dtype == torch.float64 else np.float32)
    with pytest.raises(TypeError, match="requires a gradient"):
        ctc_scratch.greedy_decode(logits)
    lengths = torch.tensor([6, 5])
    assert ctc_scratch.torch.greedy_decode(logits, lengths) == ctc_scratch.greedy_decode(array, [6, 5])
    found, expected = (module.prefix_beam_search(x, given, beam_width=4) for module, x, given in (
        (ctc_scratch.torch, logits, lengths), (ctc_scratch, array, [6, 5])))
    assert [[h.labels for h in one] for one in found] == [[h.labels for h in one] for one in expected]
    targets = [torch.tensor([1, 2]), torch.tensor([3])]
    for ours, theirs in zip(ctc_scratch.torch.align(logits, targets, lengths),
                            ctc_scratch.align(array, [[1, 2], [3]], [6, 5]), strict=True):
        assert np.array_equal(ours.path, theirs.path)
