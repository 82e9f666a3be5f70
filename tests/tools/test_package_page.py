"""The page of the package is what its files say, and leaves none of them out."""

from tests.tools.package_page import PAGE, ROOMS, ROOT, files_of, page


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(), "stale: python -m tests.tools.package_page"


def test_every_room_is_on_the_page():
    rooms = {str(path.parent.relative_to(ROOT)) for path in ROOT.rglob("*.py")} - {"."}
    assert rooms == set(ROOMS)


def test_every_file_says_what_it_holds():
    for room in ROOMS:
        for path in files_of(room):
            assert path.read_text(encoding="utf-8").startswith(('"""', 'r"""')), f"{path} has no docstring"
