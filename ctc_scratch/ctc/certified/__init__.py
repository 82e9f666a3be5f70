"""The fast kernels: linear space, vectorised, and a proved bound on the error of every answer.

Both kernels compute an upper bound of the likelihood Z, and a lower bound that comes from the same numbers
as the gradient. The gap between the bounds limits the error of the loss and of the gradient. If it is too
wide, the exact kernel answers.

- `lanes`: eight short sequences side by side, each with one exponent for all its states
- `banded`: a long sequence, with an exponent for each label, computed only where its paths matter

**Blanks and labels.** The extended labels are split into blanks ab[u], u = 0..U, and labels al[u], u =
0..U-1, so that no state has to look up which class it emits:

    ab_t[u] = (ab[u] + al[u-1]) y_t(blank)                                  stay, step
    al_t[u] = (al[u] + ab[u] + skip[u] al[u-1]) y_t(label u)                stay, step, skip

where skip[u] is 1 if label u differs from label u-1, else 0, and the right-hand sides are those of
frame t - 1. All terms are positive, so nothing cancels: each frame adds at most four relative roundings
to a state in every pass: of two sums and at most two products. Fusing a product with a sum saves one.
Powers of two round nothing, nor does replacing a state by its floor or by 0. Where `banded` adds its
floor to a state, that rounds too, but never to less than the state was.

**Rounding.** rho = (4 T + sum_t eps_t) 2^-53 is added to the gap, where eps_t is the error of the
emissions of frame t in units of 2^-53. For float64 logits, e^(x - max) is corrected for the rounding of
the difference, so eps_t is about 8, plus the error of summing C terms. For float32 logits, emissions
are float32, and the bound holds for the emissions as computed: each is perturbed by at most (3 + min(C,
67) + ln C + |x - max|) 2^-24 of itself, to which their sum contributes min(C, 67) + ln C.

rho covers the rounding of the likelihood, as one bound of the gap is returned and the other is off by rho
at most. For a posterior the rounding of both bounds counts, up to 8 T 2^-53 together with that of the
posterior itself; but errors of the emissions change it by at most half of eps_t, so that rho covers it,
too, if eps_t is at least 8: always for float64 logits. For float32 logits rho is therefore 8 T 2^-53.
"""
