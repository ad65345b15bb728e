/* The graph: what is unfolded is drawn as SVG. ELK lays it out, and the edges follow ELK's routes,
   which lead around all nodes. */

const FIRST = 60; // processes that are unfolded at first
const ONCE = 40; // and at a double-click
const FONT = "Helvetica, Arial, sans-serif";
const LINE = 1.25; // the height of a line of a label, in letters
const ROUND = 6; // the radius of an edge's corners

let drawn = new Set();

function unfoldFirst() {
  drawn = new Set([data.root]);
  let level = [data.root];
  while (level.length) {
    const next = new Set();
    for (const number of level)
      for (const [, to] of linked(processes[number]))
        if (!drawn.has(to)) next.add(to);
    if (drawn.size + next.size > FIRST) {
      if (drawn.size === 1) some([...next]).forEach(to => drawn.add(to));
      break;
    }
    next.forEach(to => drawn.add(to));
    level = [...next].filter(to => to >= 0);
  }
}

const weight = number => number < 0 ? 0 : processes[number].bytes;
const some = numbers => numbers.sort((a, b) => weight(b) - weight(a)).slice(0, ONCE);
const foldedBelow = number =>
  number < 0 ? [] : [...new Set(linked(processes[number]).map(([, to]) => to))].filter(to => !drawn.has(to));

function unfold(number) {
  const more = some(foldedBelow(number));
  more.forEach(to => drawn.add(to));
  if (more.length) layOut(number);
}

// Draws processes, and the shortest way to each of them from the drawn ones.
function reveal(numbers) {
  const hidden = numbers.filter(number => !drawn.has(number));
  if (!hidden.length) return;
  const before = new Map([...drawn].filter(one => one >= 0).map(one => [one, null]));
  const waiting = [...before.keys()];
  for (const one of waiting)
    for (const [, to] of linked(processes[one]).filter(([, to]) => to >= 0))
      if (!before.has(to)) {
        before.set(to, one);
        waiting.push(to);
      }
  for (const number of hidden)
    for (let one = number; one !== null && one !== undefined; one = before.get(one)) drawn.add(one);
  layOut(numbers[0]);
}

// What is drawn

const ruler = document.createElement("canvas").getContext("2d");

function nodeOf(number) {
  const process = number < 0 ? null : processes[number];
  const letters = process ? 11 + 7 * Math.sqrt(process.bytes / largest) : 11;
  const more = foldedBelow(number).length;
  const about = (process ? size(process.bytes) : "external") + (more ? `, ${more.toLocaleString("en")} more` : "");
  const lines = [short(nameOf(number)), ...process && process.name ? [short(process.name)] : [], about];
  ruler.font = `${letters}px ${FONT}`;
  const width = Math.max(...lines.map(line => ruler.measureText(line).width)) + letters + 8;
  const looks = [number === data.root && "root", !process && "external", more && "more", process && process.change];
  return { number, lines, letters, width, height: (lines.length * LINE + 0.8) * letters, more, looks: looks.filter(Boolean) };
}

// One edge for each pair of processes and kind of reference. References of another version follow.
function edgesDrawn() {
  const edges = new Map();
  const add = (from, kind, to, gone) => {
    const id = `${from} ${to} ${kind}`;
    if (drawn.has(to) && !(gone && edges.has(id))) edges.set(id, { id, from, to, kind, gone });
  };
  for (const from of drawn)
    if (from >= 0) {
      for (const [kind, to] of processes[from].references) add(from, kind, to, false);
      for (const [kind, to] of processes[from].gone) add(from, kind, to, true);
    }
  return edges;
}

/* What ELK is asked for. Edges of a kind leave a process at one port, and so they share a trunk.
   Each arrives at a port of its own, so that a trunk never has two processes that it comes from. */
function asked(nodes, edges) {
  const port = edge => `${edge.from} ${edge.kind}`;
  const ports = new Map([...edges.values()].map(edge => [port(edge), edge.from]));
  const children = new Map(nodes.map(({ number, width, height }) => [number, { id: `${number}`, width, height, ports: [] }]));
  for (const [id, number] of ports)
    children.get(number).ports.push({ id, width: 0, height: 0, layoutOptions: { "elk.port.side": "EAST" } });
  for (const child of children.values())
    child.layoutOptions = { "elk.portConstraints": child.ports.length ? "FIXED_SIDE" : "FREE" };
  if (children.has(data.root)) children.get(data.root).layoutOptions["elk.layered.layering.layerConstraint"] = "FIRST";
  return {
    id: "graph",
    layoutOptions: {
      "elk.algorithm": "layered", "elk.direction": "RIGHT", "elk.edgeRouting": "ORTHOGONAL",
      "elk.spacing.nodeNode": "10", "elk.spacing.edgeNode": "10", "elk.spacing.edgeEdge": "6", "elk.spacing.componentComponent": "24",
      "elk.layered.spacing.nodeNodeBetweenLayers": "36", "elk.layered.spacing.edgeNodeBetweenLayers": "14",
      "elk.layered.spacing.edgeEdgeBetweenLayers": "6", "elk.layered.nodePlacement.bk.fixedAlignment": "BALANCED",
    },
    children: [...children.values()],
    edges: [...edges.values()].map(edge => ({ id: edge.id, sources: [port(edge)], targets: [`${edge.to}`] })),
  };
}

