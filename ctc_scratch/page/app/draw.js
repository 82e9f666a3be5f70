// Small helpers to draw with: elements of HTML and SVG, numbers as text, and the colours of classes.

const SVG = "http://www.w3.org/2000/svg";

// Set the attributes of an element that have changed. They are compared with what was set before, because reading them
// from the element is slower.
const attributes_of = new WeakMap();
function set(element, attributes) {
  let before = attributes_of.get(element);
  if (!before) attributes_of.set(element, before = {});
  for (const name in attributes) {
    const value = attributes[name];
    if (value === before[name]) continue;
    before[name] = value;
    if (value === null || value === undefined || value === false) element.removeAttribute(name);
    else element.setAttribute(name, value);
  }
  return element;
}

// An element of HTML: el("button", {type: "button"}, "text", other_element).
function el(tag, attributes = {}, ...children) {
  const element = set(document.createElement(tag), attributes);
  element.append(...children);
  return element;
}

// An element of SVG.
function svg(tag, attributes = {}, ...children) {
  const element = set(document.createElementNS(SVG, tag), attributes);
  element.append(...children);
  return element;
}

// Change the text of an element, if it has changed.
function write(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
  return element;
}

// Show a number, rounded; `data-value` holds it in full.
function show_number(element, value, text = number(value)) {
  write(element, text);
  set(element, {"data-value": String(value)});
}

// A number with four significant digits, or two if it is written with a power of ten: 0.1192, 12.35, 3.1·10⁻⁷.
function number(x, digits = 4) {
  if (x === Infinity) return "∞";
  if (x === -Infinity) return "−∞";
  if (Number.isNaN(x)) return "–";
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size >= 1e-4 && size < 1e7) return String(Number(x.toPrecision(digits))).replace("-", "−");
  const [mantissa, exponent] = x.toExponential(Math.max(0, digits - 3)).split("e");
  const raised = [...String(Number(exponent))].map((c) => c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]).join("");
  return `${mantissa.replace("-", "−")}·10${raised}`;
}

// A whole number, also a BigInt: 9 657 700, or 1.2·10²³.
function counted(n) {
  return n > 10n ** 12n ? number(Number(n)) : String(n).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

// A number in about four characters, for the cells of the lattice: .119, 3e−7.
function short_number(x) {
  if (x === 0 || x === -Infinity) return x === 0 ? "0" : "−∞";
  if (x < 1e-3) return x.toExponential(0).replace("-", "−");
  return x >= 0.9995 ? "1" : x.toFixed(3).slice(1);
}

// A logit with a sign and one decimal: +1.3, −0.4, −∞.
function signed(x) {
  if (!Number.isFinite(x)) return x < 0 ? "−∞" : "+∞";
  return (x < 0 ? "−" : "+") + Math.abs(x).toFixed(1);
}

function percent(x) {
  return x >= 0.0995 || x === 0 ? `${(100 * x).toFixed(0)} %` : `${number(100 * x, 2)} %`;
}

function clamp(x, low, high) {
  return Math.min(high, Math.max(low, x));
}

// How a class is written: a dash for the blank, else its number, or its name if the problem has names.
function class_name(c, names = null) {
  return c === 0 ? "–" : names ? names[c] : String(c);
}

// The colour of a class. The style sheet defines ten for labels; further labels use them again.
function class_colour(c) {
  return c === 0 ? "var(--blank)" : `var(--label-${(c - 1) % 10 + 1})`;
}

// Coloured chips, one per class. The parts light up with symbols of the formula.
function chips(classes, part = null, names = null) {
  return classes.map((c) => el("span", {class: "chip", style: `--colour: ${class_colour(c)}`, "data-part": part},
    class_name(c, names)));
}

// The width of an element. It is kept until the window changes, because measuring makes the browser lay out the page.
const measured = new Map();
function width_of(element) {
  if (!measured.has(element)) measured.set(element, element.clientWidth);
  return measured.get(element);
}
addEventListener("resize", () => measured.clear());

// The columns of frames in a container: those of all pictures of a room line up.
function columns(container, T, widest = 120) {
  const width = Math.max(240, width_of(container));
  const left = width < 560 ? 42 : 76;
  const cell = Math.min(widest, (width - left - 2) / Math.max(1, T));
  return {width, left, cell, x: (t) => left + t * cell};
}

// An axis of frame numbers above the columns: all of them, or every fifth where they are narrow.
function frame_axis(T, {left, cell}, y) {
  const every = cell >= 22 ? 1 : 5;
  const axis = svg("g", {class: "axis", "aria-hidden": "true"});
  for (let t = 0; t < T; t++) {
    if ((t + 1) % every && t) continue;
    axis.append(svg("text", {x: left + (t + 0.5) * cell, y, "text-anchor": "middle"}, String(t + 1)));
  }
  axis.append(svg("text", {x: left - 8, y, "text-anchor": "end"}, left > 50 ? "frame t" : "t"));
  return axis;
}

export {set, el, svg, write, show_number, number, counted, short_number, signed, percent, clamp, class_name,
  class_colour,
  chips, width_of, columns, frame_axis};
