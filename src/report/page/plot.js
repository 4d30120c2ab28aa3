// Drawings of plain data: curves with bands, rows of distributions, points with intervals, scatter and heat.

const colour = at => `var(--c${at % 6})`;

/** Round numbers that divide a range into about `count` parts. */
function ticks(low, high, count = 4) {
  if (!(high > low)) return [low];
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].find(s => s * power >= raw) * power;
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-6 ? 0 : at);
  return found;
}
function tickText(x, all) {
  if (x === 0) return "0";
  const size = Math.max(...all.map(Math.abs));
  if (size >= 1e5 || size < 1e-3) return number(x, 2);
  const step = all.length > 1 ? Math.abs(all[1] - all[0]) : size;
  return minus(size >= 1e4 ? x / 1000 + "k" : x.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9))));
}
function widened([low, high], share = 0.06) {
  const by = high > low ? (high - low) * share : Math.abs(high) * 0.05 || 1;
  return [low - by, high + by];
}
const scale = ([a, b], [p, q]) => x => p + (x - a) / ((b - a) || 1) * (q - p);

/** At most two points a pixel: the least and the greatest of each, so that no spike is lost. */
function thin(xs, ys, pixels) {
  const n = xs.length;
  if (n <= pixels * 2) return [...xs.keys()];
  const kept = [];
  for (let p = 0; p < pixels; p++) {
    const from = Math.floor(p * n / pixels), to = Math.floor((p + 1) * n / pixels);
    let low = -1, high = -1;
    for (let i = from; i < to; i++) {
      if (!finite(ys[i])) continue;
      if (low < 0 || ys[i] < ys[low]) low = i;
      if (high < 0 || ys[i] > ys[high]) high = i;
    }
    if (low >= 0) kept.push(...(low === high ? [low] : [Math.min(low, high), Math.max(low, high)]));
  }
  return kept;
}
function path(xs, ys, x, y, pixels) {
  let text = "", pen = false;
  for (const i of thin(xs, ys, pixels)) {
    if (!finite(ys[i])) { pen = false; continue; }
    text += (pen ? "L" : "M") + x(xs[i]).toFixed(1) + " " + y(ys[i]).toFixed(1);
    pen = true;
  }
  return text;
}
function band(xs, low, high, x, y, pixels) {
  const every = Math.max(1, Math.floor(xs.length / pixels));
  const at = [...xs.keys()].filter(i => i % every === 0 && finite(low[i]) && finite(high[i]));
  if (at.length < 2) return "";
  const point = (i, ys) => x(xs[i]).toFixed(1) + " " + y(ys[i]).toFixed(1);
  return "M" + at.map(i => point(i, high)).join("L") + "L" + at.reverse().map(i => point(i, low)).join("L") + "Z";
}
/** Means of neighbouring steps with the interval of such a mean. */
function smooth(ys) {
  const n = ys.length, w = Math.max(5, Math.round(n / 24)) | 1, half = w >> 1;
  const total = new Float64Array(n + 1), squares = new Float64Array(n + 1), count = new Float64Array(n + 1);
  ys.forEach((y, i) => { const v = finite(y) ? y : 0; total[i + 1] = total[i] + v; squares[i + 1] = squares[i] + v * v; count[i + 1] = count[i] + (finite(y) ? 1 : 0); });
  const line = [], low = [], high = [];
  for (let i = 0; i < n; i++) {
    const a = Math.max(0, i - half), b = Math.min(n, i + half + 1), c = count[b] - count[a], m = (total[b] - total[a]) / c;
    const spread = Math.max(0, (squares[b] - squares[a]) / c - m * m) * c / Math.max(1, c - 1), e = Z * Math.sqrt(spread / c);
    line.push(m); low.push(m - e); high.push(m + e);
  }
  return { line, low, high };
}
const nice = name => name.replaceAll("_", " ");

/**
 * One panel of curves. `series`: [{ name, x, y, low?, high? }] with intervals where they are known.
 * Where they are not and there are many steps, the line is a mean of neighbours with its interval, and the steps are behind it.
 * `axis`, { at, text }: where its marks stand and what one is called, if places are not the numbers themselves.
 */
