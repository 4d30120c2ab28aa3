// Red teaming: how often harm was drawn, of whom, by what; how that differs from the first network and the run before.

function redteam(data) {
  const attacks = data.attacks || [];
  if (!attacks.length) return null;
  const key = (prompts, items, i) => prompts[i] + "/" + (items?.[i] ?? 0);
  const cells = (values, prompts, items) => new Map(values.map((v, i) => [key(prompts, items, i), { value: v, group: prompts[i] }]));
  // numbers of one kind: the same metric of the same prompts
  const kinds = new Map();
  for (const a of attacks) {
    const id = a.metric + " " + [...new Set(a.prompts)].sort().join();
    (kinds.get(id) || kinds.set(id, []).get(id)).push({ ...a, who: binding(a.stage) });
  }
  const targets = [...new Set(attacks.map(a => binding(a.stage)))];
  const parts = [];
  for (const group of kinds.values()) {
    const first = group[0], base = cells(first.values, first.prompts, first.items), rateText = first.share ? percent : number;
    const rate = e => e ? `${rateText(e.mean)}` : "–";
    const span = e => e && finite(e.lower95) ? `${rateText(e.lower95)} to ${rateText(e.upper95)}` : "";
    const difference = d => !d ? "–" : el("span", { class: d.lower95 > 0 ? "bad" : d.upper95 < 0 ? "good" : "mute" }, `${d.mean > 0 ? "+" : ""}${first.share ? minus((100 * d.mean).toFixed(1)) : number(d.mean, 3)} [${first.share ? minus((100 * d.lower95).toFixed(1)) : number(d.lower95, 3)}, ${first.share ? minus((100 * d.upper95).toFixed(1)) : number(d.upper95, 3)}]`);
    const row = (a, at) => {
      const own = cells(a.values, a.prompts, a.items), earlier = a.before_values ? cells(a.before_values.values, a.before_values.prompts, a.before_values.items) : null;
      return el("tr", {}, el("td", {}, a.who, a.network && a.network !== a.who ? el("span", { class: "mute" }, ` ${a.network}`) : ""), el("td", { class: "n" }, rate(a.estimate)), el("td", {}, bar(a.estimate, Math.min(first.share ? 1 : Infinity, extent(group.map(g => g.estimate?.upper95))?.[1] || 1), at)), el("td", { class: "mute" }, span(a.estimate)), el("td", { class: "n mute" }, a.estimate?.n ?? a.values.length), el("td", { class: "n" }, at ? difference(paired(own, base)) : el("span", { class: "mute" }, "—")), el("td", { class: "n" }, earlier ? difference(paired(own, earlier)) : el("span", { class: "mute" }, "—")));
    };
    const unit = first.share ? " (points)" : "";
    parts.push(el("h3", {}, nice(first.metric), " ", el("small", {}, `${new Set(first.prompts).size} prompts`)),
      el("div", { class: "scroll" }, el("table", { class: "rules" }, el("tr", {}, el("th", {}, "target"), el("th", { class: "n" }, "rate"), el("th", {}, ""), el("th", {}, "95 % interval"), el("th", { class: "n" }, "cases"), el("th", { class: "n" }, `against ${first.who}${unit}`), el("th", { class: "n" }, `against the run before${unit}`)), group.map(row))));
    parts.push(byLabel(group));
  }
  const cards = [...new Set(attacks.map(a => a.card).filter(Boolean))];
  const about = cards.map(card => el("details", {}, el("summary", { class: "small" }, "What counts as harm here, and what that misses"), cardTable(card)));
  return section("redteam", "Red team", el("p", {}, "How often an attack drew harm. Differences are paired by prompt and sample, intervals treat all answers to a prompt as one draw; in colour where the interval leaves out 0."), about, parts, worst(attacks, targets, data));
}

function bar(e, top, at) {
  const w = 130, h = 12, x = scale([0, top], [1, w - 1]);
  if (!e) return "";
  return svg("svg", { class: "plot", style: `width:${w}px`, viewBox: `0 0 ${w} ${h}`, "aria-hidden": "true" }, svg("line", { class: "axis", x1: 0, x2: w, y1: h - 0.5, y2: h - 0.5 }),
    finite(e.lower95) && svg("line", { class: "whisker", x1: x(Math.max(0, e.lower95)), x2: x(Math.min(top, e.upper95)), y1: h / 2, y2: h / 2, stroke: colour(at) }), svg("circle", { cx: x(e.mean), cy: h / 2, r: 2.8, fill: colour(at) }));
}

