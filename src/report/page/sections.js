// What a report consists of, one function a section. Each takes the data and gives an element, or nothing.

function summary(data) {
  const run = data.run, tally = run.tally || {}, kept = data.expectations.filter(e => e.holds === true).length, all = data.expectations.length;
  const made = data.stages.filter(s => s.state === "made").length, cached = data.stages.filter(s => s.state === "cached").length;
  const limited = tally.limited_by ?? data.plan?.profile;
  const verdict = !all ? "nothing was expected" : run.live ? `${all} expectations, to be judged at the end` : kept === all ? `all ${all} expectations hold` : `${all - kept} of ${all} expectations do not hold`;
  return el("header", { class: "top" },
    el("h1", {}, run.title || run.recipe),
    el("p", { class: "byline" }, el("b", {}, run.recipe), ` · ${(run.started || "").replace("T", " ").replace("Z", " UTC")} · ${run.device || ""} · `, run.live ? "running" : duration(run.seconds), ` · ${made} stages made, ${cached} as they were`, data.plan?.align ? ` · align ${data.plan.align}` : ""),
    el("p", { class: "verdict " + (all && !run.live ? (kept === all ? "good" : "bad") : "") }, verdict, limited ? el("span", { class: "mute" }, ` — profile ${limited} limits the work, so this run proves nothing`) : null),
    data.failures?.map(f => el("p", { class: "bad small" }, `${f.stage ? f.stage + ": " : ""}${f.failure?.message || ""}`)));
}

function expectations(data) {
  if (!data.expectations.length) return null;
  const item = e => {
    const mark = e.holds === true ? ["✓", "good", "holds"] : e.holds === false ? ["✗", "bad", "does not hold"] : ["·", "mute", "not judged"];
    const numbers = (e.sides || []).length ? e.sides.map(v => shown(v)).join(" vs ") : (e.parts || []).map(p => `${p.name} ${shown(p.value)}`).join(", ");
    return el("li", { "data-holds": String(e.holds) },
      el("span", { class: "mark " + mark[1], title: mark[2], "aria-label": mark[2] }, mark[0]),
      el("span", {}, el("code", {}, e.text), e.message && el("span", { class: "said" }, e.message), e.because && el("span", { class: "said bad" }, e.because)),
      el("span", { class: "numbers" }, numbers));
  };
  const list = el("ul", { class: "expectations" }, data.expectations.map(item));
  const some = data.expectations.some(e => e.holds !== true) && data.expectations.some(e => e.holds === true);
  const only = el("input", { type: "checkbox", id: "only-broken", onchange: () => list.querySelectorAll("li").forEach(li => { li.hidden = only.checked && li.dataset.holds === "true"; }) });
  return section("expectations", "Expectations", el("p", {}, "What the recipe requires of its results, with the numbers that decided it. A number in brackets is a 95 % interval."),
    some && el("div", { class: "tools" }, el("label", {}, only, "only those that do not hold")), list);
}

/** Names of stages by what they were bound to, in order. */
function bindings(data) {
  const found = new Map();
  data.stages.forEach((stage, at) => { const name = binding(stage.name); (found.get(name) || found.set(name, []).get(name)).push(at); });
  return found;
}

/** What is known of a binding: every stage of it with its arguments. */
function stageBox(data, name, at) {
  const members = bindings(data).get(name) || [];
  const one = index => {
    const s = data.stages[index], args = Object.entries(s.args || {}).filter(([key]) => !(key in (s.inputs || {})) || true);
    return el("details", { open: members.length === 1 }, el("summary", {}, el("b", {}, s.name), ` ${s.primitive} · ${s.state}${s.seconds ? " · " + duration(s.seconds) : ""}`),
      Object.keys(s.values || {}).length ? el("dl", { class: "values" }, Object.entries(s.values).map(([k, v]) => [el("dt", {}, k), el("dd", {}, shown(v), s.before && k in s.before && !s.unchanged ? el("span", { class: "mute" }, `  before ${shown(s.before[k])}`) : null)])) : null,
      el("dl", {}, args.map(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]), s.seed ? [el("dt", {}, "seed"), el("dd", {}, String(s.seed))] : null, el("dt", {}, "fingerprint"), el("dd", {}, s.fingerprint || "")));
  };
  const line = members.length ? data.stages[members[0]].at?.line : null;
  return el("div", { class: "stage-box", id: "stage-box", role: "region", "aria-label": name },
    el("h3", {}, name, " ", el("small", {}, line ? `line ${line}` : ""), " ", el("button", { class: "plain", onclick: () => select(data, null), "aria-label": "close" }, "×")),
    members.map(index => stageBox.more?.(data.stages[index].name)), members.map(one));
}

