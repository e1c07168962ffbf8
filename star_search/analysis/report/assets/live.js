// The page of a search that runs: asks now and then for more, and shows it where the axes, the generation and the candidate chosen stay.
const ASK_MILLISECONDS = 3000;
let shownVersion = document.documentElement.dataset.version;

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

async function ask() {
  if (!document.hidden && state.isComplete) {
    try {
      const response = await fetch("data", { cache: "no-cache" });
      if (!response.ok) throw new Error(await response.text());
      const version = response.headers.get("ETag");
      if (version !== shownVersion) {
        const [opening, ...lines] = (await response.text()).split("\n");
        grow(JSON.parse(opening), lines);
        shownVersion = version;
      }
      find("live").textContent = `live, as of ${new Date().toLocaleTimeString("en-GB")}`;
    } catch (error) {
      // What fetch itself throws when nobody answers; else it is the server's sentence.
      const isSilent = error instanceof TypeError;
      const why = isSilent ? "no answer: the search has ended or was stopped" : error.message.trim();
      find("live").textContent = `${why}; this is what was last known`;
    }
  }
  setTimeout(ask, ASK_MILLISECONDS);
}

find("live").hidden = false;
setTimeout(ask, ASK_MILLISECONDS);
