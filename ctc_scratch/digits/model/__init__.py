"""The model: the network that reads rows, its file, and how well it reads.

Read in this order:

    reader.py        the network, from the pixels of a row to scores for CTC
    vertical.py      its optional first layer, which reads each frame from top to bottom
    places.py        which ink was read as which digit: where each one stands
    evaluate.py      label error rate, share of right rows, and confusions
    parallel.py      tasks side by side, each with one BLAS thread
    model_file.py    a model, saved to a file and loaded
    archive.py       files of arrays that need no pickle, for models and checkpoints
    trained.npz      the packaged model; trained.log is the log of its training
"""
