/* Moves in the graph: mouse, fingers, wheel and keyboard. */

const LEAST = 0.7; // the smallest zoom at which people can read a graph
const SMALLEST = 0.05;
const MARGIN = 30;
const surface = document.getElementById("graph");
const view = { x: 0, y: 0, zoom: 1 };
let fitted = true; // until the user moves or zooms

function moveTo(x, y, zoom) {
  Object.assign(view, { x, y, zoom });
  scene.setAttribute("transform", `translate(${x} ${y}) scale(${zoom})`);
}

function moveBy(x, y) {
  fitted = false;
  moveTo(view.x + x, view.y + y, view.zoom);
}

// Zooms about a point of the graph, in pixels.
function zoomBy(factor, x = surface.clientWidth / 2, y = surface.clientHeight / 2) {
  const zoom = Math.min(4, Math.max(SMALLEST, view.zoom * factor)), by = zoom / view.zoom;
  fitted = false;
  moveTo(x - (x - view.x) * by, y - (y - view.y) * by, zoom);
}

// Shows the whole graph. `least` is the smallest zoom, so that it can be read.
function fit(least = LEAST) {
  const { clientWidth: width, clientHeight: height } = surface;
  const nodes = layers.nodes.getBBox(), edges = layers.edges.childElementCount ? layers.edges.getBBox() : nodes;
  const left = Math.min(nodes.x, edges.x), right = Math.max(nodes.x + nodes.width, edges.x + edges.width);
  const top = Math.min(nodes.y, edges.y), bottom = Math.max(nodes.y + nodes.height, edges.y + edges.height);
  const whole = Math.min(1.3, (width - 2 * MARGIN) / (right - left), (height - 2 * MARGIN) / (bottom - top));
  const zoom = Math.max(whole, least, SMALLEST), root = placedAt.get(data.root);
  // In the middle of the window, or as near to the root's as what is seen has no empty side.
  const along = (from, to, seen, wanted) => (to - from) * zoom <= seen - 2 * MARGIN
    ? (seen - (from + to) * zoom) / 2
    : Math.min(MARGIN - from * zoom, Math.max(seen - MARGIN - to * zoom, wanted));
  moveTo(
    along(left, right, width, MARGIN - root.x * zoom),
    along(top, bottom, height, height / 2 - (root.y + root.height / 2) * zoom), zoom);
  fitted = true;
}

function bringIntoView(number) {
  const at = placedAt.get(number);
  if (!at) return;
  const { clientWidth: width, clientHeight: height } = surface;
  const left = view.x + at.x * view.zoom, top = view.y + at.y * view.zoom;
  const right = left + at.width * view.zoom, bottom = top + at.height * view.zoom;
  if (left < 0 || top < 0 || right > width || bottom > height)
    moveBy((width - left - right) / 2, (height - top - bottom) / 2);
}

new ResizeObserver(() => { if (fitted && placedAt.size) fit(); }).observe(surface);

// Mouse and fingers: one moves the graph, two zoom it

const pointers = new Map();
let moved = 0; // pixels since the pointer went down; a click does not move

surface.addEventListener("pointerdown", event => {
  if (!pointers.size) moved = 0;
  pointers.set(event.pointerId, event);
});
addEventListener("pointermove", event => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const [x, y] = [event.clientX - before.clientX, event.clientY - before.clientY];
  moved += Math.abs(x) + Math.abs(y);
  if (moved > 4 && !surface.hasPointerCapture(event.pointerId)) surface.setPointerCapture(event.pointerId);
  if (pointers.size === 1) moveBy(x, y);
  else {
    const other = [...pointers.values()].find(one => one.pointerId !== event.pointerId);
    const apart = one => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
    const box = surface.getBoundingClientRect();
    zoomBy(apart(event) / apart(before), other.clientX - box.x, other.clientY - box.y);
  }
  pointers.set(event.pointerId, event);
});
for (const end of ["pointerup", "pointercancel"]) addEventListener(end, event => pointers.delete(event.pointerId));
surface.addEventListener("wheel", event => {
  event.preventDefault();
  const box = surface.getBoundingClientRect(), lines = event.deltaMode ? 16 : 1;
  zoomBy(Math.exp(-event.deltaY * lines / 400), event.clientX - box.x, event.clientY - box.y);
}, { passive: false });

// Nodes are buttons: Enter chooses, and unfolds what is chosen. The arrows go to the next node.

const numberAt = target => {
  const node = target.closest && target.closest(".node");
  return node ? +node.dataset.number : null;
};

function press(number) {
  if (number >= 0) choose(number);
  else describeExternal(number);
}

// A layout may move the nodes while the mouse is down or between two clicks. The first press counts.
let pressed = null;
surface.addEventListener("mousedown", event => {
  if (event.detail === 1) pressed = numberAt(event.target);
});
surface.addEventListener("click", event => {
  const byMouse = event.detail > 0; // 0 if a screen reader clicks
  const number = byMouse ? pressed : numberAt(event.target);
  if (number === null || byMouse && moved > 4) return;
  if (event.detail === 2) unfold(number);
  else press(number);
});

// The Tab key reaches one node at a time.
function reachable(number) {
  for (const { element } of placedAt.values()) element.setAttribute("tabindex", -1);
  const at = placedAt.get(number);
  if (at) at.element.setAttribute("tabindex", 0);
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// The nearest node in a direction. The distance to the side counts double.
function nearest(number, [right, down]) {
  const middle = ({ x, y, width, height }) => [x + width / 2, y + height / 2];
  const [fromX, fromY] = middle(placedAt.get(number));
  let best = null, least = Infinity;
  for (const [other, at] of placedAt) {
    const [x, y] = middle(at);
    const along = (x - fromX) * right + (y - fromY) * down;
    const far = along + 2 * Math.abs((x - fromX) * down + (y - fromY) * right);
    if (other !== number && along > 1 && far < least) [best, least] = [other, far];
  }
  return best;
}

surface.addEventListener("keydown", event => {
  const number = numberAt(event.target);
  if (number === null) return;
  const to = ARROWS[event.key] && nearest(number, ARROWS[event.key]);
  if (to !== undefined && to !== null) {
    reachable(to);
    placedAt.get(to).element.focus({ preventScroll: true });
    bringIntoView(to);
  } else if (event.key === "Enter" || event.key === " ") {
    if (number === chosen.process) unfold(number);
    else press(number);
  } else if (event.key === "+" || event.key === "-") zoomBy(event.key === "+" ? 1.3 : 1 / 1.3);
  else if (!ARROWS[event.key]) return;
  event.preventDefault();
});
// Not on the graph itself, because Chromium would then let an SVG element have the focus.
document.getElementById("drawing").addEventListener("focusin", event => {
  const number = numberAt(event.target);
  if (number !== null && event.target.matches(":focus-visible")) bringIntoView(number);
});

document.getElementById("fit").addEventListener("click", () => isDiagram() ? fitDiagram() : fit(0));
document.getElementById("closer").addEventListener("click", () => isDiagram() ? viewer.get("zoomScroll").stepZoom(1) : zoomBy(1.3));
document.getElementById("farther").addEventListener("click", () => isDiagram() ? viewer.get("zoomScroll").stepZoom(-1) : zoomBy(1 / 1.3));
document.getElementById("refold").addEventListener("click", () => {
  if (isDiagram()) return void fitDiagram();
  unfoldFirst();
  layOut();
  choose(data.root);
});
