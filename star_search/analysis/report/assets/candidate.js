// One candidate: drawing, record, loss curve, and its ancestors back to those that were drawn.
const ANCESTORS_SHOWN = 100;

function showLegend() {
  const used = new Set(data.classes.map(([, family]) => family));
  const chips = Object.keys(data.families)
    .filter((name) => used.has(name))
    .flatMap((name) => [chip(data.families[name], name), ` ${name}  `]);
  find("legend").replaceChildren(
    element("span", { className: "strip" }, ...chips),
    "· arcs above: shared feature groups · dashed below: shared featurizer weights",
  );
}

function ancestorsOf(id) {
  const seen = new Set(),
    waiting = [id];
  while (waiting.length) {
    const next = waiting.pop();
    if (seen.has(next) || !byId.has(next)) continue;
    seen.add(next);
    waiting.push(...byId.get(next).parents);
  }
  return [...seen].sort((a, b) => b - a).map((each) => byId.get(each));
}

const originOf = (candidate) =>
  detailsOf(candidate)
    .origin.map((number) => data.phrases[number])
    .join("; ") || "drawn";

function sharedBy(links) {
  const found = new Map();
  for (const [kind, first, second, groups] of links) {
    const shared = `${kind} ${groups}`;
    found.set(shared, [...(found.get(shared) || []), `${first + 1} and ${second + 1}`]);
  }
  return found;
}

function showRecord(candidate) {
  const details = detailsOf(candidate);
  const rows = [
    ["outcome", candidate.outcome + (candidate.reason ? `: ${candidate.reason}` : "")],
    ...data.columns.map((name) => [labelOf(name), formatted(valueOf(candidate, name))]),
  ];
  rows.push(["tokens", formatted(candidate.tokens)], ["genome", details.genome], ["canonical", candidate.canonical]);
  for (const [shared, pairs] of sharedBy(details.links || [])) rows.push([`shared ${shared}`, `LIVs ${pairs.join(", ")}`]);
  const list = element(
    "dl",
    {},
    ...rows.flatMap(([name, text]) => [element("dt", { textContent: name }), element("dd", { textContent: text })]),
  );
  find("record").replaceChildren(list);
}

function showLineage(candidate) {
  const head = element(
    "tr",
    {},
    ...["id", "generation", "LIVs", "where its genes come from"].map((text) => element("th", { textContent: text })),
  );
  const ancestors = ancestorsOf(candidate.id);
  const rows = ancestors
    .slice(0, ANCESTORS_SHOWN)
    .map((each) =>
      element(
        "tr",
        {},
        element("td", {}, idButton(each.id)),
        element("td", { textContent: String(each.generation) }),
        element("td", {}, strip(each)),
        element("td", { className: "text", textContent: originOf(each) }),
      ),
    );
  if (ancestors.length > ANCESTORS_SHOWN)
    rows.push(element("tr", {}, element("td", { colSpan: 4, textContent: `and ${ancestors.length - ANCESTORS_SHOWN} older` })));
  find("lineage").replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
}

function drawCurve(candidate) {
  const holder = find("curve"),
    curve = detailsOf(candidate).curve;
  holder.hidden = !curve.length;
  if (!curve.length) return;
  const [number, losses] = curve,
    steps = data.steps[number];
  const trace = {
    x: steps,
    y: losses,
    mode: "lines",
    line: { color: colours().blue },
    type: "scatter",
    hovertemplate: "step %{x}: %{y}<extra></extra>",
  };
  Plotly.newPlot(
    holder,
    [trace],
    baseLayout({ xaxis: { title: { text: "step" } }, yaxis: { title: { text: "loss (nats per token)" } }, showlegend: false }),
    { ...CONFIG, displayModeBar: false },
  );
}

function drawCandidate() {
  if (!hasPlots()) return;
  const candidate = byId.get(state.chosen);
  drawBackbone(candidate);
  drawCurve(candidate);
}

function choose(id) {
  if (!byId.has(id)) return;
  state.chosen = id;
  showCandidate();
  markChosen();
  drawCandidate();
  drawChosen();
}

function pick(id) {
  state.isPicked = true;
  choose(id);
}

function showCandidate() {
  const candidate = byId.get(state.chosen),
    id = candidate.id;
  find("candidate-title").textContent = `Candidate ${id} of generation ${candidate.generation}`;
  showRecord(candidate);
  showLineage(candidate);
}
