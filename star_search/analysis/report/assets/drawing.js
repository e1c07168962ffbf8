// The drawing of a backbone: blocks in depth order, feature sharing in arcs above, featurizer sharing dashed below.
const BLOCK = 1.9,
  ARC = 0.62,
  UNIT_PIXELS = 45,
  EDGE = 5;

function arcShape([kind, first, second]) {
  const above = kind === "features",
    height = ARC * (second - first) ** 0.6 * (4 / 3);
  const from = above ? BLOCK : 0,
    top = above ? BLOCK + height : -height;
  const line = { color: above ? colours().ink : "#d55e00", width: 1.6, dash: above ? "solid" : "dash" };
  return {
    type: "path",
    path: `M ${first + 0.5},${from} C ${first + 0.5},${top} ${second + 0.5},${top} ${second + 0.5},${from}`,
    line,
    name: `${kind} ${first + 1}-${second + 1}`,
  };
}

function drawingShapes(candidate, details) {
  const { pale } = colours(),
    depth = candidate.livs.length;
  const stream = { type: "line", x0: -0.3, x1: depth + 0.3, y0: BLOCK / 2, y1: BLOCK / 2, line: { color: pale, width: 1 }, layer: "below" };
  const rectangles = livsOf(candidate).map(({ family }, place) => ({
    type: "rect",
    x0: place + 0.08,
    x1: place + 0.92,
    y0: 0,
    y1: BLOCK,
    fillcolor: family.colour,
    line: { width: 0 },
    name: `liv ${place + 1}`,
  }));
  const frames = details.blocks.map(([start, stop, routed]) => ({
    type: "rect",
    x0: start + 0.01,
    x1: stop - 0.01,
    y0: -0.1,
    y1: BLOCK + 0.1,
    line: { color: pale, width: 1.5, dash: routed ? "dot" : "solid" },
    name: `block ${start + 1}-${stop}`,
  }));
  return [stream, ...rectangles, ...frames, ...details.links.map(arcShape)];
}

function drawingTexts(candidate, details) {
  const room = find("drawing").clientWidth / (candidate.livs.length + 1),
    longest = Math.max(...livsOf(candidate).map(({ name }) => name.length)),
    size = Math.min(12, room / 1.6, (BLOCK * UNIT_PIXELS) / (0.62 * longest));
  const names = livsOf(candidate).map(({ name, family }, place) => {
    const short = size < 8;
    return {
      x: place + 0.5,
      y: BLOCK / 2,
      text: plain(short ? family.letter : name),
      textangle: short ? 0 : -90,
      showarrow: false,
      font: { size: Math.max(size, 7), color: family.ink },
    };
  });
  return [...names, ...sharedTexts(candidate, details)];
}

// What has no room is told by the record, and by the hover of its LIVs.
function sharedTexts(candidate, details) {
  const width = state.printing ? PAPER_PIXELS : find("drawing").clientWidth,
    unit = (width - 2 * EDGE) / (candidate.livs.length + 0.8),
    links = details.links.filter(([kind]) => kind === "features");
  const arcs = links.map(([, first, second]) =>
    arcPoints((first + 0.5) * unit, (second + 0.5) * unit, ARC * (second - first) ** 0.6 * UNIT_PIXELS),
  );
  const places = placedLabels(
    arcs,
    links.map(([, , , groups]) => [6 * groups.length + 4, 15]),
  );
  return links.flatMap(([, , , groups], number) => {
    if (!places[number]) return [];
    const [x, y] = places[number];
    const style = { showarrow: false, borderpad: 0, font: { size: 10 }, bgcolor: colours().panel };
    return [{ x: x / unit, y: BLOCK + y / UNIT_PIXELS, text: plain(groups), ...style }];
  });
}

function drawBackbone(candidate) {
  const holder = find("drawing");
  holder.hidden = !candidate.livs.length;
  if (!candidate.livs.length) return;
  const details = detailsOf(candidate);
  const reach = (kind) =>
    Math.max(0, ...details.links.filter((each) => each[0] === kind).map(([, first, second]) => ARC * (second - first) ** 0.6));
  const hover = livsOf(candidate).map(
    ({ name, familyName }, place) =>
      plain(`LIV ${place + 1}: ${name}, ${familyName}`) +
      details.links
        .filter((each) => each[1] === place || each[2] === place)
        .map(
          ([kind, first, second, groups]) => `<br>${plain(`shares ${kind} ${groups} with LIV ${(first === place ? second : first) + 1}`)}`,
        )
        .join(""),
  );
  const range = [-reach("weights") - 0.25, BLOCK + reach("features") + 0.5];
  const trace = {
    x: candidate.livs.map((_, place) => place + 0.5),
    y: candidate.livs.map(() => BLOCK / 2),
    text: hover,
    hovertemplate: "%{text}<extra></extra>",
    mode: "markers",
    marker: { size: 16, opacity: 0 },
    type: "scatter",
  };
  const layout = baseLayout({
    xaxis: { visible: false, range: [-0.4, candidate.livs.length + 0.4], fixedrange: true },
    yaxis: { visible: false, range, fixedrange: true },
    height: (range[1] - range[0]) * UNIT_PIXELS + 2 * EDGE,
    margin: { l: EDGE, r: EDGE, t: EDGE, b: EDGE },
    shapes: drawingShapes(candidate, details),
    annotations: drawingTexts(candidate, details),
    showlegend: false,
  });
  // Made anew: a plot that was hidden while the window changed keeps its old size.
  Plotly.newPlot(holder, [trace], layout, { ...CONFIG, displayModeBar: false });
}
