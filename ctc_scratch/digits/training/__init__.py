"""Training the reader, so that a run can stop at any moment and resume to the same bits.

Read `gradients.py` (forward, CTC, backward over a batch), then `trainer.py` (one training step),
then `train.py` (a whole run, and the signals that stop it). The others are what these need:

    settings.py      what a run is asked to do, each field an option of the command line
    objective.py     the loss that a step minimises, if it is not plain CTC
    schedule.py      how far a run has come, by its steps or by the clock
    watch.py         the signs of a plateau, and of a run that goes wrong
    checkpoint.py    a trainer written to a file and restored from it
    run_folder.py    the files of a run, and the lines it prints
    ranks/           training on several machines
"""
