// Progress over the generations, and the test of motifs.
function quartiles(name) {
  const values = new Map();
  for (const each of data.candidates) {
    if (each.outcome !== "ok") continue;
    if (!values.has(each.generation)) values.set(each.generation, []);
    values.get(each.generation).push(valueOf(each, name));
  }
  return [...values]
    .sort(([one], [other]) => one - other)
    .map(([generation, found]) => {
      found.sort((one, other) => one - other);
      return { generation, values: [0.25, 0.5, 0.75].map((share) => interpolated(found, share)) };
    });
}

function interpolated(sorted, share) {
  const place = share * (sorted.length - 1),
    below = Math.floor(place);
  return sorted[below] + (place - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
}

function drawProgress() {
  find("overview-section").hidden = !data.generations.length;
  if (!data.generations.length) return;
  const x = data.generations.map((each) => each.generation),
    { pale, ink, blue } = colours();
  const name = data.objectives[0],
    spread = quartiles(name);
  const line = (place, changes) => ({
    x: spread.map((each) => each.generation),
    y: spread.map((each) => each.values[place]),
    type: "scatter",
    mode: "lines",
    line: { color: pale, width: 0 },
    ...changes,
  });
  const traces = [
    line(0, { showlegend: false, hoverinfo: "skip" }),
    line(2, { name: "middle half of the candidates", fill: "tonexty", fillcolor: `${pale}66`, hoverinfo: "skip" }),
    line(1, { name: "their median", line: { color: pale, width: 1.5 } }),
    { x, y: data.generations.map((each) => each.best), name: "best so far", mode: "lines+markers", type: "scatter", line: { color: blue } },
    {
      x,
      y: data.generations.map((each) => each.hypervolume),
      name: "hypervolume",
      mode: "lines+markers",
      type: "scatter",
      yaxis: "y2",
      line: { color: ink, dash: "dot" },
    },
  ];
  const axis = { gridcolor: colours().grid, zeroline: false, automargin: true };
  const layout = baseLayout({
    xaxis: { title: { text: "generation" }, anchor: "y2", ...generationTicks() },
    yaxis: { title: { text: plain(labelOf(name)) }, domain: [0.42, 1] },
  });
  layout.yaxis2 = { ...axis, title: { text: "hypervolume" }, domain: [0, 0.34], anchor: "x" };
  Plotly.react("progress", traces, layout, { ...CONFIG, displayModeBar: false });
}

function showMotifs() {
  const { group, rows: found } = data.motifs;
  find("motif-section").hidden = !found.length;
  find("motif-heading").textContent = `Motifs: ${group} of generation ${lastGeneration.generation} against the initial population`;
  const p = (value) => (value < 1e-4 ? "<0.0001" : value.toFixed(4));
  const head = element(
    "tr",
    {},
    ...["kind", "motif", group, "initial", "p", "corrected p"].map((text, place) =>
      element("th", { textContent: text, className: place > 1 ? "number" : "" }),
    ),
  );
  const rows = found.map((each) =>
    element(
      "tr",
      { className: each.corrected < 0.05 ? "significant" : "" },
      element("td", { textContent: each.kind }),
      element("td", { textContent: each.name }),
      ...[each.selected.toFixed(2), each.initial.toFixed(2), p(each.p), p(each.corrected)].map((text) =>
        element("td", { className: "number", textContent: text }),
      ),
    ),
  );
  find("motifs").replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
}
