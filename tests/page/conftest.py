"""One browser for all tests of the page, and one page for each test."""

import pytest

from ctc_scratch.commands.main import main
from tests.page.browser import Browser
from tests.tools.programs import find_program


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A browser. Without one, tests that need it are skipped; they fail if CI=true."""
    browser = Browser(find_program("chromium"), tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def page(tmp_path_factory):
    """The page that `ctc-scratch explore` writes without arguments."""
    path = tmp_path_factory.mktemp("page") / "ctc.html"
    assert main(["explore", "--no-open", "--out", str(path)]) == 0
    return path


@pytest.fixture
def opened(browser, page):
    """The browser with the page, which must have asked for nothing and complained of nothing in the end."""
    browser.open(page)
    yield browser
    browser.settle()
    assert browser.complaints == [] and browser.requests == []
