"""The errors of the digit reader; the message of each is one line that a command can print."""


class OptionError(ValueError):
    """An option or setting whose value cannot be used; the message names it as the command line does."""


class DataError(ValueError):
    """A data file is missing, damaged or not what it should be."""


class ArchiveError(ValueError):
    """A model or checkpoint file is missing, damaged, of another kind, or its parts do not fit together."""


class UnfitError(ArchiveError):
    """A sound file of another version or for other data; the other files of its run do not fit either."""


class ImageError(ValueError):
    """A file that is not an image, or an image that does not show a row of digits."""


class RanksError(RuntimeError):
    """Ranks cannot train together, or cannot go on: one of them has failed, or differs from the others."""
