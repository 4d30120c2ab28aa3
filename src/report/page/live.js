// Follows a server: the list of runs, one run as it goes, two runs beside each other.

(() => {
  const settings = document.getElementById("settings");
  if (!settings) return;
  const app = document.getElementById("app"), parts = location.pathname.split("/").slice(1);
  const get = async path => {
    const answer = await fetch(path, { credentials: "same-origin" });
    const data = await answer.json().catch(() => ({ error: answer.statusText }));
    if (!answer.ok) throw new Error(data.error || answer.statusText);
    return data;
  };
  const wrong = error => app.replaceChildren(el("main", {}, el("h1", {}, "This cannot be shown"), el("p", {}, String(error.message || error)), el("p", {}, el("a", { href: "/" }, "all runs"))));
  const home = () => el("a", { href: "/", title: "all runs (h)" }, "← runs");
  addEventListener("keydown", e => { if (e.key === "h" && !/^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName)) location.assign("/"); });

  /** Calls `draw` now and whenever what is followed has grown, never more often than it takes to draw. */
  function follow(path, draw) {
    let busy = false, again = false;
    const go = async () => {
      if (busy) { again = true; return; }
      busy = true;
      const began = performance.now();
      try { await draw(); } catch (error) { wrong(error); source.close(); return; }
      setTimeout(() => { busy = false; if (again) { again = false; go(); } }, Math.max(800, 3 * (performance.now() - began)));
    };
    const source = new EventSource(path);
    source.onmessage = event => { go(); if (JSON.parse(event.data).ended && path !== "/api/follow") source.close(); };
    source.onerror = () => document.getElementById("lost")?.removeAttribute("hidden");
    source.onopen = () => document.getElementById("lost")?.setAttribute("hidden", "");
  }

  async function list() {
    const runs = await get("/api/runs"), sheets = await get("/api/ask"), chosen = new Set(JSON.parse(sessionStorage.chosen || "[]"));
    document.title = "runs";
    const compare = el("button", { id: "compare", disabled: chosen.size !== 2, onclick: () => { const [a, b] = [...chosen].sort(); location.assign(`/compare/${a}/${b}`); } }, "compare two");
    const filter = el("input", { type: "search", placeholder: "filter", "aria-label": "filter runs", id: "run-filter", value: sessionStorage.filter || "", oninput: () => { sessionStorage.filter = filter.value; fill(); } });
    const body = el("tbody", {});
    const mark = r => r.live ? el("span", {}, "● running") : r.exit === 0 ? el("span", { class: "good" }, "done") : r.exit === 130 ? "interrupted" : el("span", { class: "bad" }, "failed");
    const fill = () => body.replaceChildren(...runs.filter(r => !filter.value || (r.id + r.recipe + (r.title || "")).toLowerCase().includes(filter.value.toLowerCase())).map(r => {
      const box = el("input", { type: "checkbox", "aria-label": "choose " + r.id, onchange: () => { box.checked ? chosen.add(r.id) : chosen.delete(r.id); sessionStorage.chosen = JSON.stringify([...chosen]); compare.disabled = chosen.size !== 2; } });
      box.checked = chosen.has(r.id);
      return el("tr", { class: r.live ? "here" : null }, el("td", {}, box), el("td", {}, el("a", { href: "/run/" + r.id }, r.recipe)), el("td", {}, (r.started || "").replace("T", " ").replace(/-(\d\d)-(\d\d)Z$/, ":$1:$2")), el("td", {}, mark(r)), el("td", { class: "n" }, r.expected ? `${r.kept}/${r.expected}` : ""), el("td", { class: "n" }, duration(r.seconds)), el("td", {}, r.device || ""), el("td", { class: "mute" }, r.live ? r.stage || "" : r.tally?.limited_by ? "profile " + r.tally.limited_by : r.title || ""));
    }));
    fill();
    const page = el("div", { class: "runs" }, el("h1", {}, "Runs"), sheets.map((s, i) => el("p", { class: "sheet" }, el("a", { href: "/ask/" + i }, s.sheet), s.open ? ` asks you ${s.open} question${s.open === 1 ? "" : "s"}` : " asks nothing")), el("div", { class: "tools" }, filter, compare, el("span", { id: "lost", hidden: true, class: "bad" }, "the server does not answer")),
      runs.length ? el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ["", "recipe", "started", "state", "expected", "time", "device", ""].map(h => el("th", {}, h)))), body)) : el("p", {}, "No recipe of this folder has run yet."));
    const focused = document.activeElement?.id;
    app.replaceChildren(page);
    if (focused) document.getElementById(focused)?.focus();
  }

  /** The stages of a run that can be talked to; asked again when another one has been made. */
  async function speaking(data) {
    const made = data.stages.filter(s => s.state === "made" || s.state === "cached").length;
    if (speaking.made !== made) { speaking.made = made; speaking.all = await get("/api/chat/" + data.run.id).catch(() => []); }
    return speaking.all;
  }

  async function one(id) {
    const data = await get("/api/run/" + id), speakers = await speaking(data), top = scrollY;
    const to = name => `/chat/${id}/${name}`, last = speakers.findLast(s => s.made);
    stageBox.more = name => speakers.some(s => s.name === name) && el("p", {}, el("a", { href: to(name), class: "talk" }, "talk with " + name));
    window.current = data;
    document.title = data.run.recipe + (data.run.live ? " …" : "");
    const typed = ["sample-filter", "worst-filter"].map(i => [i, document.getElementById(i)?.value]);
    app.replaceChildren(...report(data, [home(), last && el("a", { href: to(last.name), id: "talk" }, "chat"), el("span", { id: "lost", hidden: true, class: "bad" }, "the server does not answer")]).flat());
    for (const [i, value] of typed) { const box = document.getElementById(i); if (box && value) { box.value = value; box.dispatchEvent(new Event("input")); } }
    scrollTo(0, top);
  }

  async function two(a, b) {
    const { before, now, differences } = await get(`/api/compare/${a}/${b}`);
    document.title = "two runs";
    const kinds = el("div", { class: "scroll" }, el("table", {}, el("tr", {}, ["", "", "what", "before", "now", ""].map(h => el("th", {}, h))), differences.map(d => el("tr", {}, el("td", { class: d.worse ? "bad" : "mute" }, d.worse ? "worse" : "changed"), el("td", {}, d.kind), el("td", {}, d.name), el("td", {}, d.before), el("td", {}, d.now), el("td", { class: "mute" }, d.what)))));
    const stages = new Map(before.curves.map(c => [c.stage, c]));
    const panels = now.curves.filter(c => stages.has(c.stage)).map(c => {
      const other = stages.get(c.stage), names = Object.keys(c.series).filter(n => !/95$/.test(n) && !QUIET.has(n) && other.series[n]).sort((x, y) => rank(x) - rank(y));
      return [el("h3", {}, c.stage), el("div", { class: "multiples" }, names.map(n => curves({ title: n, series: [["before", other], ["now", c]].map(([name, r], i) => ({ name, x: r.steps, y: r.series[n], low: r.series[n + ".lower95"], high: r.series[n + ".upper95"], colour: colour(1 - i) })) })))];
    });
    figures = 0;
    app.replaceChildren(el("nav", { class: "bar" }, el("div", {}, home(), el("a", { href: "/run/" + a }, "before"), el("a", { href: "/run/" + b }, "now"))), el("header", { class: "top" }, el("h1", {}, "Two runs"), el("p", { class: "byline" }, `${a} → ${b}`)),
      el("main", { id: "report" }, section("changes", "What changed", differences.length ? kinds : el("p", {}, "Nothing that counts has changed.")), panels.length ? section("training", "Training", figure(panels, "The same stages in both runs: blue now, orange before.")) : ""));
  }

  /** The questions of a sheet one by one: a digit answers, `s` puts a question off. */
  async function ask(at) {
    const { sheet, rater, answers, questions } = await get("/api/ask/" + at);
    document.title = sheet;
    let done = 0, busy = false;
    const text = el("pre", { class: "question", id: "question", tabindex: "0" }), state = el("p", { class: "byline", role: "status", id: "state" });
    const send = async answer => {
      if (busy || !questions.length) return;
      busy = true;
      try {
        const reply = await fetch("/api/ask/" + at, { method: "POST", credentials: "same-origin", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ question: questions[0], answer }) });
        const data = await reply.json().catch(() => ({ error: reply.statusText }));
        // 409: answered meanwhile, by others or in another window
        if (!reply.ok && reply.status !== 409) throw new Error(data.error || reply.statusText);
        questions.shift();
        if (reply.ok) done++;
        next();
      } catch (error) { state.textContent = `Not written: ${error.message}`; state.classList.add("bad"); }
      busy = false;
    };
    const skip = () => { if (!busy && questions.length) { questions.push(questions.shift()); next(); } };
    const buttons = el("div", { class: "answers", role: "group", "aria-label": "answers" }, answers.map((answer, i) => el("button", { onclick: () => send(answer) }, i < 9 ? el("kbd", {}, i + 1) : "", " " + answer)), el("button", { class: "plain", onclick: skip }, el("kbd", {}, "s"), " skip"));
    const next = () => {
      state.classList.remove("bad");
      state.textContent = `${done} answered, ${questions.length} left`;
      text.textContent = questions[0] ?? "Nothing waits for an answer. Run the recipe again.";
      text.scrollTop = 0;
      buttons.hidden = !questions.length;
    };
    addEventListener("keydown", e => {
      if (e.ctrlKey || e.metaKey || e.altKey || e.repeat || document.querySelector("dialog[open]")) return;
      if (/^[1-9]$/.test(e.key) && answers[e.key - 1] !== undefined) send(answers[e.key - 1]);
      else if (e.key === "s") skip();
    });
    app.replaceChildren(el("nav", { class: "bar" }, el("div", {}, home())), el("header", { class: "top" }, el("h1", {}, sheet), el("p", { class: "byline" }, "answered by " + rater)), el("main", { class: "ask" }, text, buttons, state));
    next();
    text.focus();
  }

  if (parts[0] === "chat") chat(parts[1], parts[2], get, home).catch(wrong);
  else if (parts[0] === "ask") ask(parts[1]).catch(wrong);
  else if (parts[0] === "run") follow("/api/follow/" + parts[1], () => one(parts[1]));
  else if (parts[0] === "compare") two(parts[1], parts[2]).catch(wrong);
  else follow("/api/follow", list);
})();
