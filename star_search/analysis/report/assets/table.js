// The table: sorted by a click on a heading, filtered by words and conditions; rows are made as they are asked for.
const PAGE = 100;
const table = { sort: data.objectives[0], descending: false, rows: PAGE };

function listed(tests) {
  const outcome = find("outcome").value,
    front = find("front-only").checked ? new Set(lastGeneration.front) : null;
  const kept = data.candidates.filter(
    (each) => (!outcome || each.outcome === outcome) && (!front || front.has(each.id)) && tests.every((test) => test(each)),
  );
  const key = (each) => (table.sort === "outcome" ? each.outcome : valueOf(each, table.sort));
  const known = kept.filter((each) => key(each) != null),
    sign = table.descending ? -1 : 1;
  known.sort((a, b) => sign * (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0) || a.id - b.id);
  return [...known, ...kept.filter((each) => key(each) == null)];
}

function rowOf(candidate) {
  const number = (name) => element("td", { className: "number", textContent: formatted(valueOf(candidate, name)) });
  const row = element(
    "tr",
    {},
    element("td", { className: "number" }, idButton(candidate.id)),
    number("generation"),
    element("td", { textContent: candidate.outcome, title: candidate.reason }),
    ...data.columns.map(number),
    element("td", {}, strip(candidate)),
    element("td", { className: "genome", textContent: candidate.canonical }),
  );
  row.dataset.id = candidate.id;
  return row;
}

function fillTable() {
  const { tests, problems } = understood(find("filter").value),
    found = listed(tests);
  find("filter-problem").textContent = problems.map((each) => `Not understood and left out: ${each}.`).join(" ");
  find("candidates").tBodies[0].replaceChildren(...found.slice(0, table.rows).map(rowOf));
  find("count").textContent = `${found.length.toLocaleString("en")} of ${data.candidates.length.toLocaleString("en")}`;
  find("more").hidden = found.length <= table.rows;
  for (const heading of find("candidates").tHead.querySelectorAll("th[data-name]")) {
    heading.ariaSort = heading.dataset.name !== table.sort ? "none" : table.descending ? "descending" : "ascending";
    heading.querySelector("span").textContent = heading.dataset.name !== table.sort ? "" : table.descending ? " ▼" : " ▲";
  }
  markChosen();
}

function markChosen() {
  for (const row of find("candidates").tBodies[0].rows) row.classList.toggle("chosen", Number(row.dataset.id) === state.chosen);
}

function headingOf(name) {
  const button = element("button", { type: "button" }, labelOf(name), element("span", {}));
  button.addEventListener("click", () => {
    table.descending = table.sort === name && !table.descending;
    table.sort = name;
    fillTable();
  });
  const heading = element("th", { scope: "col", className: name === "outcome" ? "" : "number" }, button);
  heading.dataset.name = name;
  return heading;
}

// Also for a run that has grown: order, filter and outcome stay.
function showTable() {
  const names = ["id", "generation", "outcome", ...data.columns];
  const fixed = ["LIVs", "canonical genome"].map((text) => element("th", { textContent: text, scope: "col" }));
  find("candidates").tHead.replaceChildren(element("tr", {}, ...names.map(headingOf), ...fixed));
  const outcomes = [...new Set(data.candidates.map((each) => each.outcome))];
  const kept = find("outcome").value;
  find("outcome").replaceChildren(
    element("option", { value: "", textContent: "all" }),
    ...outcomes.map((each) => element("option", { value: each, textContent: each })),
  );
  find("outcome").value = kept;
  fillTable();
}

function startTable() {
  showTable();
  for (const id of ["filter", "outcome", "front-only"])
    find(id).addEventListener("input", () => {
      table.rows = PAGE;
      fillTable();
    });
  find("filters").addEventListener("submit", (event) => event.preventDefault());
  find("more").addEventListener("click", () => {
    table.rows += PAGE;
    fillTable();
  });
}
