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

function showTitle() {
  find("title").textContent = `${data.path}, generation ${data.generation === null ? "none yet" : data.generation}`;
  find("facts").textContent = Object.entries(data.facts)
    .map(([name, text]) => `${name}: ${text}`)
    .join(" · ");
}

showTitle();
setTheme(window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
find("theme").addEventListener("click", () => {
  setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  drawAll();
});
// Paper is white whatever the screen shows.
let before = null;
window.addEventListener("beforeprint", () => {
  before = document.documentElement.dataset.theme;
  state.printing = true;
  setTheme("light");
  drawAll();
});
window.addEventListener("afterprint", () => {
  state.printing = false;
  setTheme(before);
  drawAll();
});

state.chosen = bestId();
startAxes();
showLegend();
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
