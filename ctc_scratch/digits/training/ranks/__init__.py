"""Training on several machines, with the same bits as on one: each rank computes some shards of every batch.

    mpiexec -n 4 ctc-scratch train --shards 8

A rank is one of the processes that `mpiexec` starts. All of them hold the same trainer. A step on two ranks
and four shards:

    rank 0                                  rank 1
    draws the random numbers of a batch     draws the same ones, from the same state of the generator
    makes and computes shards 0 and 1       makes and computes shards 2 and 3
             \\____________ exchange ____________/
    has the gradients of shards 0 1 2 3     has the gradients of shards 0 1 2 3
    adds them in this order, steps          adds them in this order, steps

Equal weights, equal shards and equal sums give equal weights after the step, so weights are sent only once,
before the first step. Rank 0 runs `train` as a single process would; it alone writes, prints and evaluates.
The others repeat its steps until it tells them that the run has ended.

    launched.py     whether mpiexec has started this process, and as which rank; without importing mpi4py
    mpi.py          the one file that imports mpi4py: every rank sends a message to all others
    packing.py      packs the arrays of a rank's shards into one block of bytes, and unpacks them
    same_bits.py    what must be equal on all ranks for equal bits: versions, processors, results of a probe
    ranks.py        `Ranks`: the beginning and the end of a run, and the exchange in each step
"""
