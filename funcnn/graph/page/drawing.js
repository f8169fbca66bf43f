// The graph as an SVG: everything is drawn at once, and what comes in a later step is hidden.

const HEAT = 44; // side of a heat map on an edge

function drawGraph(view, arrays) {
  const svg = drawing("svg", {
    viewBox: `0 0 ${view.width} ${view.height}`,
    width: view.width,
    height: view.height,
    role: "group",
    "aria-labelledby": "graph-title",
    "aria-describedby": "graph-description",
  });
  svg.append(
    drawing("title", { id: "graph-title" }, view.title),
    drawing("desc", { id: "graph-description" }, view.description),
  );
  const lines = view.lines.map(drawLine);
  const nodes = view.nodes.map(drawNode);
  const numbers = view.labels.flatMap((label) => drawNumbers(label, arrays));
  svg.append(...view.groups.map(drawGroup), ...lines, ...nodes, ...numbers);
  return { svg, nodes, lines, numbers };
}

function drawGroup({ x, y, width, height, name }) {
  return drawing(
    "g", {},
    drawing("rect", { class: "scope", x, y, width, height, rx: 8 }),
    drawing("text", { class: "scope-name", x: x + 8, y: y + 15 }, name),
  );
}

function drawNode(node, number) {
  const { x, y, width, height } = node;
  const rx = node.round ? width / 2 : node.kind === "input" ? Math.min(18, width / 2) : 6;
  const shape = drawing("rect", { class: "shape", x: x - width / 2, y: y - height / 2, width, height, rx });
  const label = drawing("text", { class: "label", x, y }, node.label);
  if (node.sub) label.append(drawing("tspan", { class: "sub", dy: 5 }, node.sub));
  return drawing(
    "g",
    { class: `node ${node.kind}`, role: "img", "aria-label": node.aria, tabindex: -1, "data-node": number },
    shape, label,
  );
}

// A line leaves and arrives level, and is straight where two points are at one height.
function drawLine(points) {
  const [[x0, y0], ...rest] = points;
  let [x, y] = [x0, y0], path = `M${x} ${y}`;
  for (const [toX, toY] of rest) {
    const middle = (x + toX) / 2;
    path += Math.abs(y - toY) < 0.05 ? `L${toX} ${toY}` : `C${middle} ${y} ${middle} ${toY} ${toX} ${toY}`;
    [x, y] = [toX, toY];
  }
  const arrow = drawing("path", { class: "arrow", d: `M${x} ${y}l-9 -4v8z` });
  return drawing("g", { class: "edge", "aria-hidden": "true" }, drawing("path", { d: path }), arrow);
}

// The value above a point and the gradient below it, each as a number or as a heat map.
function drawNumbers(label, arrays) {
  const found = [];
  for (const [kind, side] of [["value", -1], ["gradient", 1]]) {
    const given = label[kind];
    if (!given) continue;
    const made = drawing("g", { class: "shown", "aria-hidden": "true" });
    made.dataset.at = given.at;
    const array = given.text === undefined ? arrays[given.array] : given;
    made.append(...drawArray(array, kind, label.x, label.y, side, label.sum ? "Σ " : ""));
    found.push(made);
  }
  return found;
}

// Of a heat map in the graph; cells with numbers have room for the longest.
function sizeOf(array) {
  const size = cellSize(array, HEAT, 12);
  if (!array.numbers) {
    return { width: Math.max(10, size * array.columns), height: Math.max(10, size * array.rows) };
  }
  const longest = Math.max(...array.numbers.map((text) => text.length));
  return { width: Math.max(18, 7.4 * longest + 5) * array.columns, height: 20 * array.rows };
}

function drawArray(array, kind, x, y, side, before) {
  if (!isHeatMap(array)) {
    const number = drawing("text", { class: `number ${kind}`, x, y: y + (side < 0 ? -6 : 16) }, before + array.text);
    number.append(drawing("title", {}, `${kind} ${array.full ?? array.text}`));
    return [number];
  }
  const { width, height } = sizeOf(array);
  const left = Math.max(6, x - width / 2), top = side < 0 ? y - height - 5 : y + 5;
  const parts = [
    drawing("rect", { class: `frame ${kind}`, x: left - 1, y: top - 1, width: width + 2, height: height + 2 }),
    drawing("image", {
      href: heatMap(array).toDataURL(), x: left, y: top, width, height,
      preserveAspectRatio: "none", style: "image-rendering: pixelated",
    }),
    drawing("title", {}, `${kind}, ${about(array)}`),
  ];
  (array.numbers ?? []).forEach((text, i) => {
    const row = Math.floor(i / array.columns), column = i % array.columns;
    parts.push(drawing("text", {
      class: "number cell-number",
      x: left + ((column + 0.5) * width) / array.columns,
      y: top + ((row + 0.5) * height) / array.rows + 4,
    }, text));
  });
  return parts;
}
