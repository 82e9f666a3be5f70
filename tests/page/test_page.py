"""The page as a whole: links, sizes of windows, keyboard, colours, and how soon and how often it is drawn."""

import re
from pathlib import Path

import numpy as np
import pytest

from ctc_scratch.ctc import reference
from tests.conftest import assert_close
from tests.page.problems import LOGITS, TARGET, link

pytestmark = pytest.mark.slow

ROOMS = ["paths", "lattice", "gradient", "decoding", "learning", "numerics"]


@pytest.mark.parametrize("room", ROOMS)
def test_a_link_leads_to_its_room(browser, page, room):
    browser.open(page, f"#{room}")
    assert browser.run("document.querySelector('nav [aria-current]').dataset.room") == room
    top = browser.run(f"document.querySelector('#{room} h2').getBoundingClientRect().top")
    boxes = browser.all("nav, #bar", "(({top, bottom}) => [top, bottom])(e.getBoundingClientRect())")
    assert max(bottom for above, bottom in boxes if above < 100) <= top < 450
    assert browser.complaints == [] and browser.requests == []


def test_a_link_holds_the_problem(opened, page):
    opened.open(page, "#lattice?target=1,2,2&T=7")
    assert opened.run("document.querySelector('#target').value") == "1,2,2"
    assert opened.run("document.querySelector('#frames').value") == "7"
    assert len(opened.values("#lattice .cell")) == 7 * 7
    opened.open(page, link())
    assert_close(opened.value("#loss"), reference.loss_and_grad(LOGITS, TARGET)[0], 1e-12, "loss")


def test_a_copied_link_brings_back_what_was_there(opened, page):
    opened.open(page, link(view="gamma"))
    opened.click('#lattice .bar[data-t="0"][data-c="2"]')
    loss = opened.value("#loss")
    opened.click("#share")
    copied = opened.run("location.hash")
    opened.open(page, copied)
    assert_close(opened.value("#loss"), loss, 1e-12, "loss")
    assert opened.run("document.querySelector('[data-view=gamma]').getAttribute('aria-pressed')") == "true"


def test_an_address_changed_by_hand_is_followed(opened):
    opened.run("location.hash = '#lattice?target=2,1&T=5'")
    opened.settle()
    assert opened.run("document.querySelector('#target').value") == "2,1"


@pytest.mark.parametrize("bad, says", [
    ("#cellar", "names no room"), ("#lattice?target=1,x", "expected labels like"),
    ("#lattice?T=99", "T must be from 1 to 40"),
    ("#lattice?target=0", "0 is the blank"), ("#lattice?target=1&T=2&x=0,1;n,n", "its logits x are damaged"),
    ("#lattice?target=1&T=3&x=0,1;1,0", "its logits x are damaged")])
def test_a_link_that_cannot_be_followed_says_why(opened, page, bad, says):
    opened.open(page, bad)
    assert says in opened.text("#note")
    assert opened.text("#loss") == "2.1268"


@pytest.mark.parametrize("text, says", [
    ("1,a", "expected labels like 1,1,2"), ("0", "0 is the blank"), ("12", "labels are at most 11"),
    ("1,2,1,2,1,2,1,2,1,2,1", "at most 10 labels")])
def test_a_bad_target_says_why_and_changes_nothing(opened, text, says):
    opened.type("#target", text)
    assert says in opened.text("#note") and opened.text("#loss") == "2.1268"


def test_nothing_is_wider_than_a_telephone(browser, page):
    """Also with as many frames and labels as the page has room for."""
    for hash in ("", "#lattice?target=1,2,3,4,5,6,7,8,9,10&T=40"):
        browser.open(page, hash, width=360, height=760, touch=True)
        assert browser.run("document.documentElement.scrollWidth") == 360
        outside = browser.all("main *", """e.getBoundingClientRect().right <= 361 || e.closest("svg, .list") ?
            "" : e.outerHTML.slice(0, 80)""")
        assert set(outside) == {""}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_both_schemes_are_drawn(browser, page, dark):
    browser.open(page, dark=dark)
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper))) < 200) == dark
    assert browser.complaints == []


