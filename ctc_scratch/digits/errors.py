"""The error of an option that cannot be used."""


class OptionError(ValueError):
    """An option or setting whose value cannot be used; the message names it as the command line does."""
