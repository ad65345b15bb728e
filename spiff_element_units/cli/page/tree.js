/* The tree of processes, which is folded and opened level by level. A process is below each process
   that refers to it; below itself it is not opened again. */

const STEP = 100; // entries of a level that are listed at first, and added at each request
const tree = document.getElementById("tree");

// The root, and processes that nothing refers to, or only a circle of processes.
const tops = (() => {
  const found = [], reached = new Set();
  const others = processes.slice(0, current).map(one => one.number);
  for (const few of [[data.root], others.filter(number => !processes[number].referrers.length), others])
    for (const top of few) {
      if (reached.has(top)) continue;
      found.push(top);
      reached.add(top);
      for (const waiting = [top]; waiting.length;)
        for (const [, to] of within(processes[waiting.pop()]))
          if (!reached.has(to)) {
            reached.add(to);
            waiting.push(to);
          }
    }
  return found;
})();

// What a process refers to: [number, how], each once.
function below(number) {
  const found = new Map();
  for (const [kind, to] of number < 0 ? [] : linked(processes[number])) {
    if (!found.has(to)) found.set(to, new Set());
    found.get(to).add(VERBS[kind]);
  }
  return [...found].map(([to, verbs]) => [to, [...verbs].join(", ")]);
}

// One entry. `path` has the processes above it. With `only`, only these are below it.
function entry(number, how, path, only) {
  const again = path.includes(number), process = number < 0 ? null : processes[number];
  const children = again ? [] : below(number).filter(([to]) => !only || only.has(to));
  const about = [how, process ? size(process.bytes) : "external", again ? "again" : children.length ? `${children.length.toLocaleString("en")} below` : ""];
  const item = make("li", { tabIndex: -1 },
    make("div", { className: "row" }, make("span", { className: "twist" }), make("span", { className: "id", textContent: blank(nameOf(number)) }),
      process && process.name ? make("span", { className: "name", textContent: process.name }) : null,
      make("span", { className: "about", textContent: about.filter(Boolean).join(", ") })));
  item.setAttribute("role", "treeitem");
  item.setAttribute("aria-level", path.length + 1);
  item.dataset.number = number;
  item.setAttribute("aria-label", [blank(nameOf(number)), process && process.name, ...about].filter(Boolean).join(", "));
  if (children.length) {
    item.setAttribute("aria-expanded", false);
    item.open = () => {
      const list = make("ul", {});
      list.setAttribute("role", "group");
      fill(list, children.map(([to, how]) => () => entry(to, how, [...path, number], only)));
      item.append(list);
    };
  }
  return item;
}

function fill(list, makers) {
  list.append(...makers.slice(0, STEP).map(one => one()));
  const rest = makers.slice(STEP);
  if (!rest.length) return;
  const more = make("li", { className: "further", tabIndex: -1 },
    make("div", { className: "row", textContent: `${rest.length.toLocaleString("en")} more` }));
  more.setAttribute("role", "treeitem");
  more.press = () => {
    const at = list.children.length - 1;
    more.remove();
    fill(list, rest);
    turnTo(list.children[at]);
  };
  list.append(more);
}

function unfoldEntry(item, unfolded) {
  if (!item.open) return;
  if (unfolded && item.getAttribute("aria-expanded") === "false") item.open();
  if (!unfolded) item.querySelector("ul").remove();
  item.setAttribute("aria-expanded", unfolded);
  markTree();
}

const isOpen = item => item.getAttribute("aria-expanded") === "true";

function showTree() {
  tree.replaceChildren();
  fill(tree, tops.map(number => () => entry(number, "", [], null)));
  unfoldEntry(tree.firstElementChild, true);
  turnTo(tree.firstElementChild, false);
}

// The shortest path to each process from the top.
const above = new Map(tops.map(number => [number, null]));
for (const number of above.keys())
  for (const [to] of below(number)) if (!above.has(to)) above.set(to, number);

// Shows these processes and the shortest path to each, opened.
function showFound(numbers) {
  const only = new Set();
  for (const number of numbers.slice(0, STEP))
    for (let one = number; one !== null && one !== undefined && !only.has(one); one = above.get(one)) only.add(one);
  tree.replaceChildren();
  fill(tree, tops.filter(number => only.has(number)).map(number => () => entry(number, "", [], only)));
  const found = new Set(numbers);
  const opened = new Set();
  const openAll = items => {
    for (const item of items) {
      const number = +item.dataset.number;
      item.classList.toggle("found", found.has(number));
      if (opened.has(number)) continue;
      opened.add(number);
      unfoldEntry(item, true);
      openAll(item.querySelectorAll(":scope > ul > li[data-number]"));
    }
  };
  openAll(tree.querySelectorAll(":scope > li[data-number]"));
  if (numbers.length > STEP) {
    const rest = make("li", { className: "rest", textContent: `${(numbers.length - STEP).toLocaleString("en")} more found` });
    rest.setAttribute("role", "none");
    tree.append(rest);
  }
  turnTo(tree.firstElementChild, false);
}

function markTree() {
  for (const item of tree.querySelectorAll("li[data-number]")) {
    const number = +item.dataset.number;
    item.classList.toggle("held", chosen.held.has(number));
    item.setAttribute("aria-selected", number === chosen.process);
  }
}

// The Tab key reaches one entry, and the arrow keys go through the others.
function turnTo(item, focus = true) {
  if (!item) return;
  for (const one of tree.querySelectorAll('[tabindex="0"]')) one.tabIndex = -1;
  item.tabIndex = 0;
  if (focus) item.focus();
}

function pressEntry(item) {
  if (item.press) item.press();
  else goTo(+item.dataset.number);
}

tree.addEventListener("click", event => {
  const item = event.target.closest("[role=treeitem]");
  if (!item) return;
  turnTo(item);
  if (event.target.classList.contains("twist") && item.open) unfoldEntry(item, !isOpen(item));
  else pressEntry(item);
});
tree.addEventListener("dblclick", event => {
  const item = event.target.closest("[role=treeitem]");
  if (item && !event.target.classList.contains("twist")) unfoldEntry(item, !isOpen(item));
});
tree.addEventListener("keydown", event => {
  const item = event.target.closest("[role=treeitem]"), items = [...tree.querySelectorAll("[role=treeitem]")];
  const at = items.indexOf(item), upper = item.parentElement.closest("[role=treeitem]");
  const keys = {
    ArrowDown: () => turnTo(items[at + 1]),
    ArrowUp: () => turnTo(items[at - 1]),
    ArrowRight: () => item.open && isOpen(item) ? turnTo(items[at + 1]) : unfoldEntry(item, true),
    ArrowLeft: () => item.open && isOpen(item) ? unfoldEntry(item, false) : turnTo(upper),
    Home: () => turnTo(items[0]),
    End: () => turnTo(items[items.length - 1]),
    Enter: () => pressEntry(item),
    " ": () => pressEntry(item),
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});