/** Shows one binding everywhere: in the graph, in the recipe, and what its stages were given. */
function select(data, name) {
  document.querySelectorAll(".stage-box").forEach(box => box.remove());
  document.querySelectorAll(".block.here, .l.here").forEach(e => e.classList.remove("here"));
  const graph = document.querySelector("#graph svg.graph");
  graph?.classList.toggle("some", Boolean(name));
  graph?.querySelectorAll(".near").forEach(e => e.classList.remove("near"));
  if (!name) return;
  const block = [...(graph?.querySelectorAll(".block") || [])].find(b => b.dataset.name === name);
  if (block) {
    block.classList.add("here", "near");
    graph.querySelectorAll("path[data-arrow]").forEach(p => {
      const [from, to] = p.dataset.arrow.split(" ");
      if (from === block.dataset.block || to === block.dataset.block) {
        p.classList.add("near");
        graph.querySelectorAll(".block").forEach(b => { if (b.dataset.block === from || b.dataset.block === to) b.classList.add("near"); });
      }
    });
  }
  const lines = [...document.querySelectorAll(".source .l.made")].filter(l => l.dataset.names.split(" ").includes(name));
  lines.forEach(l => l.classList.add("here"));
  const box = stageBox(data, name);
  if (select.from === "recipe" && lines.length) lines[0].after(box);
  else document.querySelector("#graph figure, #recipe .source")?.append(box);
}

function graph(data) {
  if (!data.graph) return null;
  // the drawing is align's own; it is parsed as XML, never as HTML
  const parsed = new DOMParser().parseFromString(data.graph, "image/svg+xml").documentElement;
  if (parsed.nodeName !== "svg") return null;
  parsed.querySelector("style")?.remove();
  const root = document.importNode(parsed, true);
  root.querySelectorAll(".block").forEach(block => {
    block.setAttribute("tabindex", "0");
    block.setAttribute("role", "button");
    const open = () => { select.from = "graph"; select(data, block.classList.contains("here") ? null : block.dataset.name); };
    block.addEventListener("click", open);
    block.addEventListener("keydown", event => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); } });
  });
  const states = [...new Set(data.stages.map(s => s.state))].map(s => `${data.stages.filter(t => t.state === s).length} ${s}`).join(", ");
  return section("graph", "Stages", figure(el("div", { class: "graph-box" }, root), `What was made from what, one box for each binding of the recipe (${data.stages.length} stages: ${states}), with times and first results; an arrow that a longer way implies is left out. Select a box to see what its stages were given.`));
}

const KEYWORDS = /^(recipe|use|param|profile|fn|stage|objective|type|let|expect|export|to|as|if|then|else|for|limit|loss|metric|state|weighted|and|or|not|none|import|loop|until|gate|over|by)$/;
/** A line of the recipe in colour. */
function coloured(line) {
  const found = [];
  for (const [text] of line.matchAll(/\/\/.*$|"(?:[^"\\]|\\.)*"|[A-Za-z_]\w*|\d[\w.%-]*|\s+|./g)) {
    const kind = text.startsWith("//") ? "c" : text[0] === '"' ? "s" : KEYWORDS.test(text) ? "k" : /^\d/.test(text) ? "d" : null;
    found.push(kind ? el("span", { class: kind }, text) : text);
  }
  return found;
}