function curves({ title, series, label = "step", axis, dots, height = 128, width = innerWidth < 700 ? 188 : 250 }) {
  const left = 36, right = 6, top = 20, bottom = 22;
  const inner = width - left - right;
  const drawn = series.map((s, at) => {
    const count = s.y.filter(finite).length, known = s.low && s.high && count < 60, many = !known && count >= 24;
    return { ...s, colour: s.colour || colour(at), known, ...(many ? { smooth: smooth(s.y) } : {}) };
  });
  const xs = extent(drawn.flatMap(s => [s.x[0], s.x[s.x.length - 1]])) || [0, 1];
  // a band of one wild step must not flatten the curve: bands count up to three times the range of the curve
  const core = extent(drawn.flatMap(s => [...extent(s.y) || []])) || [0, 1];
  const range = core[1] - core[0] || Math.abs(core[0]) || 1;
  const within = v => drawn[0].x.length < 12 ? v : Math.min(Math.max(v, core[0] - range), core[1] + range);
  const ys = widened(extent(drawn.flatMap(s => [...core, ...(extent(((s.known ? s.low : s.smooth?.low) || []).map(within)) || []), ...(extent(((s.known ? s.high : s.smooth?.high) || []).map(within)) || [])])));
  const x = scale(xs[0] === xs[1] ? [xs[0] - 1, xs[1] + 1] : xs, [left, left + inner]), y = scale(ys, [height - bottom, top]);
  const yt = ticks(ys[0], ys[1], 3), xt = axis?.at || ticks(xs[0], xs[1], 3).filter(t => Number.isInteger(t)), xtext = axis?.text || (t => tickText(t, xt));
  const now = svg("text", { class: "now", x: width - right, y: 11, "text-anchor": "end" });
  const hair = svg("line", { class: "hair", y1: top, y2: height - bottom, visibility: "hidden" });
  const clip = "clip" + (curves.count = (curves.count || 0) + 1);
  const last = drawn.map(s => [...s.y].reverse().find(finite));
  const rest = () => { now.textContent = drawn.length === 1 ? number(last[0]) : ""; hair.setAttribute("visibility", "hidden"); };
  const point = step => {
    hair.setAttribute("visibility", "visible");
    hair.setAttribute("x1", x(step)); hair.setAttribute("x2", x(step));
    now.textContent = drawn.map(s => { const i = nearest(s.x, step); return (drawn.length > 1 ? s.name + " " : "") + number(s.y[i]); }).join("  ") + `  · ${label} ${axis ? axis.text(step) : number(step)}`;
  };
  const root = svg("svg", { class: "plot live", viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: "0", "aria-label": `${title}: ${drawn.map(s => `${s.name} from ${number(s.y.find(finite))} to ${number([...s.y].reverse().find(finite))}`).join("; ")}` },
    svg("clipPath", { id: clip }, svg("rect", { x: left - 3, y: top - 3, width: inner + 6, height: height - top - bottom + 6 })),
    svg("text", { class: "title", x: 0, y: 11 }, nice(title)), now,
    yt.map(t => [svg("line", { class: "grid", x1: left, x2: left + inner, y1: y(t), y2: y(t) }), svg("text", { class: "tick", x: left - 5, y: y(t) + 3.3, "text-anchor": "end" }, tickText(t, yt))]),
    svg("line", { class: "axis", x1: left, x2: left + inner, y1: height - bottom, y2: height - bottom }),
    xt.map(t => svg("text", { class: "tick", x: x(t), y: height - bottom + 12, "text-anchor": t === xt[xt.length - 1] && x(t) > width - 20 ? "end" : "middle" }, xtext(t))),
    svg("g", { "clip-path": `url(#${clip})` }, drawn.map(s => [
      s.known ? svg("path", { class: "band", fill: s.colour, d: band(s.x, s.low, s.high, x, y, inner) }) : s.smooth && svg("path", { class: "band", fill: s.colour, d: band(s.x, s.smooth.low, s.smooth.high, x, y, inner) }),
      s.smooth && svg("path", { class: "raw", stroke: s.colour, d: path(s.x, s.y, x, y, inner) }),
      s.x.length === 1 ? svg("circle", { cx: x(s.x[0]), cy: y(s.y[0]), r: 2.4, fill: s.colour }) : svg("path", { class: "line", stroke: s.colour, d: path(s.x, s.smooth ? s.smooth.line : s.y, x, y, inner) }),
      dots && s.x.length > 1 && s.x.length < 30 && s.x.map((v, i) => finite(s.y[i]) && svg("circle", { cx: x(v), cy: y(s.y[i]), r: 2.2, fill: s.colour })),
    ])), hair);
  rest();
  root.point = step => step === null ? rest() : point(step);
  root.addEventListener("pointermove", event => {
    const box = root.getBoundingClientRect(), at = (event.clientX - box.left) / box.width * width;
    const wanted = xs[0] + (at - left) / inner * (xs[1] - xs[0]), s = drawn[0], i = nearest(s.x, Math.min(Math.max(wanted, xs[0]), xs[1]));
    (root.group || [root]).forEach(other => other.point(s.x[i]));
    root.at = i;
  });
  root.addEventListener("pointerleave", () => (root.group || [root]).forEach(other => other.point(null)));
  root.addEventListener("blur", () => (root.group || [root]).forEach(other => other.point(null)));
  root.addEventListener("keydown", event => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const s = drawn[0];
    root.at = Math.min(Math.max((root.at ?? (by > 0 ? -1 : s.x.length)) + by * (event.shiftKey ? 10 : 1), 0), s.x.length - 1);
    (root.group || [root]).forEach(other => other.point(s.x[root.at]));
  });
  return root;
}
function nearest(xs, x) {
  let low = 0, high = xs.length - 1;
  while (low < high) { const middle = (low + high) >> 1; if (xs[middle] < x) low = middle + 1; else high = middle; }
  return low > 0 && x - xs[low - 1] < xs[low] - x ? low - 1 : low;
}

