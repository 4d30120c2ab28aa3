// Talks with a network of a run beside the one it was trained from. Enter sends, Esc stops, the rest is typed as in the terminal.

const CHAT_KEYS = "Enter sends, Shift+Enter begins a line, Esc stops. Typed: /again answers the last turn with the next seed, /undo takes it back, /clear begins anew, /system TEXT does under another system prompt.";
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** The page of one stage; `get` fetches JSON, `home` is the way back. */
async function chat(run, stage, get, home) {
  const app = document.getElementById("app");
  const speakers = await get("/api/chat/" + run);
  document.title = "chat";
  // the parent first, as in the samples: what training changed stands at the right
  const own = { stage }, sides = [own];
  const told = async side => { try { side.about = await get(`/api/chat/${run}/${side.stage}`); } catch (error) { side.wrong = error.message; } };
  await told(own);
  const above = own.about ? own.about.parent : speakers.find(s => s.name === stage)?.parent;
  if (above) { sides.unshift({ stage: above }); await told(sides[0]); }
  /** Turns of the user: { text, answers: one a side, row: what shows them }. */
  const turns = [];
  let stop = null;

  const field = (id, label, attributes) => el("label", {}, label, el("input", { id, type: "number", ...attributes }));
  const number_of = id => Number(document.getElementById(id).value);
  const system = el("textarea", { id: "system", rows: "1", placeholder: "system prompt", "aria-label": "system prompt", spellcheck: "false" });
  const input = el("textarea", { id: "say", rows: "2", "aria-label": "what to say", placeholder: "say something" });
  const send = el("button", { id: "send", onclick: () => entered() }, "send"), halt = el("button", { id: "stop", hidden: true, onclick: () => stop?.abort() }, el("kbd", {}, "esc"), " stop");
  const again = el("button", { id: "again", onclick: () => command("/again") }, "again"), clear = el("button", { id: "clear", onclick: () => command("/clear") }, "clear");
  const state = el("p", { class: "byline", role: "status", id: "state" }), log = el("div", { class: "turns", id: "turns", role: "log", "aria-live": "off" });
  const choose = el("select", { id: "stage", "aria-label": "network", onchange: () => location.assign(`/chat/${run}/${choose.value}`) }, (speakers.some(s => s.name === stage) ? speakers : [{ name: stage }, ...speakers]).map(s => el("option", { value: s.name, selected: s.name === stage }, s.name)));

  const about = side => el("div", {}, el("h3", {}, side.stage, side === own ? "" : el("small", {}, " its parent")),
    side.wrong ? el("p", { class: "bad small" }, side.wrong) : el("p", { class: "small" }, side.about.template ? "" : "has no chat template: it continues the text, one turn after the other · ", `${compact.format(side.about.parameters)} parameters, ${side.about.positions} tokens of context`));
  const heads = el("div", { class: "heads", style: `--columns:${sides.length}` }, sides.map(about));

  /** What a side has heard and said before a turn, in its own words. */
  const heard = (at, side) => {
    const said = system.value.trim() ? [{ role: "system", content: system.value }] : [];
    for (const turn of turns.slice(0, at)) if (turn.answers[side].done) said.push({ role: "user", content: turn.text }, { role: "assistant", content: turn.answers[side].text });
    return [...said, { role: "user", content: turns[at].text }];
  };

  /** Lets one side answer a turn; its text grows as it comes. */
  async function answer(at, side, seed) {
    const cell = turns[at].answers[side];
    const body = JSON.stringify({ messages: heard(at, side), temperature: number_of("temperature"), max_tokens: number_of("max-tokens"), seed });
    try {
      const reply = await fetch(`/api/chat/${run}/${sides[side].stage}`, { method: "POST", credentials: "same-origin", headers: { "Content-Type": "application/json" }, body, signal: stop.signal });
      if (!reply.ok) throw new Error((await reply.json().catch(() => ({}))).error || reply.statusText);
      const from = reply.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await from.read();
        if (done) break;
        const events = (rest + value).split("\n\n");
        rest = events.pop();
        for (const event of events) hear(cell, JSON.parse(event.slice("data: ".length)));
      }
      if (!cell.done && !cell.wrong) throw new Error("the server ended before the answer did");
    } catch (error) {
      if (error.name === "AbortError") { cell.done = { stopped: true }; hear(cell, {}); }
      else hear(cell, { error: error.message });
    }
  }
  function hear(cell, event) {
    if (event.text !== undefined) { cell.text += event.text; cell.body.append(event.text); cell.note.textContent = ""; }
    else if (event.state) cell.note.textContent = event.state === "loads" ? "is being loaded …" : "waits until another answer is finished …";
    else if (event.error) { cell.wrong = event.error; cell.note.textContent = event.error; cell.note.className = "note bad"; }
    else {
      if (event.done) cell.done = event.done;
      const { tokens, seconds, finished, full, stopped } = cell.done, cut = full ? "the context is full" : stopped ? "stopped" : finished ? "" : "cut at its length";
      cell.note.textContent = [tokens === undefined ? "" : `${tokens} token${tokens === 1 ? "" : "s"} in ${duration(seconds)}`, `seed ${cell.seed}`, cut].filter(Boolean).join(" · ");
    }
    follow();
  }
  const low = () => document.documentElement.scrollHeight - innerHeight - scrollY < 160;
  let near = true;
  const follow = () => { if (near) scrollTo(0, document.documentElement.scrollHeight); };
  addEventListener("scroll", () => { near = low(); }, { passive: true });

  /** Lets every side answer the last turn, one after the other. */
  async function speak() {
    const at = turns.length - 1, turn = turns[at], seed = number_of("seed");
    turn.answers = sides.map(() => ({ text: "", seed, body: el("div", { class: "said" }), note: el("span", { class: "note" }) }));
    const row = el("div", { class: "turn" }, el("div", { class: "user" }, turn.text), el("div", { class: "cells", style: `--columns:${sides.length}` }, turn.answers.map((cell, i) => el("div", { class: "cell" }, el("span", { class: "who" }, sides[i].stage), cell.body, cell.note))));
    turn.row ? turn.row.replaceWith(row) : log.append(row);
    turn.row = row;
    stop = new AbortController();
    halt.hidden = false; send.disabled = again.disabled = clear.disabled = true;
    state.textContent = "";
    near = true;
    for (let side = 0; side < sides.length && !stop.signal.aborted; side++) {
      if (sides[side].wrong) hear(turn.answers[side], { error: sides[side].wrong }); else await answer(at, side, seed);
    }
    stop = null;
    halt.hidden = true; send.disabled = clear.disabled = again.disabled = false;
    // what nobody could answer is given back, to be said otherwise
    if (turn.answers.every(a => !a.done)) { row.classList.add("unsaid"); turns.pop(); input.value = input.value || turn.text; }
  }
  function command(text) {
    const [word, ...rest] = text.split(" ");
    state.textContent = "";
    if (word === "/clear") { turns.length = 0; log.replaceChildren(); }
    else if (word === "/system") { system.value = rest.join(" "); turns.length = 0; log.replaceChildren(); }
    else if (word === "/undo") turns.pop()?.row.remove();
    else if (word === "/again") {
      if (!turns.length) state.textContent = "There is nothing to answer yet.";
      else { document.getElementById("seed").value = number_of("seed") + 1; return speak(); }
    }
    else state.textContent = `${word} is no command.`;
  }
  function entered() {
    const text = input.value.replace(/\s+$/, "");
    if (stop || !text) return;
    input.value = "";
    log.querySelectorAll(".unsaid").forEach(row => row.remove());
    if (text.startsWith("/")) return command(text);
    turns.push({ text });
    return speak();
  }
  input.addEventListener("keydown", event => { if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); entered(); } });
  addEventListener("keydown", event => { if (event.key === "Escape" && stop) { event.preventDefault(); stop.abort(); } });

  app.replaceChildren(el("nav", { class: "bar" }, el("div", {}, home(), el("a", { href: "/run/" + run }, "run"), el("span", { class: "space" }), el("label", {}, "network ", choose))),
    el("main", { class: "chat" }, heads,
      el("div", { class: "tools" }, field("temperature", "temperature ", { value: "0.7", min: "0", max: "100", step: "0.1" }), field("max-tokens", "tokens ", { value: "256", min: "1", max: "4096" }), field("seed", "seed ", { value: "0", min: "0" }), system),
      log, el("div", { class: "composer" }, input, el("div", { class: "answers" }, send, halt, again, clear), state, el("p", { class: "small keys" }, CHAT_KEYS))));
  input.focus();
}
