/* The diagram of the chosen process, which bpmn-js draws from the BPMN of the model. The elements are
   those of the details: a click chooses one, and what is chosen and held is marked. */

const lost = document.getElementById("lost");
const paper = document.getElementById("diagram");
const crumbs = document.getElementById("crumbs");

const viewer = texts.length ? new BpmnJS({
  container: paper,
  bpmnRenderer: { defaultFillColor: "var(--paper)", defaultStrokeColor: "var(--ink)", defaultLabelColor: "var(--ink)" },
}) : null;
const definitions = new Map(); // number of a file -> its parsed BPMN
let shownTop = null; // the process that is shown; the diagram has its embedded subprocesses too
let mainRoot = null; // the plane of bpmn-js that shows it, and not that of a collapsed subprocess
let showing = Promise.resolve(); // ends when the last requested diagram is shown
let trail = []; // the processes on the way to the shown one; each calls the next

function diagramFor(own, process) {
  const inside = new Set([process.id]);
  const collect = container => (container.flowElements || []).forEach(one => { inside.add(one.id); collect(one); });
  collect(process);
  return own.get("diagrams").find(({ plane }) => plane && plane.bpmnElement
    && (plane.get("planeElement").some(one => one.bpmnElement && inside.has(one.bpmnElement.id))));
}

async function open(home) {
  const moddle = viewer.get("moddle");
  if (!definitions.has(home.file)) definitions.set(home.file, await readBpmn(moddle, texts[home.file]));
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
  if (made) addLanes(process);
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
    lost.textContent = home === null ? missing(chosen.process) : "";
    document.getElementById("path").hidden = home === null && !against;
    markVersion();
    if (home === null) return;
    try {
      if (!isShown(home)) await open(home);
    } catch (error) { // SpiffWorkflow may accept a model that bpmn-js refuses
      paper.hidden = true;
      lost.textContent = `bpmn-js cannot draw this diagram: ${error.message}`;
      return;
    }
    markDiagram();
    showTrail();
  });
}

const isShown = home => shownTop !== null && home !== null
  && ["version", "file", "top"].every(part => home[part] === shownTop[part]);
const inDiagram = number => shownTop !== null && isShown(topOf(number, shownTop.version));
const owners = new Map(); // id of an element in the diagram -> its process
const ownerOf = id => owners.has(id) ? owners.get(id) : null;

function findOwners() {
  owners.clear();
  for (const one of processes.filter(one => inDiagram(one.number)))
    for (const id of elementsIn(one, shownTop.version)) owners.set(id, one.number);
}

// The processes that an element of the diagram calls.
const calledBy = element => element.businessObject.calledElement
  ? processes.filter(one => one.id === element.businessObject.calledElement).map(one => one.number)
  : [];

const MARKS = ["held", "chosen", "added", "changed", "removed", "done", "waits", "predicted", "heat1", "heat2", "heat3", "heat4"];

function markDiagram() {
  const canvas = viewer.get("canvas"), all = viewer.get("elementRegistry");
  const embedded = all.get(processes[chosen.process].id);
  const collapsed = all.get(`${processes[chosen.process].id}_plane`);
  canvas.setRootElement(collapsed || (embedded && embedded.parent ? canvas.findRoot(embedded) : mainRoot));
  for (const element of all.getAll()) {
    if (element.labelTarget || !element.parent) continue;
    const marks = new Set(element.waypoints ? marksOfFlow(element.businessObject) : marksOf(element));
    for (const mark of MARKS)
      if (marks.has(mark)) canvas.addMarker(element, mark);
      else canvas.removeMarker(element, mark);
  }
  const at = all.get(shownElement());
  if (at && at.parent) canvas.scrollToElement(at, 60);
}

// The marked element: one that was removed, or the chosen one.
const shownElement = () => chosen.gone === null ? chosen.element : chosen.gone;

function marksOf(element) {
  const id = element.businessObject.id, owner = ownerOf(id);
  if (owner === null) return [];
  const isNew = shownTop.version === "new", change = changeOf(processes[owner], id);
  const counted = element.businessObject.calledElement ? calledBy(element) : [owner];
  return [
    owner === chosen.process && id === shownElement() && "chosen",
    change !== (isNew ? "removed" : "added") && change,
    // The unit and the instances belong to the new version. A call is marked if the unit has the called process.
    ...isNew ? [counted.some(to => chosen.held.has(to)) && "held", ...countMarks(owner, id)] : [],
  ].filter(Boolean);
}

const marksOfFlow = ({ $type, $parent, sourceRef, targetRef }) => $type === "bpmn:SequenceFlow" && sourceRef && targetRef
  ? [changeOfFlow($parent.id, sourceRef.id, targetRef.id, shownTop.version)].filter(Boolean) : [];

// Where a call leads, as a button at its element

function addCalls() {
  const overlays = viewer.get("overlays");
  for (const element of viewer.get("elementRegistry").getAll()) {
    const owner = element.labelTarget ? null : ownerOf(element.id);
    const calls = owner === null ? [] : calledBy(element).filter(to => topOf(to));
    for (const to of calls.slice(0, 1)) {
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

// The way back. It ends when a process is chosen that was not called.
function showTrail() {
  const back = trail.indexOf(chosen.process);
  if (back >= 0) trail = trail.slice(0, back);
  const last = trail[trail.length - 1];
  const called = last !== undefined && linked(processes[last]).some(([, to]) => to === chosen.process);
  if (last !== undefined && !called && !inDiagram(last)) trail = [];
  crumbs.replaceChildren(...trail.map((number, at) => make("li", {}, make("button", {
    type: "button", className: "link", textContent: blank(nameOf(number)), on: () => { trail = trail.slice(0, at); choose(number); } }))),
    make("li", { textContent: blank(nameOf(chosen.process)) }));
}

if (viewer) {
  viewer.get("eventBus").on("element.click", ({ element }) => {
    const id = element.businessObject.id, owner = ownerOf(id);
    if (owner === null || !element.parent) return;
    if (processes[owner].elements.includes(id) && owner < current) choose(owner, id);
    else showGone(owner, id);
  });
  // A button of bpmn-js opens a collapsed subprocess, and its breadcrumbs lead back.
  viewer.get("eventBus").on("root.set", ({ element }) => {
    const number = element.businessObject && processes.findIndex(one => one.id === element.businessObject.id);
    if (shownTop && number >= 0 && number !== chosen.process && inDiagram(number)) choose(number);
  });
  viewer.get("eventBus").on("element.dblclick", ({ element }) => {
    const owner = ownerOf(element.businessObject.id), to = calledBy(element).find(to => topOf(to));
    if (owner !== null && to !== undefined) follow(owner, to);
  });
  new ResizeObserver(() => { if (shownTop && paper.clientWidth) viewer.get("canvas").resized(); }).observe(paper);
}

const isDiagram = () => document.getElementById("drawing").dataset.view === "diagram";
const drawings = document.querySelectorAll("#drawings input");

function setDrawing(name) {
  document.getElementById("drawing").dataset.view = name;
  for (const one of drawings) one.checked = one.value === name;
}

function showDrawing(name) {
  setDrawing(name);
  showDiagram();
  keep();
}

for (const one of drawings) one.addEventListener("change", () => showDrawing(one.value));
document.getElementById("drawings").hidden = !viewer;
