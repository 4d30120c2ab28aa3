// Loops of a recipe: a row for each round or value, its numbers with intervals, and the numbers over the values.

// of these the lowest is best; what training says of itself has a best only where it is named here
const LESS = /(^|[._])(loss|kl|ece|brier|perplexity|errors?|harm|cost|regret|r?mse)( \d+)?$/;
const MORE = /(^|[._])(accuracy|reward|margin|return|win)( \d+)?$/;
const middle = v => isEstimate(v) ? v.mean : v;
const differ = values => new Set(values.map(v => JSON.stringify(v))).size > 1;

/** The best number of a column; none where they are all one, or nobody knows which end is good. */
function best(loop, column) {
  const name = loop.columns[column], ends = extent(loop.rounds.map(r => middle(r.numbers[column])));
  const judged = column < loop.measured || LESS.test(name) || MORE.test(name);
  return !judged || !ends || ends[0] === ends[1] ? null : ends[LESS.test(name) ? 0 : 1];
}

/** Places on an axis: logarithms where values of one sign span more than one power of ten. */
function along(values) {
  const [low, high] = extent(values), log = low > 0 && high / low >= 20;
  const sorted = [...new Set(values)].sort((a, b) => a - b), few = sorted.filter((_, i) => i % Math.ceil(sorted.length / 6) === 0);
  const place = log ? Math.log10 : x => x;
  return { place, axis: { at: few.map(place), text: p => number(log ? 10 ** p : p, 3) } };
}

/** The columns of a loop over its first axis of numbers; other axes that vary are lines of their own. */
function loopCurves(loop, columns) {
  const at = loop.axes.findIndex((_, a) => loop.rounds.every(r => finite(r.values[a])) && differ(loop.rounds.map(r => r.values[a])));
  if (at < 0) return null;
  const others = loop.axes.map((_, a) => a).filter(a => a !== at && differ(loop.rounds.map(r => r.values[a])));
  const groups = new Map();
  for (const r of [...loop.rounds].sort((a, b) => a.values[at] - b.values[at])) {
    const name = others.map(a => `${loop.axes[a]} ${shown(r.values[a])}`).join(", ");
    (groups.get(name) || groups.set(name, []).get(name)).push(r);
  }
  if (groups.size > 6) return null;
  const { place, axis } = along(loop.rounds.map(r => r.values[at]));
  const drawn = columns.map(c => {
    const series = [...groups].map(([name, rounds], i) => {
      const told = rounds.map(r => r.numbers[c]), end = key => told.some(isEstimate) ? told.map(v => v?.[key] ?? null) : null;
      return { name, colour: colour(i), x: rounds.map(r => place(r.values[at])), y: told.map(v => middle(v) ?? null), low: end("lower95"), high: end("upper95") };
    });
    return series.some(s => s.y.filter(finite).length > 1) && curves({ title: loop.columns[c], series, label: loop.axes[at], axis, dots: true });
  }).filter(Boolean);
  drawn.forEach(d => { d.group = drawn; });
  const key = groups.size > 1 && el("p", { class: "small" }, [...groups.keys()].map((name, i) => [el("b", { style: `color:${colour(i)}` }, "— "), name, "  "]));
  return drawn.length ? { over: loop.axes[at], content: [el("div", { class: "multiples" }, drawn), key] } : null;
}

function loopTable(loop, columns) {
  const tops = columns.map(c => best(loop, c)), kept = loop.rounds.some(r => r.kept);
  // a column whose every number is of as many cases says so once
  const counts = columns.map(c => [...new Set(loop.rounds.map(r => r.numbers[c]?.n).filter(finite))]);
  const cell = (r, c, i) => {
    const v = r.numbers[c], top = tops[i] !== null && middle(v) === tops[i];
    return el("td", { class: top ? "best" : null, title: top ? "the best of this column" : null }, shown(v), counts[i].length > 1 && finite(v?.n) && el("span", { class: "mute" }, ` n ${v.n}`));
  };
  const state = { running: "running", failed: "failed", skipped: "not made", left: "not made" };
  return el("div", { class: "scroll" }, el("table", { class: "loop" },
    el("thead", {}, el("tr", {}, loop.axes.map(a => el("th", {}, a)), kept && el("th", {}, ""), columns.map((c, i) => el("th", {}, nice(loop.columns[c]), counts[i].length === 1 && el("span", { class: "mute" }, ` n ${counts[i][0]}`))))),
    el("tbody", {}, loop.rounds.map(r => el("tr", { class: r.kept ? "kept" : null }, r.values.map(v => el("td", { class: finite(v) ? "n" : null }, shown(v))), kept && el("td", {}, r.kept ? "kept" : ""),
      r.state in state && r.numbers.every(v => v === null) ? el("td", { class: "mute", colspan: columns.length }, state[r.state]) : columns.map((c, i) => cell(r, c, i)))))));
}

function loops(data) {
  if (!data.loops?.length) return null;
  const one = loop => {
    const columns = loop.columns.map((_, c) => c).filter(c => !QUIET.has(loop.columns[c].split(".").pop()));
    const drawn = loopCurves(loop, columns.slice(0, 24)), table = loopTable(loop, columns);
    return el("div", { class: "loop-box", "data-loop": loop.loop }, el("h3", {}, loop.loop, " ", el("small", {}, `${loop.axes.join(" × ")}, ${loop.rounds.length} values`)),
      loop.rounds.length > 40 ? el("details", {}, el("summary", {}, "every round"), table) : table,
      drawn && figure(drawn.content, `The numbers of ${loop.loop} over ${drawn.over}, with 95 % intervals.`));
  };
  return section("loops", "Sweeps and rounds", el("p", {}, "A row for each value of a sweep or round of a loop, with 95 % intervals. Bold: the best of a column, the highest, or of a loss, a distance or an error the lowest. “kept”: what the recipe went on with."), data.loops.map(one));
}
