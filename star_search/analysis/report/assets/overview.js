// Progress over the generations, and the test of motifs.
function drawProgress() {
  const x = data.generations.map((each) => each.generation),
    ok = data.candidates.filter((each) => each.outcome === "ok"),
    { pale, ink, blue } = colours();
  const name = data.objectives[0];
  const traces = [
    {
      x: ok.map((each) => each.generation),
      y: ok.map((each) => valueOf(each, name)),
      name: "candidates",
      type: "box",
      boxpoints: false,
      line: { width: 1 },
      marker: { color: pale },
    },
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
    xaxis: { title: { text: "generation" }, anchor: "y2", ...GENERATION_TICKS },
    yaxis: { title: { text: plain(labelOf(name)) }, domain: [0.42, 1] },
  });
  layout.yaxis2 = { ...axis, title: { text: "hypervolume" }, domain: [0, 0.34], anchor: "x" };
  Plotly.react("progress", traces, layout, { ...CONFIG, displayModeBar: false });
}

function showMotifs() {
  find("motif-section").hidden = !data.motifs.length;
  const p = (value) => (value < 1e-4 ? "<0.0001" : value.toFixed(4));
  const head = element(
    "tr",
    {},
    ...["kind", "motif", "front", "initial", "p", "corrected p"].map((text, place) =>
      element("th", { textContent: text, className: place > 1 ? "number" : "" }),
    ),
  );
  const rows = data.motifs.map((each) =>
    element(
      "tr",
      { className: each.corrected < 0.05 ? "significant" : "" },
      element("td", { textContent: each.kind }),
      element("td", { textContent: each.name }),
      ...[each.front.toFixed(2), each.initial.toFixed(2), p(each.p), p(each.corrected)].map((text) =>
        element("td", { className: "number", textContent: text }),
      ),
    ),
  );
  find("motifs").replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
}
