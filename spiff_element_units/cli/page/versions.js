/* Which diagrams there are: those of the workflow, and those of the version that it is compared with. */

const CONTAINERS = ["process", "subProcess", "transaction", "adHocSubProcess"];
const texts = [...data.diagrams]; // by the number of a file
const versions = [...document.querySelectorAll("#versions input")];

// Where each process of a version is, embedded ones too: the number of its file, and the process of
// that file. `flows` has which elements follow one another.
function homesOf(files, version) {
  const homes = new Map(), flows = new Set();
  for (const file of files)
    for (const one of new DOMParser().parseFromString(texts[file], "application/xml").getElementsByTagName("*")) {
      if (one.localName === "sequenceFlow") flows.add(flowOf(one.parentElement.id, one.getAttribute("sourceRef"), one.getAttribute("targetRef")));
      if (!CONTAINERS.includes(one.localName) || homes.has(one.id)) continue;
      let top = one;
      while (top.localName !== "process" && top.parentElement) top = top.parentElement;
      homes.set(one.id, { file, top: top.id, version });
    }
  return { homes, flows };
}
const flowOf = (...ids) => JSON.stringify(ids); // the process, and two elements that follow one another

const there = { new: homesOf(data.diagrams.keys(), "new") };
if (against) there.old = homesOf(against.diagrams.map(one => typeof one === "number" ? one : texts.push(one) - 1), "old");

let wanted = "new"; // the version whose diagrams the user wants
const isIn = (process, version) => version === "new" ? process.number < current : process.change !== "added";
const versionOf = number => [wanted, "new", "old"].find(version => isIn(processes[number], version));

// The process whose diagram contains a process; null if the page does not have its BPMN.
const topOf = (number, version = number < 0 ? null : versionOf(number)) =>
  number >= 0 && isIn(processes[number], version) && there[version].homes.get(processes[number].id) || null;

const changesIn = process => process.changes ? process.changes.elements : [];

// The elements of a process in a version.
function elementsIn(process, version) {
  if (version === "new") return process.elements;
  return [...process.elements, ...changesIn(process).filter(([change]) => change === "removed").map(([, id]) => id)];
}

// How an element differs between the versions: nothing, or a word.
function changeOf(process, id) {
  if (process.change !== "changed") return process.change;
  const [change] = changesIn(process).find(([, element]) => element === id) || [""];
  return change;
}

// The same for a sequence flow. It is not known without the BPMN of the other version.
function changeOfFlow(within, source, target, version) {
  const other = there[version === "new" ? "old" : "new"], process = processes.find(one => one.id === within);
  if (!other || !process) return "";
  if (process.change !== "changed") return process.change;
  return !other.homes.has(within) || other.flows.has(flowOf(within, source, target)) ? "" : version === "new" ? "added" : "removed";
}

// Why there is no diagram.
function missing(number) {
  if (versionOf(number) === "new") return "The BPMN of this process is not in the page.";
  const way = against.diagrams.length ? "" : ` ${against.hint}`;
  return `The BPMN of this process in ${blank(against.title)} is not in the page.${way}`;
}

function showVersion(version) {
  wanted = version;
  chosen.gone = null;
  showDiagram();
  keep();
}

// Shows an element that was removed, in the diagram that has it.
function showGone(number, element) {
  wanted = "old";
  if (chosen.process !== number) choose(number);
  chosen.gone = element;
  showDrawing("diagram");
}

function showChanged(number, element) {
  wanted = "new";
  choose(number, element);
  showDrawing("diagram");
}

function markVersion() {
  for (const one of versions) {
    one.checked = one.value === versionOf(chosen.process);
    one.disabled = !isIn(processes[chosen.process], one.value);
  }
}

for (const one of versions) {
  one.addEventListener("change", () => showVersion(one.value));
  if (against) one.parentElement.title = one.value === "old" ? against.title : data.title;
}
