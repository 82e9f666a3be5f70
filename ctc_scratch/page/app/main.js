// The page begins here: it reads its data, makes the rooms, and follows the link in the address.

import {follow, link_to, on_new_link, remember} from "./links.js";
import {shared_bar} from "./shared.js";
import {changed, problem, redraw} from "./state.js";
import {write} from "./draw.js";
import {paths_room} from "../rooms/paths.js";
import {lattice_room} from "../rooms/lattice.js";
import {gradient_room} from "../rooms/gradient.js";
import {decoding_room} from "../rooms/decoding.js";
import {learning_room} from "../rooms/learning.js";
import {numerics_room} from "../rooms/numerics.js";

const data = JSON.parse(document.getElementById("data").textContent);
const report = (text) => { const note = document.getElementById("note"); write(note, text); note.hidden = !text; };

problem.labels = data.labels;
problem.logits = data.logits.map((row) => row.map((x) => x ?? -Infinity)); // JSON has no infinity
problem.least_classes = problem.logits[0].length;

shared_bar(report);
paths_room();
lattice_room();
gradient_room();
decoding_room();
learning_room(data.recording);
numerics_room();
redraw();
report(follow(location.hash));
on_new_link((hash) => report(follow(hash)));

// The room in sight is marked in the navigation, and its link stands in the address.
const sections = [...document.querySelectorAll("section.room")];
let current = sections[0];

function find_current() {
  const here = sections.findLast((section) => section.getBoundingClientRect().top < innerHeight * 0.4) ?? sections[0];
  current = here;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.room === here.id) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

document.querySelector("nav").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link) return;
  event.preventDefault();
  document.getElementById(link.dataset.room).scrollIntoView();
});
addEventListener("scroll", () => { find_current(); remember(current.id); }, {passive: true});
for (const kind of ["pointerup", "keyup", "change"]) addEventListener(kind, () => remember(current.id));
addEventListener("resize", () => changed());
document.getElementById("share").addEventListener("click", async (event) => {
  const link = location.href.replace(/#.*/, "") + link_to(current.id);
  history.replaceState(null, "", link_to(current.id));
  const copied = await navigator.clipboard?.writeText(link).then(() => true, () => false);
  write(event.target, copied ? "link copied" : "the link is in the address bar");
});
find_current();
