// The table's filter: words, and conditions on the columns by their names or headings; what is not understood is said.
const COMPARISONS = {
  "<=": (value, bound) => value <= bound,
  ">=": (value, bound) => value >= bound,
  "<": (value, bound) => value < bound,
  ">": (value, bound) => value > bound,
  "=": (value, bound) => value === bound,
};
const SPELLINGS = { "≤": "<=", "≥": ">=", "==": "=" };
const SIGN = /^\s*(<=|>=|==|=|<|>|≤|≥)\s*/;

// Each column by its name and by its heading, longest first: a name may hold spaces and signs, and begin with another.
function columnSpellings() {
  const names = [...data.columns, "id", "generation", "tokens"];
  return names
    .flatMap((name) => [...new Set([name, labelOf(name)])].map((spelling) => [spelling.toLowerCase(), name]))
    .sort(([one], [other]) => other.length - one.length);
}

function searched(candidate) {
  candidate.words ??= [candidate.id, candidate.outcome, candidate.reason, candidate.canonical, ...livsOf(candidate).map(({ name }) => name)]
    .join(" ")
    .toLowerCase();
  return candidate.words;
}

// Numbers as people and this table write them, 30,000 or 3e4; NaN for anything else.
function numberOf(text) {
  return /^[-+]?(\d{1,3}(,\d{3})+|\d+)?(\.\d*)?(e[-+]?\d+)?$/i.test(text) && /\d/.test(text) ? Number(text.replaceAll(",", "")) : NaN;
}

function conditionOf(name, sign, written) {
  const bound = numberOf(written),
    holds = COMPARISONS[SPELLINGS[sign] || sign];
  if (Number.isNaN(bound)) return { problem: `${name} ${sign} ${written || "nothing"}: a number must follow ${sign}` };
  return { test: (each) => valueOf(each, name) != null && holds(valueOf(each, name), bound) };
}

// Takes the first term off a text: what it tests or why it is not understood, and the rest.
function nextTerm(text, spellings) {
  for (const [spelling, name] of spellings) {
    if (!text.toLowerCase().startsWith(spelling)) continue;
    const sign = SIGN.exec(text.slice(spelling.length));
    if (!sign) continue;
    const rest = text.slice(spelling.length + sign[0].length),
      [written] = /^\S*/.exec(rest);
    return [conditionOf(name, sign[1], written), rest.slice(written.length)];
  }
  const [strange] = /^[^\s<>=≤≥]*\s*(<=|>=|==|=|<|>|≤|≥)\s*\S*/.exec(text) || [""];
  if (strange) {
    const known = [...data.columns, "id", "generation", "tokens"].join(", ");
    return [{ problem: `${strange}: no such column; there are ${known}` }, text.slice(strange.length)];
  }
  const [word] = /^\S+/.exec(text),
    lower = word.toLowerCase();
  return [{ test: (each) => searched(each).includes(lower) }, text.slice(word.length)];
}

// The tests that a candidate must pass, and a sentence for each term that is none.
function understood(text) {
  const spellings = columnSpellings(),
    tests = [],
    problems = [];
  for (let rest = text.trim(); rest; ) {
    const [{ test, problem }, left] = nextTerm(rest, spellings);
    if (problem) problems.push(problem);
    else tests.push(test);
    rest = left.trim();
  }
  return { tests, problems };
}
