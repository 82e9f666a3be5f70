// The logits of a problem as bars that can be dragged: one row per class, one column per frame.
//
// The height of a bar is the probability of its class, the number in it the logit. Dragging up raises the logit; a
// click closes the class at this frame (a logit of -Infinity), or opens it again. With the keyboard: arrows up and
// down change the logit, left and right go from frame to frame, Delete closes or opens. The name of a row is a handle for
// all its bars.

import {class_colour, clamp, columns, frame_axis, set, signed, svg, write} from "../app/draw.js";

const PIXELS_PER_UNIT = 18, LOWEST = -12, HIGHEST = 12, ROW = 46, GAP = 4, FIRST_ROW = 22;

// Make an editor in `container`.
//
// source: {logits: () => rows, set: (t, c, change) => void, names: c => text, as_percent, widest} where `change` maps the old
// logit to the new one, and t is null for the whole row. Returns draw(part), where `part(t, c)` names the symbols of the
// formula that light up with a bar.
function logits_editor(container, source) {
  const picture = container.appendChild(svg("svg",
    {role: "group", "aria-label": "Logits, one slider per class and frame"}));
  let bars = [], drawn = [], shape = "", focus = [0, 0];

  function build(T, C, grid) {
    picture.replaceChildren(frame_axis(T, grid, 14));
    bars = [];
    drawn = [];
    for (let c = 0; c < C; c++) {
      const y = FIRST_ROW + c * (ROW + GAP);
      const handle = svg("g", {class: "handle", tabindex: 0, role: "slider", "data-t": "all", "data-c": c,
        "aria-label": `logits of ${source.names(c)} at all frames`, "aria-valuemin": LOWEST,
          "aria-valuemax": HIGHEST},
      svg("rect", {x: 0, y, width: grid.left - 6, height: ROW, rx: 6}),
      svg("circle", {cx: 12, cy: y + ROW / 2, r: 5, fill: class_colour(c)}),
      svg("text", {x: 22, y: y + ROW / 2, "dominant-baseline": "central"},
        grid.left < 50 && c === 0 ? "–" : source.names(c)));
      picture.append(handle);
      bars.push(Array.from({length: T}, (_, t) => {
        const bar = svg("g", {class: "bar", role: "slider", "data-t": t, "data-c": c,
          "aria-label": `logit of ${source.names(c)} at frame ${t + 1}`, "aria-valuemin": LOWEST,
            "aria-valuemax": HIGHEST},
        svg("rect", {class: "ground", x: grid.x(t) + 1, y, width: grid.cell - 2, height: ROW,
          rx: Math.min(5, grid.cell / 4)}),
        svg("rect", {class: "level", x: grid.x(t) + 1, width: grid.cell - 2, fill: class_colour(c)}),
        svg("text", {x: grid.x(t) + grid.cell / 2, y: y + 11, "text-anchor": "middle",
          "dominant-baseline": "central"}));
        picture.append(bar);
        return bar;
      }));
    }
    const height = FIRST_ROW + C * (ROW + GAP);
    set(picture, {viewBox: `0 0 ${grid.width} ${height}`, width: grid.width, height});
  }

  function draw(part = () => "y") {
    const logits = source.logits(), T = logits.length, C = logits[0].length,
      grid = columns(container, T, source.widest);
    const now = [T, C, grid.width].join();
    if (now !== shape) build(T, C, grid);
    shape = now;
    focus = [clamp(focus[0], 0, T - 1), clamp(focus[1], 0, C - 1)];
    const log_probs = ctc.log_softmax(logits);
    for (let c = 0; c < C; c++) {
      for (let t = 0; t < T; t++) {
        const bar = bars[c][t], [ground, level, text] = bar.children;
        set(bar, {"data-part": part(t, c), tabindex: t === focus[0] && c === focus[1] ? 0 : -1});
        if (drawn[t] === logits[t]) continue; // it has not changed
        const prob = Math.exp(log_probs[t][c]), height = prob * ROW, closed = logits[t][c] === -Infinity;
        set(level, {y: Number(ground.getAttribute("y")) + ROW - height, height});
        set(bar, {class: closed ? "bar closed" : "bar",
          "aria-valuenow": closed ? LOWEST : clamp(logits[t][c], LOWEST, HIGHEST).toFixed(2),
          "aria-valuetext": `${closed ? "minus infinity" :
            logits[t][c].toFixed(1)}, probability ${prob.toFixed(3)}`});
        const label = source.as_percent && !closed ? `${(100 * prob).toFixed(0)} %` : signed(logits[t][c]);
        write(text, grid.cell >= 34 ? label : closed ? "×" : "");
      }
      const mean = logits.reduce((sum, row) => sum + clamp(row[c], LOWEST, HIGHEST), 0) / T;
      set(picture.querySelector(`.handle[data-c="${c}"]`), {"aria-valuenow": mean.toFixed(2)});
    }
    drawn = logits;
  }

  // Add `units` to a logit; a closed one stays closed.
  const by = (units) => (x) => x === -Infinity ? x : clamp(x + units, LOWEST, HIGHEST);
  // Close a class at a frame, or give it back the logit that it had.
  const closed_logits = new Map();
  const close = (t, c) => (x) => {
    if (x === -Infinity) return closed_logits.get(`${t},${c}`) ?? 0;
    closed_logits.set(`${t},${c}`, x);
    return -Infinity;
  };
  // At least one class of a frame must stay open.
  const may_close = (t, c) => source.logits()[t]?.some((x, k) => k !== c && x > -Infinity);

  function place_of(element) {
    const item = element.closest?.("[data-c]");
    return item && {t: item.dataset.t === "all" ? null : Number(item.dataset.t), c: Number(item.dataset.c), item};
  }

  let drag = null;
  picture.addEventListener("pointerdown", (event) => {
    const place = place_of(event.target);
    if (!place || event.button) return;
    drag = {...place, y: event.clientY, moved: 0, id: event.pointerId};
    picture.setPointerCapture(event.pointerId);
    if (place.t !== null) focus = [place.t, place.c];
    place.item.focus({preventScroll: true});
  });
  picture.addEventListener("pointermove", (event) => {
    if (!drag || event.pointerId !== drag.id) return;
    const up = drag.y - event.clientY;
    drag.moved = Math.max(drag.moved, Math.abs(up));
    if (drag.moved < 4 || up === 0) return; // a finger moves a little while it taps
    drag.y = event.clientY;
    source.set(drag.t, drag.c, by(up / PIXELS_PER_UNIT));
  });
  picture.addEventListener("pointerup", () => {
    if (drag && drag.moved < 4 && drag.t !== null && may_close(drag.t, drag.c)) source.set(drag.t, drag.c,
      close(drag.t, drag.c));
    drag = null;
  });
  picture.addEventListener("pointercancel", () => { drag = null; });

  picture.addEventListener("keydown", (event) => {
    const place = place_of(event.target);
    if (!place) return;
    const {t, c} = place, big = event.shiftKey ? 1 : 0.1;
    const changes = {ArrowUp: by(big), ArrowDown: by(-big), PageUp: by(1), PageDown: by(-1),
      Home: (x) => by(LOWEST - HIGHEST)(x), End: (x) => by(HIGHEST - LOWEST)(x)};
    if (event.key in changes) source.set(t, c, changes[event.key]);
    else if ((event.key === "Delete" || event.key === "Enter") && t !== null && may_close(t, c)) source.set(t, c,
      close(t, c));
    else if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && t !== null) {
      focus = [clamp(t + (event.key === "ArrowLeft" ? -1 : 1), 0, bars[0].length - 1), c];
      for (const other of bars.flat()) set(other, {tabindex: -1});
      set(bars[c][focus[0]], {tabindex: 0});
      bars[c][focus[0]].focus();
    } else return;
    event.preventDefault();
  });
  return draw;
}

export {logits_editor};
