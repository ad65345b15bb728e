/* What is chosen: a process, an element of it, and the process whose unit is shown. `gone` is an
   element that the version has which is compared with. */

const chosen = { process: data.root, element: null, from: data.root, held: new Set(), gone: null };

function choose(number, element = null, from = number, asked = null) {
  if (number >= current) return chooseRemoved(number);
  const own = () => unitOf(number, element === null ? processes[number].id : element);
  const unit = asked || (from === number ? own() : unitTo(from, number));
  if (unit === null) return;
  Object.assign(chosen, { process: number, element, from, held: new Set(unit), gone: null });
  reveal([number, ...unit.slice(0, ONCE)]);
  showChosen();
  describe(unit);
}

function chooseRemoved(number) {
  Object.assign(chosen, { process: number, element: null, from: number, held: new Set(), gone: null });
  reveal([number]);
  showChosen();
  describeRemoved(processes[number]);
}

function showChosen() {
  paint();
  mark();
  markTree();
  showDiagram();
  keep();
  document.getElementById("said").textContent = `${blank(processes[chosen.process].id)} is chosen`;
}

// Shows a process that was chosen outside the graph.
function goTo(number) {
  if (number >= 0) choose(number);
  else describeExternal(number);
  drawing.then(() => bringIntoView(number));
}

// The fragment of the page's address keeps what is chosen.
function keep() {
  const said = new URLSearchParams({ process: processes[chosen.process].id });
  if (chosen.element !== null) said.set("element", chosen.element);
  if (chosen.from !== chosen.process) said.set("from", processes[chosen.from].id);
  if (viewer && isDiagram() !== Boolean(instances)) said.set("drawing", isDiagram() ? "diagram" : "graph");
  if (wanted === "old") said.set("version", wanted);
  history.replaceState(null, "", "#" + said);
}

function chooseKept() {
  const said = new URLSearchParams(location.hash.slice(1));
  const numberOf = name => processes.findIndex(one => one.id === said.get(name));
  const number = numberOf("process"), element = said.get("element");
  if (number < 0 || element !== null && !processes[number].elements.includes(element)) return false;
  const from = numberOf("from"), shown = said.get("drawing");
  wanted = against && said.get("version") === "old" ? "old" : "new";
  if (viewer && ["graph", "diagram"].includes(shown)) setDrawing(shown);
  choose(number, element, from < 0 ? number : from);
  drawing.then(() => bringIntoView(number));
  return chosen.process === number;
}

// Begin

document.title = `${data.title} - element units`;
document.getElementById("title").textContent = blank(data.title);
document.getElementById("about").textContent = `${processesOf(current)}, ${size(whole)}, root ${blank(processes[data.root].id)}`;
if (against) {
  document.body.classList.add("compared");
  const about = [`${against.summary} since ${blank(against.title)}`, against.workflow];
  document.getElementById("about").textContent += "; " + about.filter(Boolean).join("; the workflow: ");
}
unfoldFirst();
layOut();
if (against) reveal(processes.filter(one => one.change).map(one => one.number).slice(0, ONCE));
showTree();
showView(current > MANY ? "tree" : "table");
if (instances && viewer) setDrawing("diagram");
if (!chooseKept()) {
  if (data.unit) {
    const [number, element] = data.unit;
    const own = processes[number].elements.includes(element);
    const owner = own || element === processes[number].id ? number
      : processes.findIndex(one => unitOf(number, element).includes(one.number) && (one.id === element || one.elements.includes(element)));
    choose(owner, processes[owner].id === element ? null : element, number, unitOf(number, element));
  } else choose(waitsFirst === null ? data.root : waitsFirst);
}
if (instances) {
  document.body.classList.add(instances.total > 1 ? "with-instances" : "with-instance");
  document.getElementById("about").textContent += `; ${things(instances.total, "instance", "instances")}`;
}
document.getElementById("hint").textContent = data.hint;
addEventListener("hashchange", chooseKept);
window.elementUnits = { unitOf, unitTo, processes, table, view, moveTo, reveal, chosen, drawn: () => drawn, drawing: () => drawing, showing: () => showing, viewer };
