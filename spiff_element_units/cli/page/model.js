/* What there is: processes, their references, and which processes a unit holds.
   The files of this page are put together in one function, so they share their names. */
const data = JSON.parse(await unpacked(document.getElementById("data").textContent));
const CALL = 0;
const KINDS = ["call", "embedded", "trigger"];
const VERBS = ["calls", "embeds", "triggers"];

// What there is

const processes = data.processes.map(([id, bytes, tasks, elements, references, leading, name, names, added], number) => ({
  number, id, bytes, tasks, elements, references, leading, name, names, added: new Set(added), referrers: [], gone: [], change: "", changes: null,
}));
const current = processes.length;

// The differences from another version. Removed processes follow the others.

const against = data.against;
if (against) {
  for (const [id, bytes, tasks, elements] of against.removed)
    processes.push({
      number: processes.length, id, bytes, tasks, elements, references: [], leading: {}, referrers: [], gone: [],
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

// The processes in a unit, by the library's rule: the application loads called processes

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

// The processes on any path from one to those for which `wanted` is true.
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

// The unit of a process that resumes in a process below it, even if other processes have the same element id.
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
