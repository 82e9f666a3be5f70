"""How much faster is training on several machines, and where does that end?

    python -m benchmarks.scaling_out [--rounds 5] [--steps 20] [--figure PATH]

First, what can be measured on one machine. 1 to 4 ranks, and 1 or 2 threads without ranks, train the default
model on batches of 64 rows in 4 shards, in turns. All ranks share the cores and the memory of this machine,
so more ranks than cores gain nothing. The transport is timed between two ranks, through shared memory and
through TCP: the latency of an empty exchange, and the bandwidth of large blocks.

Then a computation. Each of R machines has 64 rows of every batch, in two shards on two threads, so the batch
grows with R. The parts of a step are timed for each model. On R machines they take

    random numbers of all rows      R times as long as on one
    adding the gradients            R times as long as on one
    own rows, network, optimiser    as long as on one
    exchange                        latency log2(R) + 2 (R - 1) G / bandwidth, for gradients of G bytes

The efficiency is the time of a step on one machine as a share of that on R machines. Four changes to the
program are computed as well. Overlap hides the exchange behind the backward pass, as far as that takes as
long. float16 halves the blocks, and changes the weights. With slices each machine adds one R-th of all
gradients and sends the sum, so that it receives about 3 G whatever R is; the bits stay. If each shard has a
random generator of its own, no machine draws numbers for others; the batches are then different ones.

    measured.py    what is timed
    computed.py    efficiency, from what was timed
    __main__.py    the command, its tables and its figure
"""
