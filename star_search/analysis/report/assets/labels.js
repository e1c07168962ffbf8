// Where the labels of arcs stand, in pixels: above an arc or on it, never on another label or a foreign arc.
const ARC_SAMPLES = 400,
  LABEL_MARGIN = 1;

// Points of an arc over a line, which the second coordinate is counted from.
function arcPoints(first, second, height) {
  return Array.from({ length: ARC_SAMPLES + 1 }, (_, place) => {
    const t = place / ARC_SAMPLES;
    return [first + (second - first) * t * t * (3 - 2 * t), 4 * height * t * (1 - t)];
  });
}

function boxAround([x, y], [width, height]) {
  const across = width / 2 + LABEL_MARGIN,
    up = height / 2 + LABEL_MARGIN;
  return { left: x - across, right: x + across, low: y - up, high: y + up };
}

const isWithin = ({ left, right, low, high }, [x, y]) => left < x && x < right && low < y && y < high;
const isOver = (one, other) => one.left < other.right && other.left < one.right && one.low < other.high && other.low < one.high;

// Best first: above the top; on the arc, from its middle outwards and clear of the line; beside the top.
function labelChoices(points, [width, height]) {
  const [x, top] = points[ARC_SAMPLES / 2],
    above = top + height / 2 + LABEL_MARGIN,
    onArc = points.filter(([, y], place) => place % 4 === 0 && y > height / 2 + 2 * LABEL_MARGIN);
  onArc.sort(([one], [other]) => Math.abs(one - x) - Math.abs(other - x));
  return [[x, above], ...onArc, [x - width / 2, above], [x + width / 2, above]];
}

// The centre of every arc's label, null where there is no room. Short arcs come first, since they have the least choice.
function placedLabels(arcs, sizes) {
  const places = arcs.map(() => null),
    taken = [],
    span = (points) => points[ARC_SAMPLES][0] - points[0][0];
  for (const number of [...arcs.keys()].sort((a, b) => span(arcs[a]) - span(arcs[b]))) {
    const isFree = (choice) => {
      const box = boxAround(choice, sizes[number]);
      return !taken.some((each) => isOver(box, each)) && !arcs.some((each, other) => other !== number && each.some((point) => isWithin(box, point)));
    };
    const found = labelChoices(arcs[number], sizes[number]).find(isFree);
    if (!found) continue;
    places[number] = found;
    taken.push(boxAround(found, sizes[number]));
  }
  return places;
}
