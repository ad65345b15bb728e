/* The diagram of the chosen process, which bpmn-js draws from the BPMN of the model. The elements are
   those of the details: a click chooses one, and what is chosen and held is marked. */

const CONTAINERS = ["process", "subProcess", "transaction", "adHocSubProcess"];
const lost = document.getElementById("lost");
const paper = document.getElementById("diagram");
const crumbs = document.getElementById("crumbs");

// Where each process is, embedded ones too: the number of its file, and the process of that file.
const homes = new Map();
data.diagrams.forEach((text, file) => {
  for (const one of new DOMParser().parseFromString(text, "application/xml").getElementsByTagName("*")) {
    if (!CONTAINERS.includes(one.localName) || homes.has(one.id)) continue;
    let top = one;
    while (top.localName !== "process" && top.parentElement) top = top.parentElement;
    homes.set(one.id, { file, top: top.id });
  }
});

const viewer = data.diagrams.length ? new BpmnJS({
  container: paper,
  bpmnRenderer: { defaultFillColor: "var(--paper)", defaultStrokeColor: "var(--ink)", defaultLabelColor: "var(--ink)" },
}) : null;
const definitions = new Map(); // number of a file -> what its BPMN is
let shownTop = null; // the process that is shown, whose embedded ones are in the same diagram
let mainRoot = null; // what bpmn-js shows of it, and not of a collapsed subprocess
let showing = Promise.resolve(); // until the diagram that was asked for last is there
let trail = []; // processes that led to the one that is shown, each called by the one before it

function diagramFor(own, process) {
  const inside = new Set([process.id]);
  const collect = container => (container.flowElements || []).forEach(one => { inside.add(one.id); collect(one); });
  collect(process);
  return own.get("diagrams").find(({ plane }) => plane && plane.bpmnElement
    && (plane.get("planeElement").some(one => one.bpmnElement && inside.has(one.bpmnElement.id))));
}

// The process whose diagram a process is in; null if its BPMN is not here.
const topOf = number => {
  const home = number >= 0 ? homes.get(processes[number].id) : null;
  return home || null;
};

async function open(home) {
  const moddle = viewer.get("moddle");
  if (!definitions.has(home.file)) {
    const { rootElement, warnings } = await moddle.fromXML(data.diagrams[home.file]);
    // bpmn-js would leave out elements whose ids have letters that are not ASCII.
    const illegal = warnings.map(one => one.message.match(/illegal ID <.*>/)).find(Boolean);
    if (illegal) throw new Error(illegal[0]);
    definitions.set(home.file, rootElement);
  }
  const own = definitions.get(home.file);
  const process = own.get("rootElements").find(one => one.id === home.top);
  let diagram = diagramFor(own, process);
  const made = !diagram || diagram.id === `${home.top}_laid_out`;
  if (!diagram) diagram = await laidOut(moddle, own, process);
  shownTop = null;
  await viewer.importDefinitions(own, diagram);
  mainRoot = viewer.get("canvas").getRootElement();
  document.getElementById("layout").textContent = made ? "This model has no layout. The page has laid it out." : "";
  shownTop = home;
  findOwners();
  addCalls();
  addCounts();
  fitDiagram();
}

// Shows the whole diagram, with some space around it.
function fitDiagram() {
  const canvas = viewer.get("canvas");
  canvas.zoom("fit-viewport", "auto");
  canvas.zoom(Math.min(1.2, canvas.zoom() * 0.92), "auto");
}

// Shows the diagram of the chosen process, if diagrams are shown, and marks what is chosen.
function showDiagram() {
  if (!viewer || !isDiagram()) return;
  showing = showing.then(async () => {
    const home = topOf(chosen.process);
    paper.hidden = home === null;
    lost.textContent = home === null ? "The BPMN of this process is not in the page." : "";
    if (home === null) return;
    try {
      if (!shownTop || shownTop.file !== home.file || shownTop.top !== home.top) await open(home);
    } catch (error) { // a model may be wrong in a way that SpiffWorkflow does not mind
      paper.hidden = true;
      lost.textContent = `bpmn-js cannot draw this diagram: ${error.message}`;
      return;
    }
    markDiagram();
    showTrail();
  });
}

const inDiagram = number => {
  const home = topOf(number);
  return home !== null && home.file === shownTop.file && home.top === shownTop.top;
};
const owners = new Map(); // id of an element in the diagram -> the process that it is of
const ownerOf = id => owners.has(id) ? owners.get(id) : null;

function findOwners() {
  owners.clear();
  for (const one of processes.slice(0, current).filter(one => inDiagram(one.number)))
    for (const id of one.elements) owners.set(id, one.number);
}

