/* Instances on the diagrams: which elements have run and how often, where instances wait and for what,
   and what is predicted. */

const instances = data.instances;
const countsOf = (number, id) => (instances && instances.elements[number] || {})[id] || null;

// The marks of an element: its state in one instance, or how many of many instances wait there.
function countMarks(number, id) {
  const counts = countsOf(number, id);
  if (!counts) return [];
  const { done, waits, predicted, at } = counts;
  if (instances.total > 1) return at ? [`heat${Math.max(1, Math.ceil(4 * at / instances.most))}`] : [];
  return [waits && "waits", !waits && done && "done", !waits && !done && predicted && "predicted"].filter(Boolean);
}

function badgeOf({ done, waits, at }) {
  if (instances.total > 1) return [at, `${things(at, "instance waits", "instances wait")} here`];
  if (waits) return [done ? `${done}, waits` : "waits", `waits here${done ? `, and ran ${things(done, "time", "times")}` : ""}`];
  return [done, `ran ${things(done, "time", "times")}`];
}

function addCounts() {
  if (!instances || shownTop.version === "old") return; // they belong to the new version
  const overlays = viewer.get("overlays");
  for (const element of viewer.get("elementRegistry").getAll()) {
    if (element.labelTarget || element.waypoints) continue;
    const owner = ownerOf(element.id), counts = owner === null ? null : countsOf(owner, element.id);
    if (!counts) continue;
    const [shown, title] = badgeOf(counts);
    if (shown) overlays.add(element.id, "count", { position: { top: -10, left: -8 }, html: make("span", { className: "count", textContent: shown, title }) });
  }
}

// What the details say about the instances of a process.
function instancesOf(process) {
  if (!instances) return [];
  const { waits } = instances;
  const [settled, living] = instances.runs[process.number] || [0, 0];
  const runs = [`${living.toLocaleString("en")} running`, `${settled.toLocaleString("en")} settled`];
  const many = instances.total > 1;
  return [make("h3", { textContent: many ? `In ${things(instances.total, "instance", "instances")}` : "In the instance" }),
    make("p", { id: "runs", textContent: runs.join(", ") }),
    waits.length ? make("h3", { textContent: many ? "Where they wait" : "Where it waits" }) : null,
    waits.length ? Object.assign(listOf(waits.map(([number, element, why, count]) =>
      [make("button", { type: "button", className: "link", textContent: blank(element), on: () => choose(number, element) }),
        aside(`${number === process.number ? "" : `in ${short(nameOf(number))}, `}`
          + `${why}${count > 1 ? `, ${count.toLocaleString("en")} times` : ""}`)])), { id: "waits" }) : null].filter(Boolean);
}

// The page opens at the first process that waits.
const waitsFirst = instances && instances.waits.length ? instances.waits[0][0] : null;
