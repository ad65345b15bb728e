/* Finds processes by their ids and names and those of their elements, in the table and the tree. */

const search = document.getElementById("search");
const MANY = 300; // processes that the tree shows at first, and not the table

let matching = null; // the numbers of the found processes, or null without a search

function find() {
  const wanted = search.value.trim().toLowerCase();
  const has = id => id.toLowerCase().includes(wanted);
  const found = one => [one.id, one.name, ...one.elements, ...Object.values(one.names)].some(has);
  matching = wanted ? processes.filter(found).map(one => one.number) : null;
  if (matching) {
    const numbers = new Set(matching);
    table.setFilter(one => numbers.has(one.number));
    showFound(matching);
  } else {
    table.clearFilter();
    showTree();
  }
  document.getElementById("found").textContent = matching ? `${matching.length.toLocaleString("en")} found` : "";
}

search.addEventListener("input", find);

// Enter chooses the first row of the table, or the process that has this id.
search.addEventListener("keydown", event => {
  if (event.key !== "Enter" || !matching || !matching.length) return;
  const same = matching.find(number => processes[number].id.toLowerCase() === search.value.trim().toLowerCase());
  goTo(same === undefined ? table.getRows("active")[0].getData().number : same);
});

// The table or the tree

const views = document.querySelectorAll("#views input");

function showView(name) {
  document.getElementById("listing").dataset.view = name;
  for (const one of views) one.checked = one.value === name;
  if (name === "table" && built) table.redraw();
}

for (const one of views) one.addEventListener("change", () => showView(one.value));
