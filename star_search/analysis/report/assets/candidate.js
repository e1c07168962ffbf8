// One candidate: drawing, record, loss curve, and its ancestors back to those that were drawn.
const ANCESTORS_SHOWN = 100,
  ANCESTORS_PRINTED = 12;

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

// One line from a candidate down to generation 0, by first parents where they lead there; ancestors come newest first.
function descent(ancestors) {
  const known = (each) => each.parents.map((id) => byId.get(id)).filter(Boolean),
    rooted = new Set();
  for (const each of [...ancestors].reverse()) if (!each.generation || known(each).some((parent) => rooted.has(parent))) rooted.add(each);
  const line = new Set();
  for (let next = ancestors[0]; next && !line.has(next); ) {
    line.add(next);
    const parents = known(next);
    next = parents.find((parent) => rooted.has(parent)) || parents[0];
  }
  return line;
}

// One whole line, and of the other ancestors the newest: a lineage of thousands is no table, and still shows where it begins.
function shownAncestors(ancestors) {
  const most = state.printing ? ANCESTORS_PRINTED : ANCESTORS_SHOWN,
    shown = descent(ancestors);
  for (const each of ancestors) {
    if (shown.size >= most) break;
    shown.add(each);
  }
  return ancestors.filter((each) => shown.has(each));
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
  const ancestors = ancestorsOf(candidate.id),
    shown = shownAncestors(ancestors),
    left = ancestors.length - shown.length;
  const rows = shown.map((each) =>
    element(
      "tr",
      {},
      element("td", {}, idButton(each.id)),
      element("td", { textContent: String(each.generation) }),
      element("td", {}, strip(each)),
      element("td", { className: "text", textContent: originOf(each) }),
    ),
  );
  const sentence = `${formatted(left)} of ${formatted(ancestors.length - 1)} ancestors are left out; one line is whole down to where it begins.`;
  if (left) rows.push(element("tr", {}, element("td", { className: "text", colSpan: 4, textContent: sentence })));
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
    // Its short labels fit the margins; asked to make room, a narrow plot goes back and forth and warns.
    baseLayout({
      xaxis: { title: { text: "step" }, automargin: false },
      yaxis: { title: { text: "loss (nats per token)" }, automargin: false },
      showlegend: false,
    }),
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

// Says why the scatter holds no frame while the slider stands before the candidate's birth.
function showCandidateTitle() {
  const { id, generation } = byId.get(state.chosen),
    later = generation > state.generation ? ` (the scatter shows up to generation ${state.generation})` : "";
  find("candidate-title").textContent = `Candidate ${id} of generation ${generation}${later}`;
}

function showCandidate() {
  const candidate = byId.get(state.chosen);
  showCandidateTitle();
  showRecord(candidate);
  showLineage(candidate);
}