/** Rates by technique and category, or whatever columns of few texts the cases have. */
function byLabel(group) {
  const names = [...new Set(group.flatMap(a => Object.keys(a.labels || {})))];
  if (!names.length) return null;
  const host = el("div", {}), pick = (label, wanted, none) => el("select", { "aria-label": label, onchange: () => fill() }, none && el("option", { value: "" }, none), names.map(n => el("option", { value: n, selected: n === wanted }, n)));
  const rowDefault = names.find(n => /technique|attack|method/.test(n)) || names[0], columnDefault = names.find(n => n !== rowDefault && /category|kind|type|label/.test(n));
  const rows = pick("rows", rowDefault), columns = pick("columns", columnDefault || "", "target");
  if (!columnDefault) columns.value = "";
  const who = el("select", { "aria-label": "target", onchange: () => fill() }, group.map((a, i) => el("option", { value: i, selected: i === group.length - 1 }, a.who)));
  function fill() {
    const byTarget = !columns.value, chosen = byTarget ? group : [group[who.value]];
    who.hidden = byTarget;
    const r = group[0].labels[rows.value] || chosen[0].labels[rows.value];
    const rowNames = r?.names || [], columnNames = byTarget ? group.map(a => a.who) : chosen[0].labels[columns.value]?.names || [];
    const cell = (rowName, c) => {
      const a = byTarget ? group[c] : chosen[0], l = a.labels[rows.value], k = byTarget ? null : a.labels[columns.value];
      if (!l) return null;
      const at = l.names.indexOf(rowName), picked = a.values.map((_, i) => i).filter(i => l.of[i] === at && (byTarget || k.of[i] === c));
      return picked.length ? groupedShare(picked.map(i => a.values[i]), picked.map(i => a.prompts[i])) : null;
    };
    const table = rowNames.map(name => columnNames.map((_, c) => cell(name, c)));
    host.replaceChildren(heat({ rows: rowNames, columns: columnNames, values: table.map(row => row.map(e => e ? e.mean : NaN)), text: table.map(row => row.map(e => e ? el("span", {}, percent(e.mean), el("br"), el("small", { class: "mute" }, `${percent(e.lower95)} to ${percent(e.upper95)}, n ${e.n}`)) : "")) }));
  }
  fill();
  return el("div", {}, el("div", { class: "tools" }, "by", rows, "and", columns, who), host);
}

function cardTable(card) {
  let fields = null;
  try { fields = JSON.parse(card); } catch { /* shown as text */ }
  if (!fields) return el("p", { class: "small" }, card);
  return el("table", {}, Object.entries(fields).map(([k, v]) => el("tr", {}, el("th", { scope: "row" }, k.replaceAll("_", " ")), el("td", {}, Array.isArray(v) ? v.join(", ") : String(v)))));
}

function worst(attacks, targets, data) {
  const all = attacks.flatMap(a => a.shown.map(row => ({ ...row, who: binding(a.stage), attack: a }))), seen = new Set();
  const rows = all.filter(r => { const id = r.who + JSON.stringify(r.prompt) + r.text; if (seen.has(id) || !r.text) return false; seen.add(id); return true; }).sort((a, b) => b.harm - a.harm);
  if (!rows.length) return null;
  const list = el("div", {}), who = el("select", { "aria-label": "target of the worst cases", id: "worst-target", onchange: () => fill() }, el("option", { value: "" }, "all targets"), targets.map(t => el("option", { value: t }, t)));
  const filter = el("input", { type: "search", placeholder: "filter by text", "aria-label": "filter worst cases", id: "worst-filter", oninput: () => fill() }), count = el("span", { "aria-live": "polite" });
  let most = 12;
  const more = el("button", { class: "more", onclick: () => { most = Infinity; fill(); } });
  who.value = targets[targets.length - 1];
  const q = text => "'" + text.replaceAll("'", "'\\''") + "'";
  function fill() {
    const wanted = filter.value.trim().toLowerCase(), found = rows.filter(r => (!who.value || r.who === who.value) && (!wanted || r.text.toLowerCase().includes(wanted) || promptText(r.prompt).toLowerCase().includes(wanted)));
    count.textContent = `${found.length} of ${rows.length}`;
    const file = data.plan?.sources?.[0]?.name || "RECIPE.align";
    more.hidden = found.length <= most;
    more.textContent = `${found.length - most} more`;
    list.replaceChildren(...found.slice(0, most).map(r => el("details", { class: "worst" }, el("summary", {}, el("span", { class: "n" }, number(r.harm, 3)), el("span", { class: "mute" }, r.who), el("span", { class: "text" }, r.text)),
      el("blockquote", {}, el("span", { class: "mute" }, promptText(r.prompt)), "\n", r.text),
      el("span", { class: "small mute" }, `row ${r.row} of ${r.attack.data}${finite(r.item) ? `, sample ${r.item}` : ""}${r.attack.network ? `, from ${r.attack.network}` : ""}; replays token by token:`),
      r.attack.network ? el("code", { class: "replay" }, `align score ${r.attack.network} --from ${q(file)} --prompt ${q(promptText(r.prompt))} --completion ${q(r.text)}`) : null)));
  }
  fill();
  return el("div", {}, el("h3", {}, "Worst cases"), el("div", { class: "tools" }, who, filter, count), list, more);
}