// What an element calls, or embeds, as the number of a process
const leadsTo = (number, id) => processes[number].references.filter(([, , element]) => element === id).map(([kind, to]) => [kind, to]);

const MARKS = ["held", "chosen", "added", "changed", "done", "waits", "predicted", "heat1", "heat2", "heat3", "heat4"];

function markDiagram() {
  const canvas = viewer.get("canvas"), all = viewer.get("elementRegistry");
  const embedded = all.get(processes[chosen.process].id);
  const collapsed = all.get(`${processes[chosen.process].id}_plane`);
  canvas.setRootElement(collapsed || (embedded && embedded.parent ? canvas.findRoot(embedded) : mainRoot));
  for (const element of all.getAll()) {
    if (element.waypoints || element.labelTarget || !element.parent) continue;
    const id = element.businessObject.id, owner = ownerOf(id), marks = new Set();
    if (owner !== null) {
      if (owner === chosen.process && id === chosen.element) marks.add("chosen");
      // A call is held if what it calls is.
      const called = leadsTo(owner, id).filter(([kind]) => kind === CALL).map(([, to]) => to);
      if (called.length ? called.some(to => chosen.held.has(to)) : chosen.held.has(owner)) marks.add("held");
      const changes = processes[owner].changes;
      if (processes[owner].change === "added") marks.add("added");
      for (const [change, element] of changes ? changes.elements : []) if (element === id && change !== "removed") marks.add(change);
      for (const mark of countMarks(owner, id)) marks.add(mark);
    }
    for (const mark of MARKS)
      if (marks.has(mark)) canvas.addMarker(element, mark);
      else canvas.removeMarker(element, mark);
  }
  const at = chosen.element !== null && all.get(chosen.element);
  if (at && at.parent) canvas.scrollToElement(at, 60);
}

// Where a call leads, as a button at its element

function addCalls() {
  const overlays = viewer.get("overlays");
  for (const element of viewer.get("elementRegistry").getAll()) {
    const owner = element.labelTarget ? null : ownerOf(element.id);
    const calls = owner === null ? [] : leadsTo(owner, element.id).filter(([kind, to]) => kind === CALL && topOf(to));
    for (const [, to] of calls.slice(0, 1)) {
      const name = blank(nameOf(to));
      const button = make("button", { type: "button", className: "call", textContent: "→", title: `Open ${name}`, on: event => { event.stopPropagation(); follow(owner, to); } });
      button.setAttribute("aria-label", `Open ${name}`);
      overlays.add(element.id, "call", { position: { bottom: 12, right: 12 }, html: button });
    }
  }
}

function follow(from, to) {
  trail.push(from);
  choose(to);
}

// The way back. It ends if another process is chosen than one that was called.
function showTrail() {
  const back = trail.indexOf(chosen.process);
  if (back >= 0) trail = trail.slice(0, back);
  const last = trail[trail.length - 1];
  if (last !== undefined && !below(last).some(([to]) => to === chosen.process) && !inDiagram(last)) trail = [];
  crumbs.replaceChildren(...trail.map((number, at) => make("li", {}, make("button", {
    type: "button", className: "link", textContent: blank(nameOf(number)), on: () => { trail = trail.slice(0, at); choose(number); } }))),
    make("li", { textContent: blank(nameOf(chosen.process)) }));
}

if (viewer) {
  viewer.get("eventBus").on("element.click", ({ element }) => {
    const id = element.businessObject.id, owner = ownerOf(id);
    if (owner !== null && element.parent) choose(owner, id);
  });
  // A collapsed subprocess is opened with a button of bpmn-js, and left with its breadcrumbs.
  viewer.get("eventBus").on("root.set", ({ element }) => {
    const number = element.businessObject && processes.findIndex(one => one.id === element.businessObject.id);
    if (shownTop && number >= 0 && number !== chosen.process && inDiagram(number)) choose(number);
  });
  viewer.get("eventBus").on("element.dblclick", ({ element }) => {
    const owner = ownerOf(element.businessObject.id);
    const [, to] = (owner === null ? [] : leadsTo(owner, element.businessObject.id)).find(([kind, to]) => kind === CALL && topOf(to)) || [];
    if (to !== undefined) follow(owner, to);
  });
  new ResizeObserver(() => { if (shownTop && paper.clientWidth) viewer.get("canvas").resized(); }).observe(paper);
}

const isDiagram = () => document.getElementById("drawing").dataset.view === "diagram";
const drawings = document.querySelectorAll("#drawings input");

function showDrawing(name) {
  document.getElementById("drawing").dataset.view = name;
  for (const one of drawings) one.checked = one.value === name;
  showDiagram();
}

for (const one of drawings) one.addEventListener("change", () => showDrawing(one.value));
document.getElementById("drawings").hidden = !viewer;
