// Puts the sections together; keys; light and dark.

const SECTIONS = [["expectations", "Expectations", expectations], ["figures", "Figures", drawings], ["results", "Results", results], ["loops", "Sweeps", loops], ["graph", "Stages", graph], ["training", "Training", training], ["distributions", "Distributions", distributions], ["calibration", "Calibration", calibrations], ["samples", "Samples", samples], ["redteam", "Red team", redteam], ["recipe", "Recipe", recipe], ["provenance", "Provenance", provenance]];

function report(data, more = []) {
  figures = 0;
  const drawn = SECTIONS.map(([id, title, draw]) => [id, title, draw(data)]).filter(s => s[2]);
  const links = drawn.map(([id, title]) => el("a", { href: "#" + id, "data-to": id }, title));
  const theme = el("button", { class: "plain", title: "light or dark (t)", "aria-label": "light or dark", onclick: turn }, "◐");
  const help = el("button", { class: "plain", title: "keys (?)", "aria-label": "keys", onclick: keys }, "?");
  const page = [el("nav", { class: "bar", "aria-label": "sections" }, el("div", {}, more, links, el("span", { class: "space" }), theme, help)), summary(data), el("main", { id: "report" }, drawn.map(s => s[2])), el("div", { style: "height:5rem" })];
  const watcher = new IntersectionObserver(entries => entries.forEach(e => { if (e.isIntersecting) links.forEach(l => l.classList.toggle("here", l.dataset.to === e.target.id)); }), { rootMargin: "-15% 0px -75% 0px" });
  drawn.forEach(s => watcher.observe(s[2]));
  return page;
}

function turn() {
  const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}
function keys() {
  const box = el("dialog", { "aria-label": "keys" }, [["j k", "next and previous section"], ["/", "filter the samples"], ["t", "light or dark"], ["← →", "in a curve: step by step (shift: ten)"], ["enter", "on a box or a line of the recipe: what its stages were given"], ["esc", "close"]].map(([k, what]) => el("div", {}, el("kbd", {}, k), " " + what)), el("div", { style: "margin-top:.8rem" }, el("button", { onclick: () => box.close() }, "close")));
  document.body.append(box);
  box.addEventListener("close", () => box.remove());
  box.showModal();
}
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input:not([type=checkbox]), select, textarea") || document.querySelector("dialog[open]")) return;
  const all = [...document.querySelectorAll("main section")];
  if (event.key === "j" || event.key === "k") {
    const bar = 70, at = all.findIndex(s => s.getBoundingClientRect().top > bar), here = at < 0 ? all.length : at;
    const to = all[event.key === "j" ? here : Math.max(0, here - 2)] || all[all.length - 1];
    to?.scrollIntoView(); to?.focus({ preventScroll: true });
  } else if (event.key === "/") { const box = document.querySelector("#sample-filter, #worst-filter"); if (box) { event.preventDefault(); box.scrollIntoView({ block: "center" }); box.focus(); } }
  else if (event.key === "t") turn();
  else if (event.key === "?") keys();
  else if (event.key === "Escape" && window.current) select(window.current, null);
});
// what is folded would be missing on paper
addEventListener("beforeprint", () => document.querySelectorAll("main details:not(.worst)").forEach(d => { d.open = true; }));

document.body.append(tip);
const embedded = document.getElementById("data");
if (embedded) {
  window.current = JSON.parse(embedded.textContent);
  document.getElementById("app").append(...report(window.current).flat());
}
