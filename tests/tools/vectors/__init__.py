"""The generator of the test vectors in `ctc_scratch/check/vectors`, which uses nothing but arithmetic.

    python -m tests.tools.vectors          # writes vectors/v1/*.json again, to the same bytes

In the order to read them: `big` (numbers of 640 bits), `solved` (the recursion), `enumerated` (the same by
the definition, for small problems), `draft` (inputs), `answers` (what is published of one problem), `flags`,
the groups `toy`, `core`, `hard`, `long` and `reject`, and `files`.
"""