/** Rows of distributions over one axis: [{ name, values, colour }]. */
function ridges({ title, rows, width = 340 }) {
  const left = 78, right = 74, top = 20, row = 34, inner = width - left - right, height = top + row * rows.length + 22;
  const sorted = rows.map(r => r.values.filter(finite).sort((a, b) => a - b));
  // the outermost two per cent may be far away
  let range = extent(sorted.flatMap(s => [quantile(s, 0.005), quantile(s, 0.995)]));
  const all = extent(sorted.flatMap(s => [s[0], s[s.length - 1]]));
  if (all[1] - all[0] < 1.4 * (range[1] - range[0])) range = all;
  const whole = sorted.every(s => s.every(Number.isInteger)) && range[1] - range[0] <= 40;
  const [low, high] = whole ? [range[0] - 0.5, range[1] + 0.5] : widened(range, 0.02), bins = whole ? Math.round(high - low) : 36;
  const x = scale([low, high], [left, left + inner]), xt = ticks(low, high, 4);
  const peaks = sorted.map(s => histogram(s, low, high, bins));
  return svg("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `distribution of ${title}: ${rows.map((r, i) => `${r.name} mean ${number(mean(sorted[i]))}`).join("; ")}` },
    svg("text", { class: "title", x: 0, y: 11 }, nice(title)),
    xt.map(t => [svg("line", { class: "grid", x1: x(t), x2: x(t), y1: top, y2: height - 18 }), svg("text", { class: "tick", x: x(t), y: height - 7, "text-anchor": "middle" }, tickText(t, xt))]),
    rows.map((r, i) => {
      const base = top + row * (i + 1) - 3, tall = row - 6, most = Math.max(...peaks[i]), step = inner / bins;
      const d = "M" + left + " " + base + peaks[i].map((c, b) => `V${(base - c / most * tall).toFixed(1)}H${(left + step * (b + 1)).toFixed(1)}`).join("") + "V" + base + "Z";
      const m = mean(sorted[i]);
      return [
        svg("path", { class: "bar", d, fill: r.colour || colour(i) }), svg("line", { class: "axis", x1: left, x2: left + inner, y1: base, y2: base }),
        svg("line", { x1: x(m), x2: x(m), y1: base - tall, y2: base, stroke: r.colour || colour(i), "stroke-width": 1.6 }),
        svg("text", { x: left - 7, y: base - 4, "text-anchor": "end" }, short(r.name, 13)),
        svg("text", { class: "now", x: width, y: base - 4, "text-anchor": "end" }, `${number(m, 3)} · n ${r.n ?? sorted[i].length}`),
      ];
    }));
}
function histogram(values, low, high, bins) {
  const counts = new Array(bins).fill(0);
  for (const v of values) if (v >= low && v <= high) counts[Math.min(bins - 1, Math.floor((v - low) / (high - low) * bins))]++;
  return counts;
}
/** A stage's name in little room: rounds and parts of one stage differ at the end. */
const short = (text, most) => text.length > most ? "…" + text.slice(text.length - most + 1) : text;