def test_every_control_has_a_name_and_takes_the_focus(opened):
    nameless = opened.all("button, input, select, [role=slider], [tabindex='0']", """
        e.ariaLabel || e.textContent.trim() || e.labels?.length ? "" : e.outerHTML.slice(0, 80)""")
    assert set(nameless) == {""}
    unreachable = opened.all("button:enabled, input, select, .handle, .frame, .chart[role=slider]", """
        (e.focus(), document.activeElement === e) || !e.checkVisibility() ? "" : e.outerHTML.slice(0, 80)""")
    assert set(unreachable) == {""}


def test_the_tab_key_passes_through_the_page(opened):
    """It reaches the first room's frames, the bars of the second one, and its cells, each place once."""
    opened.run("document.querySelector('#target').focus()")
    seen = []
    for _ in range(60):
        opened.press("Tab")
        seen.append(opened.run("(document.activeElement.getAttribute('class') ?? '').split(' ')[0] + '|' +"
                               " [...document.querySelectorAll('*')].indexOf(document.activeElement)"))
    assert {"frame", "bar", "cell", "handle"} <= {name.split("|")[0] for name in seen}
    assert len(set(seen)) == len(seen)


def test_random_actions_cause_no_error(opened, rng):
    """Targets, frames, buttons and keys, while some room is in sight; `opened` looks for complaints."""
    for _ in range(40):
        target = ",".join(map(str, rng.integers(1, 5, size=rng.integers(0, 6))))
        opened.run(f"""(() => {{
            const all = (selector) => [...document.querySelectorAll(selector)];
            const some = (selector) => all(selector)[Math.floor({rng.random()} * all(selector).length)];
            const fill = (field, text) => {{ field.value = text; field.dispatchEvent(new Event("input")); }};
            document.getElementById("{rng.choice(ROOMS)}").scrollIntoView();
            fill(all("#target")[0], "{target}");
            fill(all("#frames")[0], "{rng.integers(1, 10)}");
            some("main button:enabled").click();
            const key = "{rng.choice(["Delete", "ArrowUp", "End", "Home", "PageDown"])}";
            some(".bar").dispatchEvent(new KeyboardEvent("keydown", {{key, bubbles: true}}));
        }})()""")
        opened.settle()


# ---- time

DRAG = """new Promise((done) => {
  const bar = document.querySelector('#lattice .bar[data-t="9"][data-c="2"]');
  const {left, top} = bar.getBoundingClientRect();
  const send = (kind, dy) => bar.dispatchEvent(new PointerEvent(kind, {
    bubbles: true, pointerId: 1, clientX: left + 5, clientY: top + 20 + dy, button: 0, buttons: 1}));
  bar.closest("svg").setPointerCapture = () => {};  // there is no such pointer
  send("pointerdown", 0);
  let frames = 0, changes = 0, last = "";
  const start = performance.now();
  const tick = () => {
    const shown = document.querySelector("#loss").dataset.value;
    changes += shown !== last;
    last = shown;
    frames += 1;
    send("pointermove", -40 * Math.sin(frames / 7));
    if (frames < 60) requestAnimationFrame(tick);
    else { send("pointerup", 0); done([changes, 1000 * frames / (performance.now() - start)]); }
  };
  requestAnimationFrame(tick);
})"""


@pytest.mark.alone
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the time of a thread is read from /proc")
def test_every_move_of_a_dragged_logit_is_redrawn(browser, page):
    """T = 20, U = 6. With `pytest -s`, how often and how long is printed; how fast depends on the machine."""
    browser.open(page, "#lattice?target=1,2,3,1,2,3&T=20")
    browser.run(DRAG)
    before = browser.main_thread_ms()
    changes, per_second = browser.run(DRAG)
    spent = (browser.main_thread_ms() - before) / 60
    print(f"{per_second:.0f} frames a second; {spent:.1f} ms of the processor each")
    assert changes >= 55


@pytest.mark.alone
def test_the_page_is_ready_within_a_second(browser, page):
    """From the first paint to the end of the first script, which has made all rooms; the best of three."""
    waits = []
    for _ in range(3):
        browser.open(page)
        waits.append(browser.run("""(() => {
            const [{loadEventEnd, responseEnd}] = performance.getEntriesByType("navigation");
            const paint = performance.getEntriesByName("first-paint")[0]?.startTime ?? responseEnd;
            return loadEventEnd - Math.min(paint, responseEnd); })()"""))
    print(f"ready after {np.round(waits)} ms")
    assert min(waits) <= 1000
