"use strict";
// Elements, numbers, statistics. Text from the data only ever becomes text nodes and attribute values.

const SVG = "http://www.w3.org/2000/svg";

function make(space, tag, attributes, children) {
  const element = space ? document.createElementNS(space, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}
const el = (tag, attributes, ...children) => make(null, tag, attributes, children);
const svg = (tag, attributes, ...children) => make(SVG, tag, attributes, children);

// numbers that JSON has no word for
const BEYOND = { nan: NaN, inf: Infinity, "-inf": -Infinity };
/** Four significant digits at most; small and large numbers by powers of ten. */
function number(x, digits = 4) {
  if (x?.$float) x = BEYOND[x.$float];
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size < 1e-3 || size >= 1e6) {
    const [m, e] = x.toExponential(Math.min(digits - 1, 2)).split("e");
    return minus(String(Number(m))) + "·10" + superscript(Number(e));
  }
  return minus(String(Number(x.toPrecision(digits))));
}
const minus = text => text.replace("-", "−");
const superscript = n => String(n).replace(/./g, c => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] || (c === "-" ? "⁻" : ""));
const percent = x => x === null || x === undefined || Number.isNaN(x) ? "–" : minus((100 * x).toFixed(Math.abs(x) < 0.0995 && x !== 0 ? 1 : 0)) + " %";
const isEstimate = v => v && typeof v === "object" && "lower95" in v && "mean" in v;
function duration(s) {
  if (s === null || s === undefined) return "";
  if (s < 10) return s.toFixed(1) + " s";
  if (s < 60) return Math.round(s) + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + Math.round(s % 60) + " s";
  return Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min";
}
function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (n >= 1024 && at < 4) { n /= 1024; at++; }
  return (at ? n.toFixed(1) : n) + " " + units[at];
}
/** A value with its interval, as text. */
function shown(v, digits = 4) {
  if (v === null || v === undefined) return "–";
  if (isEstimate(v)) return Number.isFinite(v.lower95) && Number.isFinite(v.upper95) ? `${number(v.mean, digits)} [${number(v.lower95, 3)}, ${number(v.upper95, 3)}]` : number(v.mean);
  if (typeof v === "number") return number(v);
  return typeof v === "string" ? v : JSON.stringify(v);
}
const binding = stage => stage.split(".")[0];
const finite = x => typeof x === "number" && Number.isFinite(x);
const sum = xs => xs.reduce((a, b) => a + b, 0);
const mean = xs => sum(xs) / xs.length;
const Z = 1.959963984540054;

function extent(xs) {
  let low = Infinity, high = -Infinity;
  for (const x of xs) if (finite(x)) { if (x < low) low = x; if (x > high) high = x; }
  return low > high ? null : [low, high];
}
function quantile(sorted, q) {
  const at = q * (sorted.length - 1), low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}
/** Wilson's interval of a share over n cases. */
function wilson(share, n) {
  const z2 = Z * Z / n, centre = (share + z2 / 2) / (1 + z2), half = Z / (1 + z2) * Math.sqrt(share * (1 - share) / n + z2 / (4 * n));
  return { mean: share, n, lower95: share === 0 ? 0 : centre - half, upper95: share === 1 ? 1 : centre + half };
}
/** A share of cases that come in groups (samples of a prompt): Wilson over the effective number of cases. */
function groupedShare(values, groups) {
  const n = values.length, share = mean(values), off = new Map();
  if (!n) return null;
  values.forEach((x, i) => off.set(groups[i], (off.get(groups[i]) || 0) + x - share));
  const count = off.size, alone = share * (1 - share);
  const spread = sum([...off.values()].map(x => x * x)) / (n * n) * count / Math.max(count - 1, 1);
  const effective = count === n ? n : alone === 0 ? count : Math.min(Math.max(alone / spread, 1), n);
  return { ...wilson(share, effective), n };
}
/** The mean of paired differences, whole groups being one draw each. */
function paired(now, before) {
  const groups = new Map();
  let pairs = 0;
  for (const [key, cell] of now) {
    const other = before.get(key);
    if (other === undefined) continue;
    const group = groups.get(cell.group) || groups.set(cell.group, []).get(cell.group);
    group.push(cell.value - other.value);
    pairs++;
  }
  if (groups.size < 2) return null;
  const all = [...groups.values()], middle = sum(all.flat()) / pairs;
  const spread = sum(all.map(g => sum(g.map(x => x - middle)) ** 2)) * all.length / (all.length - 1) / (pairs * pairs);
  const half = Z * Math.sqrt(spread);
  return { mean: middle, n: pairs, lower95: middle - half, upper95: middle + half };
}

const tip = el("div", { class: "tip", hidden: true, role: "status" });
function showTip(event, text) {
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const box = tip.getBoundingClientRect(), x = event.clientX ?? 0, y = event.clientY ?? 0;
  tip.style.left = Math.max(4, Math.min(x + 12, innerWidth - box.width - 8)) + "px";
  tip.style.top = (y + 16 + box.height > innerHeight ? y - box.height - 10 : y + 16) + "px";
}
/** A figure with its number and caption. */
let figures = 0;
function figure(content, ...caption) {
  figures++;
  return el("figure", { id: "figure-" + figures }, content, el("figcaption", {}, el("b", {}, `Figure ${figures}. `), ...caption));
}
function section(id, title, ...children) {
  return el("section", { id, "aria-labelledby": id + "-title", tabindex: "-1" }, el("h2", { id: id + "-title" }, title), ...children);
}
