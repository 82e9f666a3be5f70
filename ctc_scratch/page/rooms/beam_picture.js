// The tree of a beam search: one column per frame, the prefixes kept in it from best to worst, and where they come from.

import {class_colour, class_name, columns, set, short_number, svg} from "../app/draw.js";

const BEAM_ROW = 40, BOX = 30, DROPPED_SHOWN = 2, BEAM_TOP = 6, WIDEST_COLUMN = 150;

// Make a picture in `container`. Returns draw(beam, frame, best): what `beam_search` gives, up to a frame.
function beam_picture(container) {
  const picture = container.appendChild(svg("svg", {role: "img"}));

  function draw(beam, frame, best) {
    const T = beam.length - 1, grid = columns(container, T, WIDEST_COLUMN), box = Math.min(grid.cell - 26, 104);
    // Column t of the picture stands under frame t; the empty prefix, before all frames, stands at the left edge.
    const shown = beam.slice(0, frame + 1).map(({kept, dropped}) => [
      ...kept.map((entry) => ({...entry, is_kept: true})), ...dropped.slice(0, DROPPED_SHOWN)]);
    const rows = Math.max(...beam.map(({kept, dropped}) => kept.length + Math.min(dropped.length, DROPPED_SHOWN)));
    const left = (t) => t === 0 ? 0 : grid.x(t - 1) + (grid.cell - box) / 2,
      width = (t) => t === 0 ? Math.min(grid.left - 16, 44) : box;
    const middle = (row) => BEAM_TOP + row * BEAM_ROW + BOX / 2;
    const edges = [], boxes = [];
    shown.forEach((entries, t) => entries.forEach(({prefix, score, from, is_kept}, row) => {
      for (const [source, part] of from) {
        const source_row = shown[t - 1].findIndex((entry) => entry.prefix.join() === source);
        const x1 = left(t - 1) + width(t - 1), x2 = left(t), y1 = middle(source_row), y2 = middle(row),
          bend = (x2 - x1) / 2;
        edges.push(svg("path", {class: is_kept ? "edge" : "edge dropped",
          d: `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`,
          "stroke-width": (1 + 7 * Math.exp(part)).toFixed(1)}));
      }
      boxes.push(draw_box({prefix, score, is_kept,
        on_the_way: prefix.every((c, i) => c === best[i]) && (t < T || prefix.length === best.length)}, left(t),
        BEAM_TOP + row * BEAM_ROW, width(t)));
    }));
    picture.replaceChildren(...edges, ...boxes);
    const height = BEAM_TOP + rows * BEAM_ROW + 4, last = beam[frame].kept;
    set(picture, {viewBox: `0 0 ${grid.width} ${height}`, width: grid.width, height,
      "aria-label": `The beam after frame ${frame}: ${last.map(({prefix, score}) =>
        `${prefix.join(" ") || "empty"} ${Math.exp(score).toFixed(3)}`).join(", ")}`});
  }

  function draw_box({prefix, score, is_kept, on_the_way}, x, y, width) {
    const room_for = Math.max(1, Math.floor((width - 34) / 15));
    const letters = prefix.length > room_for ? prefix.slice(-room_for) : prefix;
    const names = prefix.length ? letters.map((c, i) =>
      svg("tspan", {fill: class_colour(c), "font-weight": 700}, (i ? " " : "") + class_name(c))) :
      [svg("tspan", {class: "empty-prefix"}, "∅")];
    const group = svg("g", {class: `prefix${is_kept ? "" : " dropped"}${on_the_way ? " on-the-way" : ""}`,
      "data-part": is_kept ? "beam" : "dropped",
      "data-prefix": prefix.join(), "data-value": String(Math.exp(score))},
    svg("rect", {x, y, width, height: BOX, rx: 8}),
    svg("text", {x: x + 8, y: y + BOX / 2, "dominant-baseline": "central"},
      ...(prefix.length > room_for ? ["…"] : []), ...names));
    if (width >= 58) group.append(svg("text", {class: "score", x: x + width - 6, y: y + BOX / 2, "text-anchor": "end",
      "dominant-baseline": "central"},
      short_number(Math.exp(score))));
    return group;
  }
  return draw;
}

export {beam_picture, WIDEST_COLUMN};
