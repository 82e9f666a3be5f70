// A small chart of curves over steps, with a cursor that can be moved by mouse, touch or keyboard.

import {clamp, number, set, svg, width_of} from "../app/draw.js";

const HEIGHT = 190, LEFT = 60, RIGHT = 12, TOP_EDGE = 10, BOTTOM = 26;

// Make a chart in `container`; `label` describes it for screen readers. If the cursor may be moved, `pick(x)` is
// called with its new place.
//
// Returns draw({x, curves: [{y, kind}], cursor, marks: [{from, to, text}], x_name, range, y_lines, text}), where x and y are
// arrays of the same length, y_lines are the values with a rule, and text describes the place of the cursor.
function chart(container, label, pick = null) {
  const picture = container.appendChild(svg("svg",
    {class: "chart", ...(pick ? {role: "slider", tabindex: 0} : {role: "img"}), "aria-label": label}));
  let scale = null;

  function draw({x, curves, cursor = null, marks = [], x_name = "step", range = null, y_lines = null, text = ""}) {
    const width = Math.max(260, width_of(container)), all = curves.flatMap(({y}) => y).filter(Number.isFinite);
    const [low, high] = range ?? [Math.min(0, ...all), Math.max(1e-9, ...all) * 1.05];
    const first = x[0] ?? 0, last = Math.max(first + 1, x.at(-1) ?? 1);
    const px = (value) => LEFT + (value - first) / (last - first) * (width - LEFT - RIGHT);
    const py = (value) => TOP_EDGE + (1 - (clamp(value, low,
      high) - low) / (high - low)) * (HEIGHT - TOP_EDGE - BOTTOM);
    scale = {first, last, width};
    const lines = y_lines ?? [low, (low + high) / 2, high];
    const parts = [
      ...lines.flatMap((value) => [svg("line",
        {class: "rule", x1: LEFT, x2: width - RIGHT, y1: py(value), y2: py(value)}),
        svg("text", {class: "tick", x: LEFT - 6, y: py(value), "text-anchor": "end", "dominant-baseline": "central"},
          number(value, 2))]),
      ...marks.flatMap(({from, to, text: name}) => [
        svg("rect", {class: "mark", x: px(from), y: TOP_EDGE, width: Math.max(1, px(to) - px(from)),
          height: HEIGHT - TOP_EDGE - BOTTOM}),
        svg("text", {class: "mark-name", x: (px(from) + px(to)) / 2, y: TOP_EDGE + 12, "text-anchor": "middle"},
          name)]),
      svg("text", {class: "tick", x: px(first), y: HEIGHT - 8, "text-anchor": "start"}, number(first)),
      svg("text", {class: "tick", x: px(last), y: HEIGHT - 8, "text-anchor": "end"}, number(last)),
      svg("text", {class: "tick", x: (LEFT + width) / 2, y: HEIGHT - 8, "text-anchor": "middle"}, x_name),
      ...curves.map(({y, kind}) => svg("polyline", {class: `curve ${kind}`, "data-part": kind, points: y
        .map((value, i) => Number.isFinite(value) ? `${px(x[i]).toFixed(1)},${py(value).toFixed(1)}` :
          "").filter(Boolean).join(" ")})),
    ];
    if (cursor !== null) {
      parts.push(svg("line", {class: "cursor", x1: px(cursor), x2: px(cursor), y1: TOP_EDGE, y2: HEIGHT - BOTTOM}));
      const i = x.findLastIndex((value) => value <= cursor);
      for (const {y, kind} of curves) if (Number.isFinite(y[i])) parts.push(svg("circle",
        {class: `knob ${kind}`, cx: px(cursor), cy: py(y[i]), r: 6}));
    }
    picture.replaceChildren(...parts);
    set(picture, {viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT});
    if (pick) set(picture, {"aria-valuemin": first, "aria-valuemax": last, "aria-valuenow": cursor,
      "aria-valuetext": text || null});
  }

  if (pick) {
    const at = (event) => {
      const x = (event.clientX - picture.getBoundingClientRect().left - LEFT) / (scale.width - LEFT - RIGHT);
      pick(scale.first + clamp(x, 0, 1) * (scale.last - scale.first));
    };
    picture.addEventListener("pointerdown", (event) => { picture.setPointerCapture(event.pointerId); at(event); });
    picture.addEventListener("pointermove", (event) => { if (event.buttons) at(event); });
  }
  return draw;
}

export {chart};
