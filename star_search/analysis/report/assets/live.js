// The page of a search that runs: asks now and then for more, and shows it where the axes, the generation and the candidate chosen stay.
const ASK_MILLISECONDS = 3000,
  MOST_SILENCES = 3;
let shownVersion = document.documentElement.dataset.version,
  silences = 0;

function grow(opening, lines) {
  const follows = state.generation === lastGeneration.generation;
  take(opening, lines);
  if (follows) state.generation = lastGeneration.generation;
  showFacts();
  showGeneration();
  showAxes();
  showLegend();
  showTable();
  showMotifs();
  drawScatter();
  drawProgress();
  if (!state.isPicked) choose(bestId());
}

// Shows what is new, and returns whether there will be more.
async function update() {
  const response = await fetch("data", { cache: "no-cache" });
  if (!response.ok) throw new Error(await response.text());
  const version = response.headers.get("ETag");
  if (version !== shownVersion) {
    const [opening, ...lines] = (await response.text()).split("\n");
    grow(JSON.parse(opening), lines);
    shownVersion = version;
  }
  silences = 0;
  const isEnd = response.headers.get("Run-State") === "ended",
    time = new Date().toLocaleTimeString("en-GB");
  find("live").textContent = isEnd ? `the search has ended or was stopped; all it left, as of ${time}` : `live, as of ${time}`;
  return !isEnd;
}

// Says why there was no answer, and returns whether it is worth another try: what fetch itself throws means that nobody listens.
function failed(error) {
  const isSilent = error instanceof TypeError,
    why = isSilent ? "no answer: the search has ended or was stopped" : error.message.trim();
  silences = isSilent ? silences + 1 : 0;
  const isOver = silences === MOST_SILENCES;
  find("live").textContent = `${why}; this is what was last known${isOver ? ", and the page asks no more until it is loaded again" : ""}`;
  return !isOver;
}

async function ask() {
  const isToAsk = !document.hidden && state.isComplete,
    goesOn = !isToAsk || (await update().catch(failed));
  if (goesOn) setTimeout(ask, ASK_MILLISECONDS);
}

find("live").hidden = false;
setTimeout(ask, ASK_MILLISECONDS);