function recipe(data) {
  const sources = data.plan?.sources || [];
  if (!sources.length) return null;
  const made = new Map();
  for (const stage of data.stages) {
    if (!stage.at?.line) continue;
    const key = stage.at.file + ":" + stage.at.line, entry = made.get(key) || made.set(key, { names: new Set(), seconds: 0, stages: [] }).get(key);
    entry.names.add(binding(stage.name)); entry.seconds += stage.seconds || 0; entry.stages.push(stage);
  }
  const listing = source => el("div", { class: "source", role: "group", "aria-label": source.name }, source.text.replace(/\n$/, "").split("\n").map((text, at) => {
    const entry = made.get(source.name + ":" + (at + 1));
    const chip = entry && [entry.seconds >= 0.05 ? duration(entry.seconds) : null, ...entry.stages.flatMap(s => Object.entries(s.values || {}).slice(0, 2).map(([k, v]) => `${k} ${number(isEstimate(v) ? v.mean : v, 3)}`)).slice(0, 3)].filter(Boolean).join(" · ");
    const line = el("div", { class: "l" + (entry ? " made" : ""), "data-names": entry ? [...entry.names].join(" ") : null, tabindex: entry ? "0" : null, role: entry ? "button" : null, id: `line-${at + 1}` },
      el("span", { class: "no" }, String(at + 1)), el("span", {}, coloured(text)), chip && el("span", { class: "chip" }, chip));
    if (entry) {
      const open = () => { select.from = "recipe"; select(data, line.classList.contains("here") ? null : [...entry.names][0]); };
      line.addEventListener("click", open);
      line.addEventListener("keydown", event => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); } });
    }
    return line;
  }));
  return section("recipe", "Recipe", el("p", {}, "As it was run. Select a line that makes something to see every value that its stages were given, defaults included."), sources.map(s => [el("h3", {}, s.name), listing(s)]));
}

// what training says of itself, in the order in which one reads it; what is not named comes after
const ORDER = ["loss", "reward", "kl", "accuracy", "margin", "length", "entropy", "grad_norm"];
const QUIET = new Set(["lr", "clamped", "tokens_per_second", "sampler_gap"]);
const rank = name => { const at = ORDER.indexOf(name); return at < 0 ? ORDER.length - 0.5 : at === ORDER.length - 1 ? ORDER.length : at; };

function training(data) {
  if (!data.curves.length) return null;
  let points = 0;
  const block = curve => {
    const names = Object.keys(curve.series).filter(n => !/\.(lower|upper)95$/.test(n) && curve.series[n].some(finite)).sort((a, b) => rank(a) - rank(b));
    const group = [];
    const panel = name => {
      const s = { name, x: curve.steps, y: curve.series[name], low: curve.series[name + ".lower95"], high: curve.series[name + ".upper95"] };
      points += s.y.length;
      const drawn = curves({ title: name, series: [{ ...s, colour: colour(0) }] });
      drawn.group = group;
      group.push(drawn);
      return el("div", { class: QUIET.has(name) ? "quiet" : null, hidden: QUIET.has(name) }, drawn);
    };
    const last = curve.steps[curve.steps.length - 1];
    return el("div", { class: "training", "data-stage": curve.stage }, el("h3", {}, curve.stage, " ", el("small", {}, `${last} step${last === 1 ? "" : "s"}${curve.run ? " · made in " + curve.run : ""}`)), el("div", { class: "multiples" }, names.map(panel)));
  };
  const blocks = data.curves.map(block);
  const all = el("input", { type: "checkbox", id: "all-numbers", onchange: () => document.querySelectorAll(".quiet").forEach(q => { q.hidden = !all.checked; }) });
  return section("training", "Training", el("div", { class: "tools" }, el("label", {}, all, "also learning rate, speed and checks of the engine")),
    figure(blocks, "Every recorded number of the stages that train, step by step. A band is the 95 % interval over the rows of a step, where rows are counted; a thin line under a bold one is the number of each step, and the bold line the mean of neighbouring steps with the interval of that mean. The number at the right is the last; point at a curve, or use the arrow keys, to read off a step in all panels of a stage."));
}

