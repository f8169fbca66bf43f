// The steps: buttons, keys, the sentence, the line of the program.

const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const state = { view: data.start, step: 0, zoom: 1, drawn: null, playing: null };
const view = () => data.views[state.view];
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const PHASES = { start: "Start", forward: "Forward pass", backward: "Backward pass" };

function lastOf(phase) {
  const found = view().steps.findLastIndex((step) => step.phase === phase);
  return found < 0 ? view().steps.length - 1 : found;
}

function openView(number) {
  const before = view().steps[state.step];
  state.view = number;
  const { steps } = view();
  state.step = sameMoment(before, steps);
  drawView();
  at("slider").max = steps.length - 1;
  at("every").replaceChildren(...steps.map((step) => element("li", {}, ...sentences(step))));
  at("detail").hidden = data.views.length < 2;
  at("less").disabled = number === 0;
  at("more").disabled = number === data.views.length - 1;
  show();
}

// Another view has other steps: the same pass, as far through it.
function sameMoment(before, steps) {
  const same = steps.findIndex((s) => s.phase === before.phase && s.node !== null && s.key === before.key);
  if (same >= 0) return same;
  if (before.phase === "start") return 0;
  const last = steps.findLastIndex((s) => s.phase === before.phase);
  return last < 0 ? steps.length - 1 : last;
}

function drawView() {
  const host = at("graph");
  state.drawn = drawGraph(view(), data.arrays);
  host.replaceChildren(state.drawn.svg);
  document.querySelector("main").classList.toggle("wide", view().width > 900);
  fit();
  const [first] = state.drawn.nodes;
  first?.setAttribute("tabindex", 0);
  state.drawn.nodes.forEach((node, i) => {
    node.addEventListener("focus", () => showTip(node, i));
    node.addEventListener("blur", hideTip);
    node.addEventListener("pointerenter", () => showTip(node, i));
    node.addEventListener("pointerleave", hideTip);
  });
}

function fit() {
  const room = at("graph").clientWidth / view().width;
  state.zoom = Math.max(0.62, Math.min(1.25, room));
  zoomed();
}

function zoomed() {
  const { svg } = state.drawn;
  svg.setAttribute("width", view().width * state.zoom);
  svg.setAttribute("height", view().height * state.zoom);
}

function goTo(number) {
  state.step = Math.max(0, Math.min(view().steps.length - 1, number));
  show();
}

function show() {
  const { steps } = view();
  const step = steps[state.step];
  const { nodes, lines, numbers } = state.drawn;
  for (const number of numbers) number.classList.toggle("later", Number(number.dataset.at) > state.step);
  nodes.forEach((node, i) => node.classList.toggle("now", i === step.node));
  lines.forEach((line, i) => line.classList.toggle("now", step.edges.includes(i)));
  at("phase").textContent = PHASES[step.phase];
  at("sentence").replaceChildren(...sentences(step));
  at("arrays").replaceChildren(...step.arrays.map((a) => arrayCard(a.what, a.kind, data.arrays[a.array])));
  at("count").textContent = `Step ${state.step} of ${steps.length - 1}`;
  at("slider").value = state.step;
  at("slider").setAttribute("aria-valuetext", `${state.step}: ${PHASES[step.phase]}`);
  const atStart = state.step === 0, atEnd = state.step === steps.length - 1;
  for (const id of ["first", "back"]) disable(at(id), atStart);
  for (const id of ["next", "last"]) disable(at(id), atEnd);
  if (atEnd) stop();
  [...at("every").children].forEach((item, i) => item.classList.toggle("now", i === state.step));
  showLine(step);
  if (step.node !== null) intoSight(view().nodes[step.node]);
}

// A button that is turned off while it has the focus would lose it, and the keys with it.
function disable(button, off) {
  if (off) button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
}

function sentences(step) {
  return step.sentences.map((sentence) => {
    const rule = sentence.length === 1 && sentence[0][1] === "rule";
    const pieces = sentence.map(([text, kind]) => (kind ? element("span", { class: kind }, text) : text));
    return element("p", rule ? { class: "rule" } : {}, ...pieces);
  });
}

function intoSight(node) {
  const host = at("graph");
  const x = node.x * state.zoom - host.clientWidth / 2, y = node.y * state.zoom - host.clientHeight / 2;
  host.scrollTo({ left: x, top: y, behavior: calm.matches ? "auto" : "smooth" });
}

// the program

function drawProgram() {
  at("program").hidden = data.files.length === 0;
  for (const [f, file] of data.files.entries()) {
    const rows = file.lines.map(([number, text]) => {
      const row = element("tr", {}, element("td", {}, number === null ? "⋮" : `${number}`), element("td", {}, text));
      if (number !== null) row.dataset.line = `${f}:${number}`;
      return row;
    });
    at("program").append(element("h2", {}, file.name), element("table", { role: "presentation" }, ...rows));
  }
  at("program").tabIndex = 0;
}

