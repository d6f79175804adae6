// Elements, numbers as text, and the data blocks of the page.
// Text from outside (names of files, errors) only ever becomes text nodes.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

// The JSON of <script type="application/json" id="…">; null where the page has no such block.
function block(id) {
  const node = document.getElementById(id);
  return node === null ? null : JSON.parse(node.textContent);
}

function known(value) {
  return value !== null && value !== undefined;
}

// A number for people: `digits` significant digits, never more text than needed.
function short(value, digits = 6) {
  if (!known(value)) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e12) return String(value);
  const text = value.toPrecision(digits);
  return text.includes("e") ? text : String(Number(text));
}

function fixed(value, digits = 3) {
  return known(value) ? value.toFixed(digits) : "–";
}

function percent(value, digits = 1) {
  return known(value) ? `${(100 * value).toFixed(digits)} %` : "–";
}

function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

const RATES = new Set(["overkill", "escape", "precision", "recall", "f1", "review_good", "review_defective"]);
const METRIC_WORDS = { auroc: "AUROC", ap: "AP", f1max: "F1max", aupro: "AUPRO", spro: "sPRO", segf1: "SegF1", f1: "F1",
  fpr: "FPR", au: "AU-" };

// "pixel_aupro_0.05" → "pixel AUPRO 0.05"
function metricName(name) {
  return name.split("_").map((word) => METRIC_WORDS[word] || word).join(" ").replace("AU- ", "AU-");
}

function metricValue(name, metric) {
  if (!metric || !known(metric.value)) return "–";
  return RATES.has(name) || /recall|fpr_at/.test(name) ? percent(metric.value) : fixed(metric.value);
}

function metricInterval(name, metric) {
  if (!metric || !metric.interval) return "";
  const [low, high] = metric.interval;
  if (RATES.has(name) || /recall|fpr_at/.test(name)) return `${(100 * low).toFixed(1)}–${(100 * high).toFixed(1)} %`;
  return `${fixed(low)}–${fixed(high)}`;
}

// {"good": 100, "defective": 20} → "100 good, 20 defective"
function counted(n) {
  return Object.entries(n || {}).map(([what, count]) => `${count} ${what.replace(/_/g, " ")}`).join(", ");
}

function section(title, ...children) {
  return el("section", {}, el("h2", {}, title), ...children);
}

// A list of terms and what they are; pairs without a value are left out.
function facts(pairs, inline = false) {
  const shown = pairs.filter(([, value]) => known(value) && value !== "");
  return el("dl", { class: inline ? "facts inline" : "facts" },
    shown.map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value))));
}

function plainTable(columns, rows, attributes = {}) {
  const cell = (tag, value, column) => el(tag, { class: column.numeric ? "numeric" : null }, value);
  return el("div", { class: "scroll" }, el("table", attributes,
    el("thead", {}, el("tr", {}, columns.map((column) => cell("th", column.title, column)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, columns.map((column, index) => cell("td", row[index], column)))))));
}

// Tabs for a few names, a list to choose from for many. `choose(index)` is called for the first one, too.
function chooser(label, names, choose) {
  if (names.length < 2) {
    choose(0);
    return null;
  }
  if (names.length > 8) {
    const select = el("select", { "aria-label": label, onchange: () => choose(select.selectedIndex) },
      names.map((name) => el("option", {}, name)));
    choose(0);
    return el("label", { class: "chooser" }, `${label} `, select);
  }
  const buttons = names.map((name, index) => el("button", { role: "tab", type: "button", onclick: () => pick(index) }, name));
  const pick = (index) => {
    buttons.forEach((button, at) => {
      button.setAttribute("aria-selected", String(at === index));
      button.tabIndex = at === index ? 0 : -1;
    });
    choose(index);
  };
  const bar = el("div", { role: "tablist", "aria-label": label, onkeydown: (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length;
    buttons[next].focus();
    pick(next);
  } }, buttons);
  pick(0);
  return bar;
}