function results(data) {
  const metrics = new Map();
  for (const stage of data.stages) for (const [name, value] of Object.entries(stage.values || {})) {
    if (!isEstimate(value)) continue;
    const key = stage.primitive === "measure" ? name : "of " + stage.name;
    (metrics.get(key) || metrics.set(key, []).get(key)).push({ name: stage.primitive === "measure" ? binding(stage.name) : name, stage: stage.name, value, before: !stage.unchanged && isEstimate(stage.before?.[name]) ? stage.before[name] : null });
  }
  if (!metrics.size) return null;
  // rounds and values of a sweep share a binding: their rows are told apart by more of the stage's name
  for (const [key, rows] of metrics) if (!key.startsWith("of ") && new Set(rows.map(r => r.name)).size < rows.length)
    rows.forEach(r => { if (rows.some(other => other !== r && other.name === r.name)) r.full = r.stage.replace(/(\.(seen|measure))+$/, ""); });
  for (const rows of metrics.values()) rows.forEach(r => { r.name = r.full || r.name; });
  const order = [...metrics].sort((a, b) => (a[0].startsWith("of ") ? 1 : 0) - (b[0].startsWith("of ") ? 1 : 0) || b[1].length - a[1].length);
  const several = order.filter(([key, rows]) => !key.startsWith("of ") && rows.length > 1), single = order.filter(([key, rows]) => !key.startsWith("of ") && rows.length === 1);
  const trained = order.filter(([key]) => key.startsWith("of "));
  const before = data.stages.some(s => !s.unchanged && Object.values(s.before || {}).some(isEstimate));
  const singles = single.map(([key, rows]) => el("tr", {}, el("td", {}, `${rows[0].name}.${key}`), el("td", {}, shown(rows[0].value)), el("td", { class: "n mute" }, "n " + rows[0].value.n), el("td", {}, "")));
  const trainedRows = trained.flatMap(([key, rows]) => rows.map(r => el("tr", {}, el("td", {}, `${key.slice(3)}.${r.name}`), el("td", {}, shown(r.value)), el("td", { class: "n mute" }, "n " + r.value.n), el("td", { class: "mute" }, r.before ? "before " + shown(r.before) : ""))));
  return section("results", "Results",
    several.length ? figure(el("div", { class: "wide-multiples" }, several.map(([title, rows]) => forest({ title, rows: rows.map((r, i) => ({ ...r, colour: colour(i) })) }))),
      "What the recipe measured, with 95 % intervals.", before ? ` Hollow: the same in the run before (${data.run.previous}).` : "") : null,
    singles.length || trainedRows.length ? el("div", { class: "scroll" }, el("table", {}, el("tr", {}, el("th", {}, "number"), el("th", {}, "mean [95 % interval]"), el("th", { class: "n" }, "cases"), el("th", {}, "")), trainedRows, singles)) : null);
}

function distributions(data) {
  const groups = new Map();
  for (const detail of data.details) for (const [name, entry] of Object.entries(detail.metrics)) {
    if (entry.share || entry.values.length < 12) continue;
    const measured = detail.of === "rows", key = measured ? name : `${detail.stage} ${name}`;
    const values = entry.values.filter(finite);
    if (values.length < 12 || extent(values)[0] === extent(values)[1]) continue;
    (groups.get(key) || groups.set(key, []).get(key)).push({ name: measured ? binding(detail.stage) : name, of: detail.of, stage: detail.stage, values, n: entry.n });
  }
  // numbers of one trained stage that mean the same share a panel: chosen and rejected, reward and penalty
  const merged = [];
  for (const [title, rows] of groups) {
    const twin = rows.length === 1 && rows[0].of !== "rows" && merged.find(m => m.twin && m.rows[0].stage === rows[0].stage && m.suffix === title.split("_").pop() && title.includes("_"));
    if (twin) { twin.rows.push(...rows); twin.title = `${rows[0].stage} ${twin.suffix}`; } else merged.push({ title, rows, twin: rows.length === 1 && title.includes("_"), suffix: title.split("_").pop() });
  }
  if (!merged.length) return null;
  merged.sort((a, b) => b.rows.length - a.rows.length);
  const panel = m => ridges({ title: m.rows[0].of === "rows" ? m.title : `${m.title} (${m.rows[0].of})`, rows: m.rows.map((r, i) => ({ ...r, colour: colour(i) })) });
  return section("distributions", "Distributions", figure(el("div", { class: "wide-multiples" }, merged.map(panel)), "What the means are made of: histograms of every measured row (of every token where a number is per token), on one axis a panel; the upright line is the mean, at the right its value and the number of values."));
}

