"""The page as one HTML file: `template.html` with the style sheet, the scripts and the data inside.

The scripts are plain modules, of which `app/main.js` is the first. They are written one after another into
one script, each after those that it imports, without their imports and exports. So no two modules may define
the same name at their top level, which is checked.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from posixpath import dirname, join, normpath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.abc import Traversable

IMPORT = re.compile(r'^import \{([^}]*)\} from "([^"]+)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export \{([^}]*)\};\n", re.MULTILINE)
FUNCTION = re.compile(r"^(?:async )?function (\w+)", re.MULTILINE)
CONSTANTS = re.compile(r"^(?:const|let) (.*)", re.MULTILINE)     # const A = 1, B = 2;
STYLES = ("style.css", "rooms.css")


def page_html(data: dict[str, Any]) -> str:
    """The page, as the text of an HTML file that asks no network for anything.

    Parameters
    ----------
    data : what the page begins with: `labels`, `logits` with None for -inf, and a `recording`, as
        `recording.py` makes it
    """
    parts = {
        "style": "".join(read(name) for name in STYLES),
        "data": json.dumps(data, allow_nan=False, separators=(",", ":")).replace("</", "<\\/"),
        "ctc": read("ctc.js"),
        "script": script("app/main.js"),
    }
    return re.sub(r"<!--(\w+)-->", lambda place: parts[place[1]], read("template.html"))


def script(first: str) -> str:
    """A module and all that it imports, directly or not, as one script; ValueError if their names collide."""
    texts: dict[str, str] = {}
    _collect(first, texts)
    owners: dict[str, str] = {}
    for name, text in texts.items():
        constants = [name for line in CONSTANTS.findall(text)
                     for name in re.findall(r"(?:^|, )(\w+) =", line)]
        for defined in FUNCTION.findall(text) + constants:
            if defined in owners:
                raise ValueError(f"{name} and {owners[defined]} both define {defined}")
            owners[defined] = name
    return "\n".join(f"// ---- {name}\n\n{EXPORT.sub('', IMPORT.sub('', text)).strip()}\n"
                     for name, text in texts.items())


def _collect(name: str, texts: dict[str, str]) -> None:
    """Add a module to `texts`, after the modules that it imports."""
    text = read(name)
    for imported, path in IMPORT.findall(text):
        other = normpath(join(dirname(name), path))
        if other not in texts:
            _collect(other, texts)
        missing = _names(imported) - _names("".join(EXPORT.findall(texts[other])))
        if missing:
            raise ValueError(f"{name} imports {', '.join(sorted(missing))}, which {other} does not export")
    texts[name] = text


def _names(listed: str) -> set[str]:
    return {name.strip() for name in listed.split(",")} - {""}


def read(name: str) -> str:
    """A file of this folder, which may be in a zip archive."""
    file: Traversable = resources.files(__package__)
    for part in name.split("/"):
        file = file / part
    return file.read_text(encoding="utf-8")
