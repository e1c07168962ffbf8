// The scatter: every candidate up to a generation over two axes, the front of that generation, and the candidate chosen.
// Labels of a logarithmic axis crowd at its upper end.
const LOG_TICK_PIXELS = 120;

function frontAt(generation) {
  const reached = data.generations.filter((each) => each.generation <= generation);
  const { front } = data.generations.length ? reached[reached.length - 1] || { front: [] } : lastGeneration;
  return front.map((id) => byId.get(id)).filter(Boolean);
}

function bestId() {
  const best = frontAt(state.generation).sort((a, b) => valueOf(a, data.objectives[0]) - valueOf(b, data.objectives[0]))[0];
  return (best || data.candidates[0]).id;
}

function points(candidates) {
  const across = find("across").value,
    up = find("up").value;
  const shown = candidates.filter((each) => valueOf(each, across) != null && valueOf(each, up) != null);
  return {
    x: shown.map((each) => valueOf(each, across)),
    y: shown.map((each) => valueOf(each, up)),
    customdata: shown.map((each) => each.id),
    text: shown.map((each) => plain(`candidate ${each.id}, generation ${each.generation}, ${each.outcome}`)),
    hovertemplate: "%{text}<br>%{x}, %{y}<extra></extra>",
    generations: shown.map((each) => each.generation),
    type: "scatter",
    mode: "markers",
  };
}

function scatterTraces() {
  const { ink, pale, scale } = colours();
  const known = state.isComplete ? data.candidates.filter((each) => each.generation <= state.generation) : [];
  const done = points(known.filter((each) => each.outcome === "ok")),
    failed = points(known.filter((each) => each.outcome !== "ok"));
  const front = points(frontAt(state.generation).sort((a, b) => valueOf(a, find("across").value) - valueOf(b, find("across").value)));
  // Of one generation a scale says nothing.
  const showscale = lastGeneration.generation > 0;
  const bar = { title: { text: "generation", side: "right" }, thickness: 12, ...generationTicks() };
  // A staircase is the border of what is dominated where the two axes are all the objectives, and means nothing over any other pair.
  const axes = new Set([find("across").value, find("up").value]);
  const isBorder = data.objectives.length === 2 && data.objectives.every((name) => axes.has(name));
  return [
    { ...failed, name: "not ok", marker: { symbol: "x-thin", size: 6, line: { color: pale, width: 1.2 } } },
    {
      ...done,
      name: "ok",
      marker: {
        size: 7,
        color: done.generations,
        colorscale: scale,
        cmin: 0,
        cmax: Math.max(1, lastGeneration.generation),
        showscale,
        colorbar: bar,
        opacity: 0.85,
      },
    },
    {
      ...front,
      name: data.generations.length ? `front of generation ${state.generation}` : "front so far",
      mode: isBorder ? "lines+markers" : "markers",
      line: { color: ink, width: 1.2, shape: "hv" },
      marker: { symbol: "circle-open", size: 11, color: ink, line: { width: 1.6 } },
    },
  ];
}

// A frame around the candidate chosen: a shape, since the points need not be drawn again for it.
function chosenFrame() {
  const candidate = byId.get(state.chosen),
    [x, y] = ["across", "up"].map((id) => valueOf(candidate, find(id).value));
  if (x == null || y == null || candidate.generation > state.generation) return [];
  // A path, since pixels below zero of a rectangle are lost on a logarithmic axis.
  const around = { path: "M-9,-9H9V9H-9Z", xanchor: x, yanchor: y, xsizemode: "pixel", ysizemode: "pixel" };
  return [{ type: "path", ...around, line: { color: "#d55e00", width: 2.5 }, name: `chosen ${candidate.id}` }];
}

function drawChosen() {
  if (hasPlots()) Plotly.relayout("scatter", { shapes: chosenFrame() });
}

// Of all generations, so that the axes stand still while the slider moves.
function rangeOf(name, isLog) {
  let least = Infinity,
    most = -Infinity;
  for (const each of data.candidates) {
    const value = valueOf(each, name);
    if (value == null || (isLog && value <= 0)) continue;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  if (least > most) return undefined;
  const ends = isLog ? [Math.log10(least), Math.log10(most)] : [least, most],
    room = 0.06 * (ends[1] - ends[0]) || 0.06 * Math.abs(ends[0]) || 1;
  return [ends[0] - room, ends[1] + room];
}

function axisOf(id) {
  const name = find(id).value,
    isLog = find(`${id}-log`).checked;
  const axis = { title: { text: plain(labelOf(name)) }, type: isLog ? "log" : "linear", range: rangeOf(name, isLog) };
  return isLog ? { ...axis, nticks: Math.max(3, Math.floor(find("scatter").clientWidth / LOG_TICK_PIXELS)) } : axis;
}

function showGeneration() {
  const last = lastGeneration.generation;
  const finished = state.generation === last ? `generation ${last}` : `generation ${state.generation} of ${last}`;
  find("title").textContent = `${data.path}, ${data.generations.length ? finished : "no generation finished yet"}`;
  find("generation-shown").textContent = `${state.generation} of ${last}`;
  showCandidateTitle();
}

function drawScatter() {
  if (!hasPlots()) return;
  const xaxis = axisOf("across"),
    yaxis = axisOf("up");
  Plotly.react(
    "scatter",
    scatterTraces(),
    baseLayout({ shapes: chosenFrame(), xaxis, yaxis, uirevision: [xaxis, yaxis].map(({ title, type }) => title.text + type).join() }),
    CONFIG,
  );
}

// Also for a run that has grown: what was chosen stays.
function showAxes() {
  const names = [...data.columns, "generation", "tokens", "id"];
  for (const [id, name] of [
    ["across", data.objectives[1] || "parameters"],
    ["up", data.objectives[0]],
  ]) {
    const kept = find(id).value || name;
    find(id).replaceChildren(...names.map((each) => element("option", { value: each, textContent: labelOf(each) })));
    find(id).value = kept;
  }
  find("generation").max = lastGeneration.generation;
  find("generation").value = state.generation;
}

function startAxes() {
  showAxes();
  for (const id of ["across", "up", "across-log", "up-log"]) find(id).addEventListener("change", drawScatter);
  const slider = find("generation");
  let waiting = false;
  slider.addEventListener("input", () => {
    state.generation = Number(slider.value);
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      showGeneration();
      drawScatter();
    });
  });
  find("axes").addEventListener("submit", (event) => event.preventDefault());
}