function calibrations(data) {
  const panels = [];
  for (const detail of data.details) for (const [name, entry] of Object.entries(detail.metrics)) if (entry.pairs?.[0]?.length > 1) panels.push(calibration({ title: `${detail.stage} ${name === "ece" ? "" : name}`.trim(), said: entry.pairs[0], truth: entry.pairs[1] }));
  if (!panels.length) return null;
  return section("calibration", "Calibration", figure(el("div", { class: "squares" }, panels), "How often what was said with a probability came true, in ten bins with Wilson's 95 % intervals; on the diagonal, words and facts agree. Below, how often each probability was said. ECE: expected calibration error."));
}

function drawings(data) {
  if (!data.figures?.length) return null;
  return section("figures", "Figures", data.figures.map(f => figure(el("div", { class: "drawn" }, drawing(f)), el("b", {}, (f.title || f.stage) + ". "), `Stage ${f.stage}.`)));
}

function provenance(data) {
  const run = data.run, plan = data.plan || {};
  const rows = [["run", run.id], ["recipe", run.recipe], ["align", plan.align], ["system", plan.system], ["device", `${run.device || ""}${run.because ? ` (${run.because})` : ""}`], ["numbers", plan.numerics ? Object.values(plan.numerics).join(", ") : null], ["profile", plan.profile], ["previous run", run.previous]].filter(r => r[1]);
  const files = Object.entries(data.files || {});
  const stages = data.stages.map(s => el("tr", {}, el("td", {}, s.name), el("td", {}, s.primitive), el("td", {}, s.state), el("td", { class: "n" }, duration(s.seconds)), el("td", { class: "n" }, s.seed ?? ""), el("td", { class: "hash" }, s.fingerprint)));
  return section("provenance", "Provenance",
    el("table", {}, rows.map(([k, v]) => el("tr", {}, el("th", { scope: "row" }, k), el("td", {}, v)))),
    files.length ? [el("h3", {}, "Files from outside"), el("div", { class: "scroll" }, el("table", {}, el("tr", {}, ["path", "size", "BLAKE3", "licence"].map(h => el("th", {}, h))), files.map(([path, f]) => el("tr", {}, el("td", {}, path, plan.commits?.[path] && !path.includes(plan.commits[path]) && el("div", { class: "hash" }, plan.commits[path])), el("td", { class: "n" }, bytes(f.bytes)), el("td", { class: "hash" }, f.blake3), el("td", {}, (plan.licences?.[path] || []).map(l => el("div", {}, l)), !(plan.licences?.[path] || []).length && el("span", { class: "mute" }, "none found beside it")))))) ] : null,
    el("details", {}, el("summary", {}, `Every stage with its fingerprint (${data.stages.length})`), el("div", { class: "scroll" }, el("table", {}, el("tr", {}, ["stage", "primitive", "state", "time", "seed", "fingerprint"].map(h => el("th", {}, h))), stages))),
    data.exports.length ? [el("h3", {}, "Exports"), el("ul", { class: "small" }, data.exports.map(e => el("li", {}, `${e.what} → ${e.path}`, e.because ? `: withheld, ${e.because}` : e.unchanged ? " (unchanged)" : "")))] : null,
    data.warnings.length ? [el("h3", {}, "Warnings"), el("ul", { class: "small" }, data.warnings.map(w => el("li", {}, `${w.stage ? w.stage + ": " : ""}${w.warning?.message || ""}`)))] : null);
}
