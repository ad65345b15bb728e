/* The table of processes. */
const most = { bytes: largest, unit: processes.reduce((top, one) => Math.max(top, one.unit), 1) };
function bar(cell) {
  const made = make("div", { className: "bar", textContent: size(cell.getValue()) });
  made.style.setProperty("--part", cell.getValue() / most[cell.getField()]);
  return made;
}

function markRow(row) {
  const { number, change } = row.getData(), classes = row.getElement().classList;
  if (change) classes.add(change);
  classes.toggle("chosen", number === chosen.process);
  classes.toggle("held", chosen.held.has(number));
}

const named = cell => {
  const { id, name } = cell.getData();
  return make("button", { type: "button", className: "link" }, blank(id), name ? make("span", { className: "name", textContent: name }) : null);
};
// A column is sorted with the keyboard too.
const heading = cell => make("button", { type: "button", className: "heading", textContent: cell.getValue() });

const table = new Tabulator("#table", {
  data: processes, index: "number", layout: "fitColumns", height: "100%", placeholder: "No process matches",
  initialSort: [{ column: "bytes", dir: "desc" }],
  columnDefaults: { headerSortStartingDir: "desc", headerWordWrap: true, titleFormatter: heading },
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
  rowFormatter: markRow,
});
table.on("rowClick", (event, row) => goTo(row.getData().number));

let built = false;
table.on("tableBuilt", () => {
  built = true;
  // The Tab key reaches the buttons in it. A grid may have no other child that has the focus.
  document.querySelector(".tabulator-tableholder").removeAttribute("tabindex");
  mark();
});
function mark() {
  if (built) table.getRows("visible").forEach(markRow);
}