/** Points with 95 % intervals, one a row; a hollow point is what it was before. */
function forest({ title, rows, width = 340, zero = false }) {
  const left = 76, right = 126, top = 20, row = 19, inner = width - left - right, height = top + row * rows.length + 20;
  const ends = v => [v.mean, finite(v.lower95) ? v.lower95 : v.mean, finite(v.upper95) ? v.upper95 : v.mean];
  const range = widened(extent(rows.flatMap(r => [...ends(r.value), ...(r.before ? ends(r.before) : [])]).concat(zero ? [0] : [])), 0.08);
  const x = scale(range, [left, left + inner]), xt = ticks(range[0], range[1], 3);
  const one = (v, y, c, ghost) => finite(v.mean) && [
    finite(v.lower95) && finite(v.upper95) && svg("line", { class: "whisker" + (ghost ? " ghost" : ""), x1: x(v.lower95), x2: x(v.upper95), y1: y, y2: y, stroke: c }),
    svg("circle", { cx: x(v.mean), cy: y, r: 2.8, fill: ghost ? "var(--paper)" : c, stroke: c, class: ghost ? "ghost" : null }),
  ];
  return svg("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}: ${rows.map(r => `${r.name} ${shown(r.value)}`).join("; ")}` },
    svg("text", { class: "title", x: 0, y: 11 }, nice(title)),
    xt.map(t => [svg("line", { class: "grid", x1: x(t), x2: x(t), y1: top, y2: height - 17 }), svg("text", { class: "tick", x: x(t), y: height - 6, "text-anchor": "middle" }, tickText(t, xt))]),
    zero && svg("line", { class: "axis", x1: x(0), x2: x(0), y1: top, y2: height - 17 }),
    rows.map((r, i) => {
      const y = top + row * i + row / 2, c = r.colour || colour(i);
      return [r.before && one(r.before, y + 3.5, c, true), one(r.value, y - (r.before ? 2 : 0), c, false),
        svg("text", { x: left - 8, y: y + 3.3, "text-anchor": "end" }, short(r.name, 13)),
        svg("text", { class: "now", x: width, y: y + 3.3, "text-anchor": "end" }, r.text || shown(r.value, 3))];
    }));
}

/** Said against come true, in ten bins, with Wilson's intervals; below, how often what was said. */
function calibration({ title, said, truth, width = 260 }) {
  const left = 36, top = 20, side = width - left - 8, strip = 34, height = top + side + strip + 30, bins = 10;
  const cells = Array.from({ length: bins }, () => ({ p: 0, t: 0, n: 0 }));
  said.forEach((p, i) => { const c = cells[Math.min(bins - 1, Math.max(0, Math.floor(p * bins)))]; c.p += p; c.t += truth[i]; c.n++; });
  const x = scale([0, 1], [left, left + side]), y = scale([0, 1], [top + side, top]), most = Math.max(...cells.map(c => c.n)), base = height - 18;
  const error = sum(cells.map(c => Math.abs(c.p - c.t))) / said.length;
  const t = [0, 0.25, 0.5, 0.75, 1];
  return svg("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `calibration of ${title}: expected calibration error ${number(error, 3)} over ${said.length} cases` },
    svg("text", { class: "title", x: 0, y: 11 }, nice(title)), svg("text", { class: "now", x: width - 8, y: 11, "text-anchor": "end" }, `ECE ${number(error, 3)} · n ${said.length}`),
    t.map(v => [svg("line", { class: "grid", x1: left, x2: left + side, y1: y(v), y2: y(v) }), svg("line", { class: "grid", x1: x(v), x2: x(v), y1: top, y2: top + side }),
      svg("text", { class: "tick", x: left - 5, y: y(v) + 3.3, "text-anchor": "end" }, String(v)), svg("text", { class: "tick", x: x(v), y: base + 13, "text-anchor": "middle" }, String(v))]),
    svg("line", { class: "hair", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }),
    cells.map((c, i) => {
      if (!c.n) return null;
      const e = wilson(Math.min(1, Math.max(0, c.t / c.n)), c.n), at = x(c.p / c.n);
      return [svg("rect", { class: "bar", x: x(i / bins) + 1, width: side / bins - 2, y: base - c.n / most * strip, height: c.n / most * strip, fill: colour(0) }),
        svg("line", { class: "whisker", x1: at, x2: at, y1: y(e.lower95), y2: y(e.upper95), stroke: colour(0) }), svg("circle", { cx: at, cy: y(c.t / c.n), r: 2.8, fill: colour(0) })];
    }),
    svg("line", { class: "axis", x1: left, x2: left + side, y1: base, y2: base }));
}