const elk = new ELK();
let drawing = Promise.resolve(); // ends when the last requested graph is drawn

// Lays out the graph. The node that is named stays in its place in the window.
function layOut(anchor) {
  const nodes = [...drawn].map(nodeOf), edges = edgesDrawn();
  const mine = drawing = elk.layout(asked(nodes, edges)).then(placed => {
    if (mine === drawing) place(nodes, edges, placed, anchor);
    else return drawing;
  });
}

// The elements

const scene = document.getElementById("scene"), layers = { nodes: document.getElementById("nodes"), edges: document.getElementById("edges") };
const placedAt = new Map(); // number of a process -> its element, and its box in the scene

function draw(tag, attributes, ...inner) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...inner);
  return made;
}

function place(nodes, edges, placed, anchor) {
  const first = !placedAt.size, before = placedAt.get(anchor);
  for (const [number, { element }] of placedAt)
    if (!drawn.has(number)) {
      element.remove();
      placedAt.delete(number);
    }
  const boxes = new Map(placed.children.map(one => [+one.id, one]));
  for (const node of nodes) {
    const { x, y } = boxes.get(node.number);
    let element = (placedAt.get(node.number) || {}).element;
    if (!element) { // the node stays when it moves, so it keeps the focus and gets a second click
      element = draw("g", { "data-number": node.number, role: "button", tabindex: -1 }, draw("rect", { rx: 5 }));
      layers.nodes.append(element);
    }
    placedAt.set(node.number, { element, x, y, width: node.width, height: node.height });
    look(element, node);
    element.setAttribute("transform", `translate(${x} ${y})`);
  }
  layers.edges.replaceChildren(...placed.edges.map(one => edgeOf(edges.get(one.id), one.sections[0])));
  paint();
  const after = placedAt.get(anchor);
  if (first || anchor === undefined) fit();
  else if (before) moveBy((before.x - after.x) * view.zoom, (before.y - after.y) * view.zoom);
  else bringIntoView(anchor);
}

function look(element, { lines, letters, width, height, more, looks }) {
  element.setAttribute("class", ["node", ...looks].join(" "));
  element.setAttribute("aria-label", lines.join(", ") + (more ? " folded" : ""));
  const text = draw("text", { "font-size": letters, "text-anchor": "middle" }, ...lines.map((line, at) => {
    const made = draw("tspan", { x: width / 2, y: letters * (1.2 + at * LINE) });
    made.textContent = line;
    return made;
  }));
  // The box stays and handles the mouse. If it was removed after a press, there would be no click.
  const box = element.firstChild;
  while (element.lastChild !== box) element.lastChild.remove();
  box.setAttribute("width", width);
  box.setAttribute("height", height);
  if (more) element.append(draw("rect", { x: 3, y: 3, width: width - 6, height: height - 6, rx: 5 }));
  element.append(text);
}

function edgeOf({ from, to, kind, gone }, { startPoint, bendPoints = [], endPoint }) {
  const points = [startPoint, ...bendPoints, endPoint];
  const [last, end] = points.slice(-2);
  const angle = Math.atan2(end.y - last.y, end.x - last.x) * 180 / Math.PI;
  return draw("g", { class: `edge ${KINDS[kind]}${gone ? " gone" : ""}`, "data-from": from, "data-to": to },
    draw("path", { class: "line", d: rounded(points) }),
    draw("path", { class: "head", d: HEADS[kind], transform: `translate(${end.x} ${end.y}) rotate(${angle})` }));
}

const HEADS = ["M0 0L-9 -4.5V4.5Z", "M0 0L-6 -4.5L-12 0L-6 4.5Z", "M0 0L-10 -5L-6 0L-10 5Z"];

// A path through points, with round corners that stay on the inner side of the bends.
function rounded(points) {
  const toward = (from, to, distance) => {
    const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
    const part = Math.min(distance, length / 2) / length;
    return `${from.x + (to.x - from.x) * part} ${from.y + (to.y - from.y) * part}`;
  };
  let path = `M${points[0].x} ${points[0].y}`;
  for (let at = 1; at < points.length - 1; at++) {
    const [before, bend, after] = points.slice(at - 1, at + 2);
    path += `L${toward(bend, before, ROUND)}Q${bend.x} ${bend.y} ${toward(bend, after, ROUND)}`;
  }
  const end = points[points.length - 1];
  return path + `L${end.x} ${end.y}`;
}

// Marks the unit and the chosen process. The Tab key reaches the chosen process first.
function paint() {
  for (const [number, { element }] of placedAt) {
    element.classList.toggle("held", chosen.held.has(number));
    element.classList.toggle("chosen", number === chosen.process);
    element.setAttribute("aria-pressed", number === chosen.process);
  }
  reachable(placedAt.has(chosen.process) ? chosen.process : data.root);
  for (const edge of layers.edges.children) {
    const { from, to } = edge.dataset;
    edge.classList.toggle("held", chosen.held.has(+from) && chosen.held.has(+to));
  }
}
