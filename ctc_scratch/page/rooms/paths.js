// Room 1, paths and collapse: choose a path frame by frame, see what it spells, and list all paths of the target.

import {chips, class_colour, class_name, columns, counted, el, frame_axis, percent, set, show_number, svg,
  write} from "../app/draw.js";
import {add_room} from "../app/links.js";
import {light_up} from "../app/light.js";
import {changed, redraw_with, solution} from "../app/state.js";
import {alignments, best_paths, path_log_prob} from "../math/paths.js";

const ROW_HEIGHT = 38, LIST_AT_MOST = 210, LIST_OF_BEST = 60, CALM = 300; // milliseconds

function paths_room() {
  const room = document.getElementById("paths"), find = (selector) => room.querySelector(selector);
  const picture = find(".picture").appendChild(svg("svg",
    {role: "group", "aria-label": "A path: one class per frame"}));
  let path = null, listed_for = "", waiting = null, collapsed = "", shape = "", frames = [];

  // ---- the path, and how it collapses

  function build(T, C, grid) {
    const bottom = 24 + C * ROW_HEIGHT;
    const column = (t, name) => svg("rect", {class: name, x: grid.x(t) + 1, y: 22, width: grid.cell - 2,
      height: C * ROW_HEIGHT, rx: 8});
    frames = Array.from({length: T}, (_, t) => svg("g", {class: "frame", role: "slider", tabindex: 0, "data-t": t,
      "data-part": "pi y", "aria-label": `class at frame ${t + 1}`, "aria-valuemin": 0, "aria-valuemax": C - 1},
    column(t, "ring"), ...Array.from({length: C}, (_, c) => svg("g", {class: "option", "data-c": c},
      svg("circle", {cx: grid.x(t) + grid.cell / 2, cy: 24 + (c + 0.5) * ROW_HEIGHT,
        r: Math.min(14, grid.cell * 0.42)}),
      svg("text", {x: grid.x(t) + grid.cell / 2, y: 24 + (c + 0.5) * ROW_HEIGHT, "text-anchor": "middle",
        "dominant-baseline": "central"}, class_name(c))))));
    const caption = (text, y, part) => svg("text",
      {class: "caption", x: 0, y, "data-part": part, "dominant-baseline": "central"}, text);
    picture.replaceChildren(svg("g", {"data-part": "T"}, frame_axis(T, grid, 14)),
      ...Array.from({length: T}, (_, t) => column(t, "ground")),
      svg("polyline", {class: "trace"}), ...frames,
      ...Array.from({length: C}, (_, c) => caption(c === 0 && grid.left > 50 ? "blank" : class_name(c),
        24 + (c + 0.5) * ROW_HEIGHT, "pi")),
      caption(grid.left > 50 ? "merge" : "↓", bottom + 24, "B"),
        caption(grid.left > 50 ? "drop –" : "↓", bottom + 68, "B"), svg("g", {class: "collapsing"}));
    set(picture, {viewBox: `0 0 ${grid.width} ${bottom + 92}`, width: grid.width, height: bottom + 92});
  }

  function draw() {
    const result = solution(), {T, C, labels, log_probs, count} = result, grid = columns(find(".picture"), T);
    if (!path) path = best_paths(log_probs, labels, 1)[0]?.states.map((s) => result.ext[s]) ?? [];
    path = Array.from({length: T}, (_, t) => Math.min(path[t] ?? 0, C - 1));
    const now = [T, C, grid.width].join();
    if (now !== shape) build(T, C, grid);
    shape = now;
    frames.forEach((frame, t) => {
      set(frame, {"aria-valuenow": path[t], "aria-valuetext": path[t] === 0 ? "blank" : `label ${path[t]}`});
      for (const option of frame.querySelectorAll(".option")) {
        const c = Number(option.dataset.c), chosen = c === path[t];
        set(option, {class: chosen ? "option chosen" : "option"});
        option.firstChild.style.fill = chosen ? class_colour(c) : "";
      }
    });
    set(picture.querySelector(".trace"), {points: path.map((c, t) =>
      `${grid.x(t) + grid.cell / 2},${24 + (c + 0.5) * ROW_HEIGHT}`).join(" ")});
    if ([shape, ...path].join() !== collapsed) draw_collapse(grid, 24 + C * ROW_HEIGHT);
    collapsed = [shape, ...path].join();
    const spelt = ctc.collapse(path), right = spelt.join() === labels.join();
    const probability = el("b", {"data-part": "y", id: "path-probability"});
    show_number(probability, Math.exp(path_log_prob(log_probs, path)));
    find(".verdict").replaceChildren("This path spells ", el("span", {class: "chips"}, ...chips(spelt, "l")),
      `${spelt.length ? "" : "nothing"}${right ? ", the target" : ", not the target"}. Its probability is `,
        probability, ".");
    set(find(".verdict"), {"data-right": right});
    draw_count(result);
    const key = [labels.join(), T, count > LIST_AT_MOST ? log_probs.flat().join() : ""].join("|");
    clearTimeout(waiting);
    if (key !== listed_for && listed_for.startsWith(`${labels.join()}|${T}|`)) waiting = setTimeout(relist, CALM);
    else if (key !== listed_for) list(result);
    listed_for = key;
    for (const item of find(".list").children) {
      const its_path = item.dataset.path.split(",").map(Number),
        share = Math.exp(path_log_prob(log_probs, its_path) - result.log_likelihood);
      set(item, {"aria-pressed": item.dataset.path === path.join()});
      item.lastChild.style.setProperty("--share", Number.isFinite(share) ? share.toFixed(4) : 0);
      set(item, {title: result.feasible ? `${percent(share)} of p` : ""});
    }
  }

  // Draw each run of one class as one piece; below the pieces of labels, the last line has the label.
  function draw_collapse(grid, bottom) {
    const pieces = [];
    path.forEach((c, t) => { if (t && path[t - 1] === c) pieces.at(-1).end = t;
      else pieces.push({c, begin: t, end: t}); });
    picture.querySelector(".collapsing").replaceChildren(...pieces.flatMap(({c, begin, end}) => {
      const x = grid.x(begin) + 2, width = (end - begin + 1) * grid.cell - 4, middle = x + width / 2;
      const piece = [svg("rect", {x, y: bottom + 10, width, height: 28, rx: 8, fill: class_colour(c),
        "data-part": "B"}),
        svg("text", {class: "on", x: middle, y: bottom + 24, "text-anchor": "middle", "dominant-baseline": "central"},
          class_name(c))];
      if (c === 0) return piece;
      return [...piece, svg("line", {class: "falls", x1: middle, x2: middle, y1: bottom + 40, y2: bottom + 52}),
        svg("circle", {cx: middle, cy: bottom + 68, r: 14, fill: class_colour(c), "data-part": "l B"}),
        svg("text", {class: "on", x: middle, y: bottom + 68, "text-anchor": "middle", "dominant-baseline": "central"},
          class_name(c))];
    }));
  }

  // ---- all paths of the target

  function draw_count({T, U, labels, count}) {
    const r = ctc.count_repeats(labels);
    write(find(".over"), T + U - r);
    write(find(".under"), 2 * U);
    show_number(find(".count"), count, counted(count));
    const facts = [["T", `T = ${T} frames`], ["U", `U = ${U} label${U === 1 ? "" : "s"}`],
      ["r", `r = ${r} label${r === 1 ? "" : "s"} equal to the one before`]];
    find(".sizes").replaceChildren(...facts.map(([part, text]) => el("span", {"data-part": part}, text)),
      ...(T < U + r ? [`${U + r} frames are needed: there is no path.`] : []));
  }

  function list({labels, T, log_probs, count, ext}) {
    const all = count <= LIST_AT_MOST;
    const paths = all ? alignments(labels, T) :
      best_paths(log_probs, labels, LIST_OF_BEST).map(({states}) => states.map((s) => ext[s]));
    find(".list").replaceChildren(...paths.map((each) => el("button", {type: "button", "data-path": each.join(),
      "aria-label": `path ${each.map((c) => class_name(c)).join(" ")}`}, el("span", {class: "chips"}, ...chips(each)),
        el("i"))));
    write(find(".list-text"), paths.length === 0 ? "" : all ?
      "All of them, in numerical order; the line under a path is its share of p. Click one to see it above." :
      `The ${paths.length} most probable of them; the line under a path is its share of p. ` +
      "Click one to see it above.");
  }

  // List the best paths again, when logits are no longer being dragged.
  function relist() {
    list(solution());
    changed(room);
  }

  picture.addEventListener("click", ({target}) => {
    const option = target.closest(".option"), frame = target.closest(".frame");
    if (!option) return;
    path[frame.dataset.t] = Number(option.dataset.c);
    changed(room);
  });
  picture.addEventListener("keydown", (event) => {
    const frame = event.target.closest(".frame"), steps = {ArrowUp: -1, ArrowDown: 1};
    if (!frame) return;
    const t = Number(frame.dataset.t), C = solution().C;
    if (event.key in steps) path[t] = (path[t] + steps[event.key] + C) % C;
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") frames[t +
      (event.key === "ArrowLeft" ? -1 : 1)]?.focus();
    else return;
    event.preventDefault();
    changed(room);
  });
  find(".list").addEventListener("click", ({target}) => {
    const item = target.closest("[data-path]");
    if (!item) return;
    path = item.dataset.path.split(",").map(Number);
    changed(room);
  });
  light_up(room);
  redraw_with(room, draw);
  add_room("paths", () => ({path: path.join(",")}), ({path: given}) => {
    if (given && /^\d+(,\d+)*$/.test(given)) path = given.split(",").map(Number);
    changed(room);
  });
}

export {paths_room};
