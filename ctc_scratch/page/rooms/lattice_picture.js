// The picture of the lattice: states from top to bottom, frames from left to right, and paths through them.

import {class_colour, clamp, class_name, columns, set, short_number, svg, write} from "../app/draw.js";

const MARGIN = 4, TALL = 36; // pixels; in cells of at least TALL the numbers stand below the lines of paths

// Make a picture in `container`; `act("look" or "pin", t, s)` is called for a state.
// Returns a function that draws.
function lattice_picture(container, act) {
  const hatch = svg("pattern", {id: "hatch", width: 7, height: 7, patternUnits: "userSpaceOnUse",
    patternTransform: "rotate(45)"},
    svg("line", {x1: 0, y1: 0, x2: 0, y2: 7}));
  const grid_layer = svg("g"), path_layer = svg("g", {class: "paths"}), arrow_layer = svg("g", {class: "arrows"});
  const picture = container.appendChild(svg("svg",
    {role: "grid", "aria-label": "The lattice: one row per state, one column per frame"},
    svg("defs", {}, hatch), grid_layer, path_layer, arrow_layer));
  let cells = [], shape = "", drawn_lines = "", size = {};

  function build(ext, T) {
    const frames = columns(container, T), height = clamp(400 / ext.length, 22, 48);
    size = {...frames, height, y: (s) => MARGIN + s * height};
    grid_layer.replaceChildren();
    cells = ext.map((c, s) => {
      const row = svg("g", {role: "row"}, svg("g", {class: "state", role: "rowheader", "data-part": "ext"},
        svg("circle", {cx: 12, cy: size.y(s) + height / 2, r: 5, fill: class_colour(c)}),
        svg("text", {x: 22, y: size.y(s) + height / 2, "dominant-baseline": "central"},
          c === 0 && size.left > 50 ? "blank" : class_name(c))));
      grid_layer.append(row);
      return Array.from({length: T}, (_, t) => {
        const cell = svg("g", {class: "cell", role: "gridcell", "data-t": t, "data-s": s},
          svg("rect", {class: "ground", x: size.x(t) + 1, y: size.y(s) + 1, width: size.cell - 2, height: height - 2,
            rx: 4}),
          svg("rect", {class: "level", x: size.x(t) + 1, y: size.y(s) + 1, width: size.cell - 2, height: height - 2,
            rx: 4}),
          svg("text", {x: size.x(t) + size.cell / 2, y: size.y(s) + (height >= TALL ? height - 11 : height / 2),
            "text-anchor": "middle",
            "dominant-baseline": "central"}));
        row.append(cell);
        return cell;
      });
    });
    const total = MARGIN + ext.length * height + 4;
    set(picture, {viewBox: `0 0 ${size.width} ${total}`, width: size.width, height: total});
  }

  // view: {values (T, S), shade: (t, s) => 0..1, name: what a cell holds, part: its symbol}
  // looked_at: {t, s}; moves: [{from: {t, s}, to: {t, s}, move, share}]; paths: [{states, kind}]; pins: (T) states or null
  function draw({ext, view, looked_at, moves, paths, pins}) {
    const T = view.values.length, now = [T, ext.join(), columns(container, T).width].join("|");
    if (now !== shape) build(ext, T);
    shape = now;
    const with_numbers = size.cell >= 34;
    for (let s = 0; s < ext.length; s++) {
      for (let t = 0; t < T; t++) {
        const cell = cells[s][t], [, level, text] = cell.children, value = view.values[t][s],
          shade = view.shade(t, s);
        const is_looked_at = t === looked_at.t && s === looked_at.s;
        const classes = ["cell", value === 0 && "none", shade > 0.55 && "deep", is_looked_at && "looked-at",
          pins[t] === s && "pinned"];
        const parts = [view.part, is_looked_at && "now",
          moves.find(({other}) => other.t === t && other.s === s)?.move];
        set(cell, {class: classes.filter(Boolean).join(" "), tabindex: is_looked_at ? 0 : -1,
          "data-part": parts.filter(Boolean).join(" ")});
        cell.number = value;
        if (is_looked_at) set(cell, {"aria-label": `${view.name} of state ${s + 1}, ${ext[s] === 0 ? "blank" :
          `label ${ext[s]}`}, ` +
          `at frame ${t + 1}: ${value.toPrecision(4)}`}); // only this cell can have the focus
        set(level, {"fill-opacity": shade.toFixed(3)});
        write(text, with_numbers ? short_number(value) : "");
      }
    }
    const lines = [shape, ...paths.map(({states, kind}) => kind + states)].join("|");
    if (lines !== drawn_lines) draw_paths(paths);
    drawn_lines = lines;
    draw_moves(moves);
  }

  const centre = ({t, s}) => [size.x(t) + size.cell / 2, size.y(s) + (size.height >= TALL ? 14 : size.height / 2)];

  function draw_paths(paths) {
    path_layer.replaceChildren(...paths.flatMap(({states, kind}, i) => {
      const offset = kind === "sample" ? (i % 5 - 2) * 3 : 0; // samples side by side
      const points = states.map((s, t) => { const [x, y] = centre({t, s});
        return `${x.toFixed(1)},${(y + offset).toFixed(1)}`; }).join(" ");
      const line = (name) => svg("polyline", {points, class: `${kind} ${name}`});
      const dots = kind === "sample" ? [] : states.map((s, t) => {
        const [cx, cy] = centre({t, s});
        return svg("circle", {cx, cy, r: clamp(size.cell / 8, 2, 5), class: `${kind} dot`});
      });
      return kind === "sample" ? [line("line")] : [line("halo"), line("line"), ...dots];
    }));
  }

  function draw_moves(moves) {
    arrow_layer.replaceChildren(...moves.map(({from, to, move, share}) => {
      const [x1, y1] = centre(from), [x2, y2] = centre(to), reach = size.cell * 0.3;
      const length = Math.hypot(x2 - x1, y2 - y1), ux = (x2 - x1) / length, uy = (y2 - y1) / length;
      const a = [x1 + ux * reach, y1 + uy * reach], b = [x2 - ux * reach, y2 - uy * reach];
      const head = [b, [b[0] - 8 * ux + 4 * uy, b[1] - 8 * uy - 4 * ux],
        [b[0] - 8 * ux - 4 * uy, b[1] - 8 * uy + 4 * ux]];
      const line = (name, wider) => svg("line",
        {class: name, x1: a[0], y1: a[1], x2: b[0] - 5 * ux, y2: b[1] - 5 * uy,
        "stroke-width": (1.5 + 4 * share + wider).toFixed(1)});
      return svg("g", {class: `move ${move}`, "data-part": move}, line("halo", 4), line("", 0),
        svg("polygon", {points: head.map((point) => point.map((x) => x.toFixed(1)).join(",")).join(" ")}));
    }));
  }

  function place_of(event) {
    const cell = event.target.closest?.(".cell");
    return cell && [Number(cell.dataset.t), Number(cell.dataset.s)];
  }

  picture.addEventListener("pointerover", (event) => { const place = place_of(event);
    if (place) act("look", ...place); });
  picture.addEventListener("click", (event) => { const place = place_of(event); if (place) act("pin", ...place); });
  picture.addEventListener("keydown", (event) => {
    const place = place_of(event), steps = {ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0],
      ArrowRight: [1, 0]};
    if (!place) return;
    if (event.key === "Enter" || event.key === " ") act("pin", ...place);
    else if (event.key in steps) {
      const [t, s] = place.map((x, i) => x + steps[event.key][i]);
      if (cells[s]?.[t]) { act("look", t, s); set(cells[s][t], {tabindex: 0}); cells[s][t].focus(); }
    } else return;
    event.preventDefault();
  });
  return draw;
}

export {lattice_picture};
