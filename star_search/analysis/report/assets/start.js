// The page begins: theme, parts, printing.
function drawAll() {
  if (!hasPlots()) return;
  drawScatter();
  drawCandidate();
  drawProgress();
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  find("theme").textContent = name === "dark" ? "light theme" : "dark theme";
}

function showFacts() {
  find("facts").textContent = Object.entries(data.facts)
    .map(([name, text]) => `${name}: ${text}`)
    .join(" · ");
}

showFacts();
setTheme(window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
find("theme").addEventListener("click", () => {
  setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  drawAll();
});
// Paper is white whatever the screen shows, narrower than most screens, and nobody scrolls on it.
function setPrinting(printing, theme) {
  state.printing = printing;
  document.documentElement.classList.toggle("printing", printing);
  setTheme(theme);
  showLineage(byId.get(state.chosen));
  drawAll();
  // A width once given stays otherwise.
  const wide = printing || !hasPlots() ? [] : ["scatter", "progress"].filter((id) => !find(id).closest("[hidden]"));
  for (const id of wide) Plotly.relayout(id, { autosize: true });
}
let before = null;
window.addEventListener("beforeprint", () => {
  before = document.documentElement.dataset.theme;
  setPrinting(true, "light");
});
window.addEventListener("afterprint", () => setPrinting(false, before));

// Plotly follows the window, but labels placed for one width collide in another.
let resized = null;
window.addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(() => hasPlots() && !state.printing && drawBackbone(byId.get(state.chosen)), 200);
});

state.chosen = bestId();
startAxes();
showLegend();
showGeneration();
showCandidate();
startTable();
showMotifs();

// Called once Plotly is there, which takes longer to begin than all else: text and table are read meanwhile. The front comes first;
// thousands of other candidates follow in the next frame.
function startPlots() {
  drawCandidate();
  drawScatter();
  find("scatter").on("plotly_click", (event) => pick(event.points[0].customdata));
  document.documentElement.dataset.ready = "front";
  requestAnimationFrame(() =>
    setTimeout(() => {
      state.isComplete = true;
      drawScatter();
      drawProgress();
      document.documentElement.dataset.ready = "all";
    }, 0),
  );
}
