"""Programs of other languages that tests call; where one is missing, its tests are skipped."""

import os
import shutil

import pytest


def find_program(name):
    """The path of a program. Without it the test is skipped; if CI=true, where none may be, it fails."""
    path = shutil.which(name)
    if path is None and os.environ.get("CI") == "true":
        pytest.fail(f"CI=true, but {name} is missing: the test would be skipped")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path
