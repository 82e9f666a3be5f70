// Deep links: `#lattice?target=1,2,2&T=7` names a room and what is in it.
//
// A room may add parameters of its own. Logits that were changed by hand are in `x`: frames separated by ";",
// numbers by ",", and "n" for -Infinity.

import {MOST, problem, read_labels, redraw, set_logits, set_problem} from "./state.js";

const rooms = new Map();    // name: {element, link, follow}

// Make a room known: `link()` returns its own parameters as an object, `follow(parameters)` reads them.
function add_room(name, link = () => ({}), follow = () => {}) {
  rooms.set(name, {element: document.getElementById(name), link, follow});
}

// The link to a room as it is now.
function link_to(name) {
  const room = rooms.get(name);
  const parameters = room.element.closest("#shared") ? problem_link() : {};
  const query = Object.entries({...parameters, ...room.link()}).map(([key, value]) => `${key}=${value}`).join("&");
  return `#${name}${query ? `?${query}` : ""}`;
}

function problem_link() {
  const {labels, logits, edited} = problem;
  const x = logits.map((row) => row.map((value) => value === -Infinity ? "n" :
    Number(value.toFixed(3))).join(",")).join(";");
  return {target: labels.join(","), T: logits.length, ...(edited && x.length < 1500 ? {x} : {})};
}

// Go where a link leads; returns a sentence if the link cannot be followed, else "".
function follow(hash) {
  const [, name, query = ""] = hash.match(/^#([a-z]+)(?:\?(.*))?$/) ?? [];
  const room = rooms.get(name);
  if (!room) return hash.length > 1 ? `The link names no room of this page: ${hash}` : "";
  const parameters = Object.fromEntries(new URLSearchParams(query));
  const wrong = room.element.closest("#shared") ? follow_problem(parameters) : "";
  room.follow(parameters);
  redraw(); // first, because pictures of another size move what stands below them
  room.element.scrollIntoView();
  return wrong;
}

function follow_problem({target, T, x}) {
  if (target === undefined && T === undefined && x === undefined) return "";
  const labels = target === undefined ? problem.labels : read_labels(target);
  if (typeof labels === "string") return `The link was not followed: ${labels}`;
  const frames = T === undefined ? problem.logits.length : Number(T);
  if (!(Number.isInteger(frames) && frames >= 1 && frames <= MOST.frames)) {
    return `The link was not followed: T must be from 1 to ${MOST.frames}, not ${T}`;
  }
  if (x !== undefined) {
    const logits = x.split(";").map((row) => row.split(",").map((value) => value === "n" ? -Infinity :
      Number(value)));
    const C = logits[0].length;
    const fits = logits.length === frames && C <= MOST.classes && logits.every((row) =>
      row.length === C && !row.some(Number.isNaN) && row.some(Number.isFinite));
    if (!fits) return "The link was not followed: its logits x are damaged";
    problem.least_classes = C;
    set_logits(logits);
  }
  set_problem(labels, frames);
  return "";
}

let last_link = "", waiting = null;

// Write the link of the room in sight into the address, a little later: browsers limit how often that is done.
function remember(name) {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    last_link = link_to(name);
    history.replaceState(null, "", last_link);
  }, 400);
}

// Call `act` with the new link when the address changes, unless this page has changed it.
function on_new_link(act) {
  addEventListener("hashchange", () => { if (location.hash !== last_link) act(location.hash); });
}

export {add_room, link_to, follow, remember, on_new_link};
