/* What is chosen, in words: the unit, references, changes and elements. */
const details = document.getElementById("details");
const MOST = 200; // entries of a list
const MOST_ELEMENTS = 2000;

function listOf(entries) {
  const shown = entries.slice(0, MOST).map(entry => make("li", {}, ...entry));
  if (entries.length > MOST) shown.push(make("li", {}, `… ${(entries.length - MOST).toLocaleString("en")} more`));
  return make("ul", {}, ...shown);
}

const link = number => make("button", {
  type: "button", className: "link", textContent: blank(nameOf(number)),
  on: () => number >= 0 ? goTo(number) : describeExternal(number),
});
const aside = words => make("span", { textContent: words });

const show = (...parts) => details.replaceChildren(...parts.filter(part => part !== null));

function describe(unit) {
  const process = processes[chosen.process];
  const held = bytesOf(unit);
  const at = chosen.element === null ? "starts it" : `resumes at ${blank(chosen.element)}`;
  const own = chosen.from === chosen.process;
  const of = own ? "" : ` of ${blank(processes[chosen.from].id)}`;
  const top = own ? data.root : chosen.from;
  const fromTop = make("input", { type: "checkbox", id: "from-root", checked: !own,
    on: event => choose(chosen.process, chosen.element, event.target.checked ? top : chosen.process) });
  const leads = chosen.process !== top && unitTo(top, chosen.process) !== null;
  const positions = process.elements.map((_, position) => position);
  const added = positions.filter(position => process.added.has(position));
  const drawnThere = positions.filter(position => !process.added.has(position));
  show(
    make("h2", { textContent: blank(process.id) }),
    process.name ? make("p", { className: "name", textContent: process.name }) : null,
    make("p", { textContent: `${size(process.bytes)}, ${share(process.bytes, whole)} of the whole, ${things(process.tasks, "task", "tasks")}` }),
    make("div", { className: "unit", id: "unit" },
      make("h3", { textContent: `The unit${of} that ${at}` }),
      make("p", { id: "unit-size", textContent: `${processesOf(unit.length)}, ${size(held)}, ${share(held, whole)} of the whole` }),
      listOf(unit.map(number => [link(number), aside(`${size(processes[number].bytes)}, ${share(processes[number].bytes, held)}`)])),
      leads ? make("label", {}, fromTop, ` on the way from ${blank(processes[top].id)}`) : null),
    ...instancesOf(process),
    ...changesOf(process),
    make("h3", { textContent: "Refers to" }),
    process.references.length ? listOf(process.references.map(([kind, to, element]) =>
      [link(to), aside(`${VERBS[kind]}, by ${short(element)}${to < 0 ? ", external" : ""}`)])) : make("p", { textContent: "nothing" }),
    make("h3", { textContent: "Referenced by" }),
    process.referrers.length ? listOf(process.referrers.map(([kind, from, element]) =>
      [link(from), aside(`${VERBS[kind]} it, by ${short(element)}`)])) : make("p", { textContent: "nothing" }),
    make("h3", { textContent: `Elements (${drawnThere.length.toLocaleString("en")})` }),
    elementsOf(process, drawnThere),
    added.length ? make("details", { id: "added", open: added.some(one => process.elements[one] === chosen.element) },
      make("summary", { textContent: `${added.length.toLocaleString("en")} added by SpiffWorkflow` }),
      elementsOf(process, added)) : null,
  );
}

function elementsOf(process, positions) {
  const more = positions.length - MOST_ELEMENTS;
  return make("div", { className: "elements" }, ...positions.slice(0, MOST_ELEMENTS).map(position => {
    const element = process.elements[position], name = process.names[position];
    return make("button", {
      type: "button", className: "element" + (element === chosen.element ? " chosen" : ""),
      title: "Show the unit that resumes here", on: () => choose(process.number, element) },
    make("span", { className: "id", textContent: blank(element) }),
    name ? make("span", { className: "name", textContent: name }) : null);
  }), more > 0 ? `… ${more.toLocaleString("en")} more` : null);
}

const badge = change => make("span", { className: `mark ${change}`, textContent: change });

// An element that differs, as a link to it in a diagram, if a diagram may have it.
function changed(process, change, element) {
  const gone = change === "removed";
  if (!viewer || !topOf(process.number, gone ? "old" : "new")) return blank(element);
  return make("button", { type: "button", className: "link", textContent: blank(element),
    on: () => gone ? showGone(process.number, element) : showChanged(process.number, element) });
}

// The differences of a process from the other version.
function changesOf(process) {
  if (!process.change) return [];
  const entries = [];
  if (process.changes) {
    const { elements, fields, within } = process.changes;
    if (fields) entries.push([badge("changed"), "the process", make("p", { textContent: fields })]);
    for (const number of within) entries.push([badge("changed"), "within it: ", link(number)]);
    for (const [change, element, words] of elements)
      entries.push([badge(change), changed(process, change, element), make("p", { textContent: words })]);
  } else entries.push([badge(process.change), "the process"]);
  const list = listOf(entries);
  list.className = "changes";
  list.id = "changes";
  return [make("h3", { textContent: `Changed since ${blank(against.title)}` }), list];
}

function describeRemoved(process) {
  details.replaceChildren(
    make("h2", { textContent: blank(process.id) }),
    make("p", { textContent: `${size(process.bytes)}, ${things(process.tasks, "task", "tasks")}; only in ${blank(against.title)}` }),
    ...changesOf(process),
  );
}

function describeExternal(number) {
  details.replaceChildren(
    make("h2", { textContent: blank(nameOf(number)) }),
    make("p", { textContent: "External: the workflow refers to this process but does not contain it. The application provides it." }),
    make("h3", { textContent: "Referenced by" }),
    listOf(processes.flatMap(one => one.references.filter(([, to]) => to === number)
      .map(([kind, , element]) => [link(one.number), aside(`${VERBS[kind]} it, by ${short(element)}`)]))),
  );
}
