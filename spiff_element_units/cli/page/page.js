/* A workflow to look around in. Ids are shown as text only (textContent, labels on a canvas). */
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const CALL = 0, EMBEDDED = 1;
  const KINDS = ["call", "embedded", "trigger"];
  const VERBS = ["calls", "embeds", "triggers"];
  const FONT = "Helvetica, Arial, sans-serif";
  const LEAST = 0.7; // zoom at which a graph is still to be read
  const FIRST = 60; // processes that are unfolded at first
  const ONCE = 40; // and at a double-click

  // What there is

  const processes = data.processes.map(([id, bytes, tasks, elements, references, leading, name, names, added], number) => ({
    number, id, bytes, tasks, elements, references, leading, name, names, added: new Set(added), referrers: [], gone: [], change: "", changes: null,
  }));
  const current = processes.length;

  // What differs from another version. Processes that were removed follow the others.

  const against = data.against;
  if (against) {
    for (const [id, bytes, tasks] of against.removed)
      processes.push({
        number: processes.length, id, bytes, tasks, elements: [], references: [], leading: {}, referrers: [], gone: [],
        name: "", names: {}, added: new Set(), change: "removed", changes: null,
      });
    for (const number of against.added) processes[number].change = "added";
    for (const [number, elements, fields, within] of against.changed)
      Object.assign(processes[number], { change: "changed", changes: { elements, fields, within } });
    for (const [from, kind, to, element] of against.gone) processes[from].gone.push([kind, to, element]);
  }

  const whole = processes.slice(0, current).reduce((sum, one) => sum + one.bytes, 0);
  const largest = processes.reduce((most, one) => Math.max(most, one.bytes), 1);
  for (const one of processes)
    for (const [kind, to, element] of one.references)
      if (to >= 0) processes[to].referrers.push([kind, one.number, element]);

  const nameOf = number => number < 0 ? data.externals[-1 - number] : processes[number].id;
  const within = one => one.references.filter(([, to]) => to >= 0);
  const linked = one => [...one.references, ...one.gone];

  // Which processes a unit holds: the library's rule, with called processes left to the application

  function reach(start, follow) {
    const found = new Set(start), waiting = [...start];
    while (waiting.length)
      for (const [kind, to] of within(processes[waiting.pop()]))
        if (follow(kind) && !found.has(to)) {
          found.add(to);
          waiting.push(to);
        }
    return found;
  }

  // The processes on any path from one to those that `wanted` says.
  function onTheWay(from, wanted) {
    const reached = reach([from], () => true);
    const way = new Set([...reached].filter(number => wanted(processes[number])));
    const waiting = [...way];
    while (waiting.length)
      for (const [, number] of processes[waiting.pop()].referrers)
        if (reached.has(number) && !way.has(number)) {
          way.add(number);
          waiting.push(number);
        }
    return way;
  }

  function unitOf(number, element) {
    const one = processes[number];
    let start = [number];
    if (element !== one.id) {
      const position = one.elements.indexOf(element);
      if (position >= 0) start = [number, ...(one.leading[position] || [])];
      else {
        const way = onTheWay(number, one => one.id === element || one.elements.includes(element));
        if (!way.size) return null;
        start = [number, ...way];
      }
    }
    return holding(number, start);
  }

  // The unit of a process that resumes in one below it, whatever else has elements of the same id.
  function unitTo(from, number) {
    const way = onTheWay(from, one => one.number === number);
    return way.size ? holding(from, [from, ...way]) : null;
  }

  function holding(number, start) {
    const held = reach(start, kind => kind !== CALL);
    held.delete(number);
    return [number, ...[...held].sort((a, b) => a - b)];
  }

  const bytesOf = numbers => numbers.reduce((sum, number) => sum + processes[number].bytes, 0);
  for (const one of processes) {
    const unit = unitOf(one.number, one.id);
    one.unit = bytesOf(unit);
    one.holds = unit.length;
  }

  // Words

  function size(bytes) {
    for (const unit of ["B", "kB", "MB", "GB"]) {
      if (bytes < 999.5) return bytes.toFixed(unit === "B" || bytes >= 99.95 ? 0 : 1) + " " + unit;
      bytes /= 1000;
    }
    return bytes.toFixed(1) + " TB";
  }

  function share(part, of) {
    const percent = of ? 100 * part / of : 0;
    return part && percent < 0.05 ? "< 0.1 %" : percent.toFixed(percent < 9.95 ? 1 : 0) + " %";
  }

  const things = (number, one, more) => `${number.toLocaleString("en")} ${number === 1 ? one : more}`;
  const processesOf = number => things(number, "process", "processes");
  const blank = id => id.trim() === id && id !== "" ? id : `'${id}'`;
  const short = id => blank(id).length > 34 ? blank(id).slice(0, 32) + "…" : blank(id);

  function make(tag, options, ...inner) {
    const { on, ...rest } = options;
    const made = Object.assign(document.createElement(tag), rest);
    if (on) made.addEventListener("click", on);
    made.append(...inner.filter(one => one !== null && one !== undefined));
    return made;
  }

  // What is chosen: a process, an element of it, and the process whose unit is shown

  const chosen = { process: data.root, element: null, from: data.root, held: new Set() };

  function choose(number, element = null, from = number, asked = null) {
    if (number >= current) return chooseRemoved(number);
    const own = () => unitOf(number, element === null ? processes[number].id : element);
    const unit = asked || (from === number ? own() : unitTo(from, number));
    if (unit === null) return;
    Object.assign(chosen, { process: number, element, from, held: new Set(unit) });
    reveal([number, ...unit.slice(0, ONCE)]);
    paint();
    describe(unit);
    mark();
    keep();
  }

  // Brings a process into view that was chosen elsewhere than in the graph.
  function goTo(number) {
    choose(number);
    const node = graph.getElementById("n" + number), box = node.renderedBoundingBox();
    if (box.x1 < 0 || box.y1 < 0 || box.x2 > graph.width() || box.y2 > graph.height()) graph.stop().center(node);
  }

  // The fragment of the page's address keeps what is chosen.
  function keep() {
    const said = new URLSearchParams({ process: processes[chosen.process].id });
    if (chosen.element !== null) said.set("element", chosen.element);
    if (chosen.from !== chosen.process) said.set("from", processes[chosen.from].id);
    history.replaceState(null, "", "#" + said);
  }

  function chooseKept() {
    const said = new URLSearchParams(location.hash.slice(1));
    const numberOf = name => processes.findIndex(one => one.id === said.get(name));
    const number = numberOf("process"), element = said.get("element");
    if (number < 0 || element !== null && !processes[number].elements.includes(element)) return false;
    const from = numberOf("from");
    choose(number, element, from < 0 ? number : from);
    return chosen.process === number;
  }

  function chooseRemoved(number) {
    Object.assign(chosen, { process: number, element: null, from: number, held: new Set() });
    reveal([number]);
    paint();
    describeRemoved(processes[number]);
    mark();
    keep();
  }

  // The graph: what is unfolded is drawn

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

  // Draws processes, and the shortest way to each from what is drawn.
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

  const ruler = document.createElement("canvas").getContext("2d");
  const graph = cytoscape({
    container: document.getElementById("graph"),
    minZoom: 0.05, maxZoom: 4, boxSelectionEnabled: false, multiClickDebounceTime: 500,
    style: [
      { selector: "node", style: {
        shape: "round-rectangle", width: "data(width)", height: "data(height)", "background-color": "#fff",
        "border-width": 1.5, "border-color": "#5b6b7b", label: "data(label)", color: "#1c2733",
        "font-family": FONT, "font-size": "data(letters)", "line-height": 1.2, "text-valign": "center",
        "text-wrap": "wrap", "min-zoomed-font-size": 4 } },
      { selector: "node.root", style: { "border-width": 3.5, "border-color": "#1c2733" } },
      { selector: "node.external", style: { "border-style": "dashed", "border-color": "#999", color: "#666" } },
      { selector: "node.more", style: { "border-style": "double", "border-width": 6 } },
      { selector: "node.held", style: { "background-color": "#ffe3a3", "border-color": "#b26a00" } },
      { selector: "node.added", style: { "background-color": "#c6efce" } },
      { selector: "node.changed", style: { "background-color": "#d9d2f7" } },
      { selector: "node.removed", style: { "background-color": "#f8cfcf", "border-style": "dashed" } },
      { selector: "node.chosen", style: { "underlay-color": "#1f6feb", "underlay-opacity": 0.35, "underlay-padding": 7 } },
      { selector: "edge", style: {
        width: 1.5, "curve-style": "bezier", "target-arrow-shape": "triangle", "arrow-scale": 0.9,
        "line-color": "#8c9aa8", "target-arrow-color": "#8c9aa8" } },
      { selector: "edge.embedded", style: {
        "line-style": "dashed", "line-color": "#1f6feb", "target-arrow-color": "#1f6feb", "target-arrow-shape": "diamond" } },
      { selector: "edge.trigger", style: {
        "line-style": "dotted", "line-color": "#b26a00", "target-arrow-color": "#b26a00", "target-arrow-shape": "vee" } },
      { selector: "edge.gone", style: { "line-color": "#d9908c", "target-arrow-color": "#d9908c" } },
      { selector: "edge.held", style: { width: 3 } },
    ],
  });

  // Lays out what is drawn anew; a process that was drawn before stays where it is to be seen, so
  // that the second click of two meets it.
  function layOut(centre) {
    const seen = graph.getElementById("n" + centre);
    const before = seen.empty() ? null : { ...seen.renderedPosition() };
    const nodes = [...drawn].map(number => {
      const process = processes[number];
      const letters = process ? 11 + 11 * Math.sqrt(process.bytes / largest) : 11;
      const more = foldedBelow(number).length;
      const name = process && process.name ? short(process.name) + "\n" : "";
      const label = short(nameOf(number)) + "\n" + name + (process ? size(process.bytes) : "external")
        + (more ? `, ${more} more` : "");
      const classes = [number === data.root && "root", !process && "external", more && "more", process && process.change];
      ruler.font = `${letters}px ${FONT}`;
      const width = Math.max(...label.split("\n").map(line => ruler.measureText(line).width)) + letters + 6;
      return { data: { id: "n" + number, number, label, letters, width, height: (name ? 4.4 : 3.2) * letters }, classes: classes.filter(Boolean).join(" ") };
    });
    const edges = new Map();
    for (const number of drawn)
      for (const [kind, to] of number < 0 ? [] : processes[number].gone)
        if (drawn.has(to)) {
          const id = `g${number}_${to}_${kind}`;
          edges.set(id, { data: { id, source: "n" + number, target: "n" + to }, classes: KINDS[kind] + " gone" });
        }
    for (const number of drawn)
      for (const [kind, to] of number < 0 ? [] : processes[number].references)
        if (drawn.has(to)) {
          const id = `e${number}_${to}_${kind}`;
          edges.set(id, { data: { id, source: "n" + number, target: "n" + to }, classes: KINDS[kind] });
        }
    graph.elements().remove();
    graph.add([...nodes, ...edges.values()]);
    graph.layout({ name: "dagre", rankDir: "LR", nodeSep: 14, rankSep: 70, animate: false, fit: false }).run();
    paint();
    if (centre === undefined) fit();
    else if (before) {
      const after = graph.getElementById("n" + centre).renderedPosition();
      graph.panBy({ x: before.x - after.x, y: before.y - after.y });
    } else graph.animate({ center: { eles: graph.getElementById("n" + centre) }, duration: 200 });
  }

  let fitted = true; // until somebody looks elsewhere
  new ResizeObserver(() => {
    graph.resize();
    if (fitted) fit();
  }).observe(graph.container());
  graph.on("pan zoom", () => { fitted = false; });

  function fit() {
    graph.fit(undefined, 36);
    if (graph.zoom() > 1.3) graph.zoom(1.3), graph.center();
    if (graph.zoom() < LEAST) { // too small to read: the root and what is near
      graph.zoom(LEAST);
      const root = graph.getElementById("n" + data.root);
      graph.pan({ x: 30 - root.boundingBox().x1 * LEAST, y: graph.height() / 2 - root.position().y * LEAST });
    }
    fitted = true;
  }

  function paint() {
    graph.batch(() => {
      graph.nodes().forEach(node => {
        node.toggleClass("held", chosen.held.has(node.data("number")));
        node.toggleClass("chosen", node.data("number") === chosen.process);
      });
      graph.edges().forEach(edge => {
        edge.toggleClass("held", edge.source().hasClass("held") && edge.target().hasClass("held"));
      });
    });
  }

  graph.on("tap", "node", event => {
    const number = event.target.data("number");
    if (number >= 0) choose(number);
    else describeExternal(number);
  });
  graph.on("dbltap", "node", event => unfold(event.target.data("number")));
  const zoomBy = factor => graph.zoom({ level: graph.zoom() * factor, renderedPosition: { x: graph.width() / 2, y: graph.height() / 2 } });
  document.getElementById("fit").addEventListener("click", () => graph.fit(undefined, 36));
  document.getElementById("closer").addEventListener("click", () => zoomBy(1.3));
  document.getElementById("farther").addEventListener("click", () => zoomBy(1 / 1.3));
  document.getElementById("refold").addEventListener("click", () => { unfoldFirst(); layOut(); choose(data.root); });

  // The table

  const most = { bytes: largest, unit: processes.reduce((top, one) => Math.max(top, one.unit), 1) };
  function bar(cell) {
    const made = make("div", { className: "bar", textContent: size(cell.getValue()) });
    made.style.setProperty("--part", cell.getValue() / most[cell.getField()]);
    return made;
  }

  const named = cell => {
    const { id, name } = cell.getData();
    return make("span", {}, blank(id), name ? make("span", { className: "name", textContent: name }) : null);
  };
  const table = new Tabulator("#table", {
    data: processes, index: "number", layout: "fitColumns", height: "100%", placeholder: "No process matches",
    initialSort: [{ column: "bytes", dir: "desc" }], columnDefaults: { headerSortStartingDir: "desc", headerWordWrap: true },
    columns: [
      { title: "process", field: "id", sorter: "string", formatter: named, widthGrow: 4, minWidth: 140, headerSortStartingDir: "asc" },
      { title: "tasks", field: "tasks", sorter: "number", hozAlign: "right", width: 80 },
      { title: "size", field: "bytes", sorter: "number", formatter: bar, widthGrow: 2, minWidth: 110 },
      { title: "start unit", field: "unit", sorter: "number", formatter: bar, widthGrow: 2, minWidth: 110 },
      { title: "processes in unit", field: "holds", sorter: "number", hozAlign: "right", width: 120 },
      { title: "refers to", field: "references", hozAlign: "right", width: 105, mutator: list => list,
        formatter: cell => cell.getValue().length, sorter: (a, b) => a.length - b.length },
      ...against ? [{ title: "change", field: "change", sorter: "string", width: 95,
        formatter: cell => make("span", { className: "change", textContent: cell.getValue() }) }] : [],
      { title: "referenced by", field: "referrers", hozAlign: "right", width: 120,
        formatter: cell => cell.getValue().length, sorter: (a, b) => a.length - b.length },
    ],
    rowFormatter: row => {
      const { number, change } = row.getData(), classes = row.getElement().classList;
      if (change) classes.add(change);
      classes.toggle("chosen", number === chosen.process);
      classes.toggle("held", chosen.held.has(number));
    },
  });
  table.on("rowClick", (event, row) => goTo(row.getData().number));

  let built = false;
  table.on("tableBuilt", () => { built = true; mark(); });
  function mark() {
    if (built) for (const row of table.getRows("visible")) row.reformat();
  }

  const search = document.getElementById("search");
  search.addEventListener("input", () => {
    const wanted = search.value.trim().toLowerCase();
    const has = id => id.toLowerCase().includes(wanted);
    if (wanted) table.setFilter(one => [one.id, one.name, ...one.elements, ...Object.values(one.names)].some(has));
    else table.clearFilter();
    document.getElementById("found").textContent = wanted ? `${table.getDataCount("active").toLocaleString("en")} found` : "";
  });

  // The details

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

  // What of a process differs from the other version.
  function changesOf(process) {
    if (!process.change) return [];
    const entries = [];
    if (process.changes) {
      const { elements, fields, within } = process.changes;
      if (fields) entries.push([badge("changed"), "the process", make("p", { textContent: fields })]);
      for (const number of within) entries.push([badge("changed"), "within it: ", link(number)]);
      for (const [change, element, words] of elements)
        entries.push([badge(change), blank(element), make("p", { textContent: words })]);
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
  if (against) {
    reveal(processes.filter(one => one.change).map(one => one.number).slice(0, ONCE));
    graph.stop();
    fit();
  }
  if (chooseKept()) fit();
  else if (data.unit) {
    const [number, element] = data.unit;
    const own = processes[number].elements.includes(element);
    const owner = own || element === processes[number].id ? number
      : processes.findIndex(one => unitOf(number, element).includes(one.number) && (one.id === element || one.elements.includes(element)));
    choose(owner, processes[owner].id === element ? null : element, number, unitOf(number, element));
  } else choose(data.root);
  addEventListener("hashchange", chooseKept);
  window.elementUnits = { unitOf, unitTo, processes, graph, table, drawn: () => drawn, chosen };
})();
