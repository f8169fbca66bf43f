// Elements, and arrays as heat maps.

function element(name, attributes = {}, ...children) {
  return withParts(document.createElement(name), attributes, children);
}

function drawing(name, attributes = {}, ...children) {
  return withParts(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function withParts(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children); // strings become text, never markup
  return made;
}

const isHeatMap = (array) => array.cells !== undefined;

// The size of one cell, so that the map is about `side` large.
const cellSize = (array, side, largest) =>
  Math.max(1, Math.min(largest, Math.floor(side / Math.max(array.rows, array.columns))));

// Purple is negative, green positive; zero is the paper, so that it fits light, dark and print.
const GAP = 200; // a cell between pictures

function heatMap(array) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim().split(" ").map(Number);
  const positive = colour("--positive"), negative = colour("--negative");
  const broken = colour("--broken"); // NaN and infinity
  const canvas = element("canvas", { width: array.columns, height: array.rows });
  const context = canvas.getContext("2d");
  const image = context.createImageData(array.columns, array.rows);
  const paler = array.numbers ? 0.55 : 1; // so that numbers can be read
  array.cells.forEach((cell, i) => {
    if (cell === GAP) return image.data.set([128, 128, 128, 90], 4 * i);
    const rgb = cell === null ? broken : cell < 0 ? negative : positive;
    const strength = cell === null ? 1 : (paler * Math.abs(cell)) / 100;
    image.data.set([...rgb, Math.round(255 * strength)], 4 * i);
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

const about = (array) =>
  [`shape ${array.shape}`, array.dtype, array.range, array.note].filter(Boolean).join(", ");

// An array in the panel: what it is, its map or number, its shape and range.
function arrayCard(what, kind, array) {
  const card = element("figure", { class: "array", style: "margin: 0 0.8rem 0.5rem 0" });
  const caption = element("figcaption", {}, element("span", { class: `what ${kind}` }, what), ` ${array.shape}`);
  card.append(caption);
  if (isHeatMap(array)) {
    const canvas = heatMap(array);
    const size = cellSize(array, 160, 24);
    canvas.style.width = `${size * array.columns}px`;
    canvas.style.height = `${size * array.rows}px`;
    canvas.className = kind;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${what}: heat map, ${about(array)}`);
    canvas.title = about(array);
    card.append(canvas, element("div", { class: "about" }, array.range));
    if (array.note) card.append(element("div", { class: "about" }, array.note));
  }
  return card;
}