/**
 * A drawing given as data: { title, kind: "line" | "scatter" | "heat", x: { label }, y: { label }, series: [{ name, points: [[x, y, low?, high?]] }] };
 * for a heat map `columns`, `rows` and `values` (rows of numbers).
 */
function drawing(spec) {
  if (spec.kind === "heat") return heat(spec);
  const series = (spec.series || []).filter(s => s.points?.length), longest = Math.max(0, ...series.map(s => s.name?.length || 0));
  // names stand beside the plot, where no line runs
  const width = 520, height = 300, left = 52, right = 12 + Math.min(150, longest * 5.6), top = 26, bottom = 38;
  const points = series.flatMap(s => s.points);
  if (!points.length) return el("p", { class: "mute" }, "no points");
  const xr = widened(extent(points.map(p => p[0])), 0.03), yr = widened(extent(points.flatMap(p => [p[1], p[2], p[3]])), 0.06);
  const x = scale(xr, [left, width - right]), y = scale(yr, [height - bottom, top]), xt = ticks(...xr, 6), yt = ticks(...yr, 5);
  return svg("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": spec.title || "figure" },
    yt.map(t => [svg("line", { class: "grid", x1: left, x2: width - right, y1: y(t), y2: y(t) }), svg("text", { class: "tick", x: left - 6, y: y(t) + 3.3, "text-anchor": "end" }, tickText(t, yt))]),
    xt.map(t => svg("text", { class: "tick", x: x(t), y: height - bottom + 14, "text-anchor": "middle" }, tickText(t, xt))),
    svg("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
    svg("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, spec.x?.label || ""), svg("text", { x: 0, y: 12 }, spec.y?.label || ""),
    series.map((s, i) => {
      const p = [...s.points].sort((a, b) => a[0] - b[0]), xs = p.map(q => q[0]), c = colour(i);
      const marks = p.map(q => [finite(q[2]) && finite(q[3]) && svg("line", { class: "whisker", x1: x(q[0]), x2: x(q[0]), y1: y(q[2]), y2: y(q[3]), stroke: c }), svg("circle", { cx: x(q[0]), cy: y(q[1]), r: 2.6, fill: c })]);
      const line = spec.kind !== "scatter" && svg("path", { class: "line", stroke: c, d: path(xs, p.map(q => q[1]), x, y, width) });
      return [line, p.length <= 400 && marks, s.name && svg("text", { x: width - right + 8, y: top + 4 + 14 * i, style: `fill:${c}` }, s.name)];
    }));
}
function heat(spec) {
  const [low, high] = extent(spec.values.flat()) || [0, 1];
  return el("div", { class: "scroll" }, el("table", { class: "heat" },
    el("tr", {}, el("th", {}), spec.columns.map(c => el("th", { style: "text-align:center" }, c))),
    spec.rows.map((name, r) => el("tr", {}, el("th", {}, name), spec.columns.map((_, c) => {
      const v = spec.values[r][c];
      return el("td", { class: "cell", style: finite(v) ? `background:rgb(var(--less) / ${(0.08 + 0.6 * (v - low) / ((high - low) || 1)).toFixed(2)})` : null }, spec.text ? spec.text[r][c] : number(v, 3));
    })))));
}
