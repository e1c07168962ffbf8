"use strict";
// What all parts of the page use: the run's data, the state, small helpers. Text enters the page by textContent alone.
let data, byId, placeOf, detailLines, livClasses, lastGeneration;

// Makes this the run that is shown. Details are a line per candidate, in their order, read when somebody looks at one: there are thousands.
function take(opening, lines) {
  data = opening;
  detailLines = lines;
  byId = new Map(data.candidates.map((each) => [each.id, each]));
  placeOf = new Map(data.candidates.map((each, place) => [each.id, place]));
  livClasses = data.classes.map(([name, family]) => ({ name, familyName: family, family: data.families[family] }));
  lastGeneration = data.generations.length ? data.generations[data.generations.length - 1] : data.so_far;
}

const find = (id) => document.getElementById(id);
take(JSON.parse(find("data").textContent), find("details").textContent.split("\n"));
const detailsOf = (candidate) => JSON.parse(detailLines[placeOf.get(candidate.id)]);
const state = { generation: lastGeneration.generation, chosen: null, isPicked: false, printing: false, isComplete: false };
const generationTicks = () => ({ tick0: 0, dtick: Math.max(1, Math.ceil(lastGeneration.generation / 8)) });
const UNITS = {
  cache_bytes: "cache (bytes)",
  bits_per_byte: "bits per byte",
  time_to_first_token: "time to the first token (s)",
  decode_seconds: "time of a token (s)",
  peak_bytes: "peak memory (bytes)",
};
// What fits between the margins of a page of A4 or letter paper: a plot does not follow when the browser lays paper out.
const PAPER_PIXELS = 690;
const CONFIG = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

// Each without the end that vanishes on its paper.
const VIRIDIS = { light: ["#4ac16d", "#21918c", "#365c8d", "#46327e"], dark: ["#4f7db8", "#21918c", "#4ac16d", "#a0da39"] };
const scaleOf = (theme) => VIRIDIS[theme].map((colour, place, all) => [place / (all.length - 1), colour]);

const hasPlots = () => "Plotly" in window;
const isDark = () => document.documentElement.dataset.theme === "dark" && !state.printing;

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Plotly reads a few tags in its texts, and formulas between dollars: they are shown instead.
const plain = (text) =>
  String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("$", "&#36;");

// An objective of a search's own is a file and a function, whose name may hold an @ too.
function labelOf(name) {
  const [, kind, length] = /^(\w+)@(\d+)$/.exec(name) || [null, name, ""];
  return (UNITS[kind] || kind) + (length ? ` at ${Number(length).toLocaleString("en")} tokens` : "");
}

// Made once: toLocaleString makes one for every number.
const NUMBERS = new Intl.NumberFormat("en", { maximumFractionDigits: 3 });

function formatted(value) {
  if (value === null || value === undefined) return "-";
  return NUMBERS.format(value);
}

function valueOf(candidate, name) {
  if (name === "id" || name === "generation" || name === "tokens") return candidate[name];
  return candidate.values[data.columns.indexOf(name)];
}

function colours() {
  return isDark()
    ? { ink: "#e8eaed", grid: "#3a414b", pale: "#6b7683", blue: "#56b4e9", panel: "#1c2026", scale: scaleOf("dark") }
    : { ink: "#1b1f24", grid: "#d5d9df", pale: "#a3abb5", blue: "#0072b2", panel: state.printing ? "#ffffff" : "#f6f7f9", scale: scaleOf("light") };
}

function baseLayout(changes) {
  const { ink, grid } = colours();
  const axis = { gridcolor: grid, zeroline: false, linecolor: ink, automargin: true };
  const { xaxis, yaxis, ...others } = changes;
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: ink, family: "system-ui, sans-serif", size: 12 },
    margin: { l: 60, r: 10, t: 10, b: 45 },
    hovermode: "closest",
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", traceorder: "normal" },
    xaxis: { ...axis, ...xaxis },
    yaxis: { ...axis, ...yaxis },
    ...(state.printing && { width: PAPER_PIXELS }),
    ...others,
  };
}

// The LIVs of a candidate with their names and families; none where the genome is illegal.
const livsOf = (candidate) => candidate.livs.map((number) => livClasses[number]);

function chip(family, title) {
  const made = element("span", { textContent: family.letter, title });
  made.style.background = family.colour;
  made.style.color = family.ink;
  return made;
}

function strip(candidate) {
  return element(
    "span",
    { className: "strip" },
    ...livsOf(candidate).map(({ name, family }, place) => chip(family, `${place + 1} ${name}`)),
  );
}

function idButton(id) {
  const button = element("button", { type: "button", className: "link", textContent: String(id), disabled: !byId.has(id) });
  button.addEventListener("click", () => pick(id));
  return button;
}