function showLine(step) {
  const wanted = step.lines.map((line) => line.join(":"));
  const rows = [...at("program").querySelectorAll("tr")];
  for (const row of rows) {
    const now = wanted.includes(row.dataset.line);
    row.classList.toggle("now", now);
    if (now) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
  const first = rows.find((row) => row.classList.contains("now"));
  if (first) at("program").scrollTop = first.offsetTop - at("program").clientHeight / 2;
}

// what a node is, where it is pointed at

function showTip(node, i) {
  const { tip } = view().nodes[i];
  const facts = tip.facts.flatMap(([what, text]) => [element("dt", {}, what), element("dd", {}, text)]);
  const cards = tip.arrays
    .filter((a) => a.at <= state.step && isHeatMap(data.arrays[a.array]))
    .map((a) => arrayCard(a.what, a.kind, data.arrays[a.array]));
  const seen = tip.arrays
    .filter((a) => a.at <= state.step && data.arrays[a.array].full)
    .flatMap((a) => [element("dt", {}, a.what), element("dd", { class: a.kind }, data.arrays[a.array].full)]);
  at("tip").replaceChildren(element("strong", {}, tip.name), element("dl", {}, ...facts, ...seen), ...cards);
  at("tip").hidden = false;
  const box = node.getBoundingClientRect(), own = at("tip").getBoundingClientRect();
  const left = Math.max(4, Math.min(box.left, document.documentElement.clientWidth - own.width - 4));
  const below = box.bottom + 8 + own.height < innerHeight || box.top < own.height + 8;
  at("tip").style.left = `${left + scrollX}px`;
  at("tip").style.top = `${(below ? box.bottom + 8 : box.top - own.height - 8) + scrollY}px`;
}

function hideTip() {
  at("tip").hidden = true;
}

function nextNode(by) {
  const { nodes } = state.drawn;
  const now = nodes.indexOf(document.activeElement);
  const to = nodes[Math.max(0, Math.min(nodes.length - 1, now + by))];
  for (const node of nodes) node.setAttribute("tabindex", node === to ? 0 : -1);
  to.focus();
}

// playing

const PLAY = at("play").querySelector("path").getAttribute("d");

function stop() {
  clearInterval(state.playing);
  state.playing = null;
  showPlaying(false);
}

function showPlaying(playing) {
  at("play").querySelector("path").setAttribute("d", playing ? "M3 2h4v12H3zM9 2h4v12H9z" : PLAY);
  at("play").setAttribute("aria-label", playing ? "Pause" : "Play");
}

function playOrPause() {
  if (state.playing !== null) return stop();
  if (state.step === view().steps.length - 1) goTo(0);
  state.playing = setInterval(() => goTo(state.step + 1), 1400);
  showPlaying(true);
}

// buttons and keys

const does = {
  first: () => goTo(0),
  back: () => goTo(state.step - 1),
  next: () => goTo(state.step + 1),
  last: () => goTo(view().steps.length - 1),
  forward: () => goTo(lastOf("forward")),
  backward: () => goTo(lastOf("backward")),
  play: playOrPause,
  less: () => openView(state.view - 1),
  more: () => openView(state.view + 1),
  smaller: () => { state.zoom /= 1.25; zoomed(); },
  larger: () => { state.zoom *= 1.25; zoomed(); },
  "show-all": () => {
    const open = at("every").hidden;
    at("every").hidden = !open;
    at("show-all").setAttribute("aria-expanded", open);
  },
};

const KEYS = {
  ArrowLeft: "back", ArrowRight: "next", Home: "first", End: "last",
  f: "forward", b: "backward", " ": "play",
};

function onKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser's own
  const { activeElement: focused } = document;
  if (event.key.startsWith("Arrow") && state.drawn.nodes.includes(focused)) {
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      event.preventDefault();
      return nextNode(event.key === "ArrowUp" ? -1 : 1);
    }
  }
  if (event.key === "Escape") return hideTip();
  if (event.key === " " && focused instanceof HTMLButtonElement) return; // presses the button
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  if (action !== "play") stop();
  does[action]();
}

for (const [id, action] of Object.entries(does)) {
  at(id).addEventListener("click", () => {
    if (at(id).getAttribute("aria-disabled")) return;
    if (id !== "play") stop();
    action();
  });
}
at("slider").addEventListener("input", (event) => { stop(); goTo(Number(event.target.value)); });
document.addEventListener("keydown", onKey);
// the heat maps' colours are those of the scheme, and of paper
for (const media of ["(prefers-color-scheme: dark)", "print"]) {
  matchMedia(media).addEventListener("change", () => { drawView(); show(); });
}
addEventListener("resize", () => { hideTip(); fit(); });

at("every").hidden = true;
drawProgram();
openView(state.view);
