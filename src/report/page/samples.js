// What networks said to the same prompts, side by side; each token in the colour of how its log-prob changed.

const promptText = p => typeof p === "string" ? p : Array.isArray(p) ? p.map(t => t.text).join("\n") : p?.$dialogue ? p.$dialogue.map(t => t.text).join("\n") : JSON.stringify(p);

/** More likely than before: one colour; less: the other; as much as two nats say. */
function tint(change) {
  if (!finite(change)) return null;
  const strength = Math.min(1, Math.abs(change) / 2) * 0.62;
  return strength < 0.04 ? null : `background:rgb(var(${change > 0 ? "--more" : "--less"}) / ${strength.toFixed(2)})`;
}
const signed = x => (x >= 0 ? "+" : "") + minus(x.toFixed(2));

function told(cell) {
  if (!cell) return null;
  if (!cell.pieces?.length || !cell.logp) return cell.text.trimStart();
  const first = cell.pieces.findIndex(piece => piece.trim());
  return cell.pieces.map((piece, i) => {
    if (i === first) piece = piece.trimStart();
    if (!piece || i < first) return null;
    const change = cell.before ? cell.logp[i] - cell.before[i] : NaN;
    return el("span", { class: "t", style: tint(change), "data-i": i }, piece);
  });
}

function samples(data) {
  if (!data.samples.length) return null;
  const box = el("div", { class: "samples" }), head = el("div", { class: "columns-head" }), count = el("span", { "aria-live": "polite" });
  // more than four side by side nobody reads: the first and the last three of many rounds
  const four = group => group.columns.length > 4 ? [group.columns[0], ...group.columns.slice(-3)] : group.columns;
  const name = g => { const group = data.samples[g]; return (group.columns.length > 4 ? `${group.columns[0].network} … ${group.columns.at(-1).network}` : group.columns.map(c => c.network).join(", ")) + ` · ${group.of} prompts`; };
  const which = el("select", { "aria-label": "which prompts", onchange: () => fill() }, data.samples.map((_, g) => el("option", { value: g }, name(g))));
  // the group with most networks says most
  which.value = String(data.samples.reduce((best, g, at) => g.columns.length > data.samples[best].columns.length ? at : best, 0));
  const filter = el("input", { type: "search", placeholder: "filter by text", "aria-label": "filter samples", id: "sample-filter", oninput: () => fill() });
  const order = el("select", { "aria-label": "order", onchange: () => fill() }, el("option", { value: "" }, "in order"), el("option", { value: "change" }, "most changed first"));
  const more = el("button", { class: "more", onclick: () => { shownRows += 40; draw(); } }, "more");
  let rows = [], shownRows = 0;
  const changed = (group, r) => Math.max(...four(group).map(c => { const cell = c.cells[r]; return cell?.logp && cell.before ? Math.abs(sum(cell.logp) - sum(cell.before)) : 0; }));
  function fill() {
    const group = data.samples[which.value], wanted = filter.value.trim().toLowerCase();
    rows = group.prompts.map((_, r) => r).filter(r => !wanted || promptText(group.prompts[r]).toLowerCase().includes(wanted) || four(group).some(c => c.cells[r]?.text.toLowerCase().includes(wanted)));
    if (order.value) rows.sort((a, b) => changed(group, b) - changed(group, a));
    shownRows = 12;
    count.textContent = `${rows.length} of ${group.prompts.length} shown here` + (group.columns.length > 4 ? `, by the first and the last three of ${group.columns.length} networks` : "");
    box.style.setProperty("--columns", four(group).length);
    head.style.setProperty("--columns", four(group).length);
    head.replaceChildren(...four(group).map(c => el("div", {}, c.network, c.from ? el("span", { class: "mute" }, ` from ${c.from}`) : "")));
    box.replaceChildren();
    draw();
  }
  function draw() {
    const group = data.samples[which.value];
    for (const r of rows.slice(box.childElementCount, shownRows)) {
      box.append(el("article", { class: "sample" }, el("p", { class: "prompt" }, promptText(group.prompts[r])), el("div", { class: "cells" }, four(group).map(c => {
        const cell = c.cells[r], node = el("div", { class: "cell" }, el("span", { class: "who" }, c.network), told(cell));
        node.cell = cell;
        return node;
      }))));
    }
    more.hidden = box.childElementCount >= rows.length;
    more.textContent = `${Math.min(40, rows.length - box.childElementCount)} more`;
  }
  box.addEventListener("pointerover", event => {
    const token = event.target.closest(".t"), cell = token?.parentElement.cell;
    if (!cell) return showTip(event, "");
    const i = Number(token.dataset.i);
    showTip(event, `log-prob ${minus(cell.logp[i].toFixed(2))}` + (cell.before ? `, before training ${minus(cell.before[i].toFixed(2))} (${signed(cell.logp[i] - cell.before[i])})` : ""));
  });
  box.addEventListener("pointerleave", event => showTip(event, ""));
  fill();
  const scored = data.samples.some(g => g.columns.some(c => c.cells.some(x => x.before)));
  return section("samples", "Samples", el("p", {}, "The first answer of each network to the same prompts."),
    el("div", { class: "tools" }, data.samples.length > 1 ? which : null, filter, scored ? order : null, count, scored ? el("span", { class: "key" }, "less likely", el("i", {}), "more likely than before training (±2 nats)") : null), head, box, more);
}
