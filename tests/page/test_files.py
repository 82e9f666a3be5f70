"""The files of the page: their sizes, how they are put together, what they ask for, and their contrast."""

import re
from itertools import product
from pathlib import Path

import pytest

import ctc_scratch
from ctc_scratch.commands import explore
from ctc_scratch.page import bundle
from ctc_scratch.page.recording import packaged_recording

FOLDER = Path(ctc_scratch.__file__).parent / "page"
SOURCES = sorted(path for path in FOLDER.rglob("*") if path.suffix in (".js", ".css", ".html", ".py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_file_can_be_read_in_one_sitting(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 350 and max(map(len, lines)) <= (160 if path.suffix == ".html" else 126)


def test_a_room_can_be_surveyed():
    for folder in {path.parent for path in SOURCES}:
        assert len([path for path in folder.iterdir() if path in SOURCES]) <= 11, folder


def test_the_page_is_one_small_file_that_asks_for_nothing():
    text = bundle.page_html({"labels": [1, 2], "logits": [[0, 0, 0]] * 4, "recording": packaged_recording()})
    assert len(text.encode()) <= 400_000
    assert not re.search(r"<!--\w", text), "a place of the template was not filled"
    outside = re.findall(r"""(?:src|href|action)\s*=\s*["'](?!#|data:)[^"']*|url\((?!#)[^)]*\)|@import|"""
                         r"""https?:[^"'\s)]*|fetch\(""", text)
    assert [found for found in outside if found != "http://www.w3.org/2000/svg"] == []


def test_the_recording_is_small():
    assert (FOLDER / "recorded.json").stat().st_size < 150_000


def test_names_that_collide_are_refused(monkeypatch):
    texts = {"a.js": 'import {f} from "./b.js";\nconst g = 1;\n',
             "b.js": "const h = 2, g = 3;\nexport {f};\n"}
    monkeypatch.setattr(bundle, "read", texts.__getitem__)
    with pytest.raises(ValueError, match="a.js and b.js both define g"):
        bundle.script("a.js")


def test_an_import_of_what_is_not_exported_is_refused(monkeypatch):
    texts = {"a.js": 'import {f, g} from "./b.js";\n', "b.js": "export {f};\n"}
    monkeypatch.setattr(bundle, "read", texts.__getitem__)
    with pytest.raises(ValueError, match="a.js imports g, which b.js does not export"):
        bundle.script("a.js")


def test_modules_stand_after_those_they_import():
    text = bundle.script("app/main.js")
    order = re.findall(r"^// ---- (\S+\.js)$", text, re.MULTILINE)
    assert order[-1] == "app/main.js" and len(set(order)) == len(order)
    assert set(order) == {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*/*.js")}
    assert not re.search(r"^(import|export) ", text, re.MULTILINE)


def test_data_cannot_end_the_script():
    text = bundle.page_html({"labels": [], "logits": [], "recording": "</script><b>"})
    assert "</script><b>" not in text


def test_the_page_and_the_command_agree_on_how_much_fits():
    frames, labels, classes = re.search(
        r"MOST = \{frames: (\d+), labels: (\d+), classes: (\d+)\}", bundle.read("app/state.js")).groups()
    assert (int(frames), int(labels), int(classes)) == (
        explore.MOST_FRAMES, explore.MOST_LABELS, explore.MOST_CLASSES)


# ---- contrast, as WCAG 2 defines it: 4.5 for text


def luminance(colour):
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_contrast(scheme):
    block = re.findall(r":root \{(.*?)\}", bundle.read("style.css"), re.DOTALL)[scheme]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    labels = [name for name in colours if name.startswith("label-")]
    assert len(labels) == 10
    pairs = [*product(("ink", "soft", "stay", "step", "skip"), ("paper", "panel", "ground")),
             *product(["on-chip"], [*labels, "blank"]), ("on-ramp", "ramp"), ("ink", "glow"),
             ("paper", "ink")]
    low = {pair: round(contrast(*(colours[name] for name in pair)), 2) for pair in pairs
           if contrast(*(colours[name] for name in pair)) < 4.5}
    assert not low
