// The page of a robustness benchmark: drifts × severities.

const OVER = 100;

// What a heat map shows: `value` of a condition's result, how it is written, and where its colour is strongest.
const MAPS = [
  { title: "overkill gained, points", words: "good images rejected under drift and not without, minus the reverse; share of all",
    value: (result) => change(result, "overkill"), text: (value) => signed(OVER * value, 1), strong: (value) => 2 * value,
    detail: (result) => detail(result, "overkill", 1) },
  { title: "recall lost, points", words: "defective images missed under drift and not without, minus the reverse; share of all",
    value: (result) => negative(change(result, "recall")), text: (value) => signed(OVER * value, 1), strong: (value) => 2 * value,
    detail: (result) => detail(result, "recall", -1) },
  { title: "image AUROC", words: "whatever the threshold; 0.5 is chance",
    value: (result) => result.levels.image_auroc.value, text: (value) => value.toFixed(3), strong: (value) => 2 * (1 - value),
    detail: (result) => levelText("image_auroc", result.levels.image_auroc) },
];

const negative = (value) => (known(value) ? -value : null);

// Never "−0.0".
function minus(value, digits) {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? (0).toFixed(digits) : text.replace("-", "−");
}

function signed(value, digits) {
  const text = minus(value, digits);
  return value > 0 && Number(text) !== 0 ? `+${text}` : text;
}

function change(result, name) {
  const found = result.changes[name];
  return found ? found.difference : null;
}

function levelText(name, metric) {
  if (!known(metric.value)) return `not defined: ${metric.reason}`;
  const interval = metricInterval(name, metric);
  return `${metricValue(name, metric)}${interval ? ` (95 %: ${interval})` : ""}`;
}

function points(interval, way, factor = OVER, digits = 1) {
  if (!interval) return "";
  const ends = way > 0 ? interval : [-interval[1], -interval[0]];
  return ` (95 %: ${ends.map((end) => signed(factor * end, digits)).join(" … ")})`;
}

function detail(result, name, way) {
  const found = result.changes[name];
  if (!found || !known(found.difference)) return `not defined: ${found ? found.reason : "no drift"}`;
  const p = known(found.p) ? `, p = ${short(found.p, 2)}` : "";
  return `${signed(way * OVER * found.difference, 1)} points${points(found.interval, way)}${p}, n = ${counted(found.n)}; ` +
    `now ${levelText(name, result.levels[name])}`;
}

// The colour says how much, the text says the number. Weak enough that text is read on it, by day and by night.
function shade(node, share, colour = "--defective") {
  const strength = Math.max(0, Math.min(1, share));
  node.style.background = `color-mix(in srgb, var(${colour}) ${Math.round(50 * strength)}%, transparent)`;
}

function heatMap(map, rows, severities, resultOf) {
  const cell = (drift, severity) => {
    const result = resultOf(drift, severity);
    const value = result ? map.value(result) : null;
    if (!known(value)) return el("td", { class: "heat", title: result ? map.detail(result) : null }, "–");
    const node = el("td", { class: "heat", title: `${drift} ${severity}: ${map.detail(result)}`, "data-number": String(value) },
      map.text(value));
    shade(node, map.strong(value));
    return node;
  };
  return el("figure", { class: "chart", role: "group", "aria-label": map.title },
    el("h3", {}, map.title),
    el("table", { class: "drifts" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "drift"),
        severities.map((severity) => el("th", { class: "heat", scope: "col" }, String(severity))))),
      el("tbody", {}, rows.map((drift) => el("tr", {}, el("th", { scope: "row" }, drift),
        severities.map((severity) => cell(drift, severity)))))),
    el("p", { class: "quiet" }, map.words));
}

function heatMaps(data) {
  const names = data.categories.map((category) => category.name);
  const several = names.length > 1;
  const place = el("div", {});
  const at = new Map(data.conditions.map((condition) => [`${condition.drift} ${condition.severity}`, condition]));
  const choose = (index) => {
    const category = several && index > 0 ? names[index - 1] : null;
    const resultOf = (drift, severity) => {
      const condition = at.get(`${drift} ${severity}`);
      return condition && (category === null ? condition : condition.categories[category]);
    };
    place.replaceChildren(el("div", { class: "heat-maps" },
      MAPS.map((map) => heatMap(map, data.drifts, data.severities, resultOf))));
  };
  const tabs = chooser("category", several ? ["mean over the categories", ...names] : [names[0]], choose);
  return section("Drift × severity", tabs, place,
    el("p", { class: "quiet" }, "Colours are strongest from 50 points, and from an " +
      "AUROC of 0.5, on. Point at a number for its interval and how many images it rests on; robustness.csv has them all."));
}

function summaryTable(data) {
  const rows = [
    ["retained", "of (recall − overkill), mean over the conditions ÷ without drift", OVER, " %", 1],
    ["balanced_accuracy_lost", "mean over the conditions; half of the next two together", OVER, " points", 1],
    ["overkill_gained", "mean over the conditions", OVER, " points", 1],
    ["recall_lost", "mean over the conditions", OVER, " points", 1],
    ["image_auroc", "mean over the conditions", 1, "", 3],
  ].map(([name, words, factor, unit, digits]) => {
    const metric = data.summary[name];
    const ends = metric.interval ? metric.interval.map((end) => minus(factor * end, digits)).join(" … ") : "";
    return [metricName(name), el("span", { "data-summary": name, "data-number": String(metric.value) },
      known(metric.value) ? `${minus(factor * metric.value, digits)}${unit}` : "–"), ends,
    known(metric.value) ? words : `not defined: ${metric.reason}`];
  });
  return plainTable([{ title: "" }, { title: "value", numeric: true }, { title: "95 %", numeric: true }, { title: "" }],
    rows, { class: "metrics" });
}

function headline(data) {
  const clean = data.conditions[0];
  const worst = data.summary.worst;
  return section("Summary", summaryTable(data), facts([
    ["without drift", `overkill ${levelText("overkill", clean.levels.overkill)}; recall ${levelText("recall", clean.levels.recall)}; ` +
      `image AUROC ${levelText("image_auroc", clean.levels.image_auroc)}`],
    ["worst condition", worst && `${worst.drift} ${worst.severity}: overkill ${percent(worst.overkill)}, recall ` +
      `${percent(worst.recall)}, image AUROC ${fixed(worst.image_auroc)}`],
  ]));
}

const VERDICTS = { better: "▲ better", worse: "▼ worse" };

function differenceCells(name, found) {
  const rate = name !== "image_auroc";
  const plain = (value) => (rate ? percent(value) : fixed(value));
  const difference = known(found.difference) ? (rate ? `${signed(OVER * found.difference, 1)} points` : signed(found.difference, 3)) : "–";
  const ends = found.interval ? found.interval.map((end) => (rate ? signed(OVER * end, 1) : signed(end, 3))).join(" … ") : "–";
  return [plain(found.a), plain(found.b), el("span", { "data-number": String(found.difference) }, difference), ends,
    el("span", { class: `verdict ${found.verdict.replace(" ", "-")}` }, VERDICTS[found.verdict] || found.verdict)];
}

function comparisonSection(comparison, data) {
  const columns = [{ title: "" }, { title: "A", numeric: true }, { title: "B", numeric: true },
    { title: "B − A", numeric: true }, { title: "95 %", numeric: true }, { title: "B is" }];
  const rows = [
    ...["overkill", "recall"].map((name) => [`${name} under drift, at equal recall without drift`, ...differenceCells(name, comparison.matched[name])]),
    ...["overkill", "recall"].map((name) => [`${name} under drift, at the frozen thresholds`, ...differenceCells(name, comparison.frozen[name])]),
    ...["overkill", "recall", "image_auroc"].map((name) => [`${metricName(name)} without drift`, ...differenceCells(name, comparison.clean[name])]),
  ];
  const at = new Map(comparison.conditions.map((one) => [`${one.drift} ${one.severity}`, one]));
  const drifts = data.drifts.filter((drift) => comparison.conditions.some((one) => one.drift === drift));
  const of = (part, name) => (drift, severity) => {
    const one = at.get(`${drift} ${severity}`);
    return one ? one[part][name] : null;
  };
  const maps = [["matched", "overkill", "overkill, B − A, points, at equal recall without drift"],
    ["matched", "recall", "recall, B − A, points, at equal recall without drift"],
    ["frozen", "overkill", "overkill, B − A, points, at the frozen thresholds"]].map(([part, name, title]) =>
    differenceMap(title, drifts, data.severities, of(part, name), name));
  return section("Compared", facts([["A", `${comparison.a.name} (${comparison.a.model})`], ["B", `${comparison.b.name} (${comparison.b.model})`]]),
    el("ul", { class: "verdicts" }, comparison.answer.map((sentence) => el("li", {}, sentence))),
    plainTable(columns, rows, { class: "metrics compared" }),
    el("div", { class: "heat-maps" }, maps),
    comparison.notes.length > 0 && el("ul", {}, comparison.notes.map((note) => el("li", {}, note))),
    el("p", { class: "quiet" }, "Equal recall: in each category, both runs get the highest threshold that finds as many of the " +
      "defective images without drift as A's calibrated one does: " + comparison.matching.map((one) =>
      `${one.category} ${one.k} of ${one.n}`).join(", ") + ". These thresholds are chosen on the test images and are none for a line."));
}

function differenceMap(title, drifts, severities, of, name) {
  const good = name === "overkill" ? -1 : 1;
  const cell = (drift, severity) => {
    const found = of(drift, severity);
    if (!found || !known(found.difference)) return el("td", { class: "heat", title: found && found.reason }, "–");
    const node = el("td", { class: "heat", "data-number": String(found.difference),
      title: `${drift} ${severity}: A ${percent(found.a)}, B ${percent(found.b)}${points(found.interval, 1)}; ${found.verdict}` },
    `${{ better: "▲ ", worse: "▼ " }[found.verdict] || ""}${signed(OVER * found.difference, 1)}`);
    shade(node, 4 * Math.abs(found.difference), good * found.difference > 0 ? "--good" : "--defective");
    return node;
  };
  return el("figure", { class: "chart", role: "group", "aria-label": title }, el("h3", {}, title),
    el("table", { class: "drifts" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "drift"),
        severities.map((severity) => el("th", { class: "heat", scope: "col" }, String(severity))))),
      el("tbody", {}, drifts.map((drift) => el("tr", {}, el("th", { scope: "row" }, drift),
        severities.map((severity) => cell(drift, severity)))))));
}

function conditionTable(data) {
  const rows = data.conditions;
  const number = (title, value, text) => ({ title, numeric: true, value, cell: (row) => (known(value(row)) ? text(value(row)) : "–") });
  const level = (name) => ({ title: `${metricName(name)} (95 %)`, numeric: true, value: (row) => row.levels[name].value,
    cell: (row) => (known(row.levels[name].value)
      ? `${metricValue(name, row.levels[name])} (${metricInterval(name, row.levels[name]) || "–"})` : "–") });
  return dataTable([
    { title: "drift", value: (row) => row.drift || "", cell: (row) => row.drift || "(clean)" },
    number("severity", (row) => row.severity, String),
    level("overkill"),
    level("recall"),
    level("image_auroc"),
    number("balanced accuracy", (row) => row.balanced_accuracy, fixed),
    number("good", (row) => row.n_good, String),
    number("defective", (row) => row.n_defective, String),
    number("errors", (row) => row.errors, String),
  ], rows, { label: "conditions", height: Math.min(520, 44 + ROW_HEIGHT * rows.length) }).node;
}

function robustPage(page) {
  const data = block("robustness");
  const worst = block("worst");
  const total = (name) => data.categories.reduce((sum, category) => sum + category[name], 0);
  page.append(...[
    el("header", { class: "top" }, el("h1", {}, `${data.run.name} under drift`),
      facts([["model", data.run.model], ["dataset", data.dataset + (data.own_images ? "" : " (not the run's own test images)")],
        ["categories", data.categories.length], ["images", `${total("n_good")} good, ${total("n_defective")} defective`],
        ["conditions", `${data.drifts.length} drifts × ${data.severities.length} severities`], ["seed", data.seed],
        ["limit", data.limit]], true),
      data.n_errors > 0 && el("p", { class: "warning" }, `${plural(data.n_errors, "score")} missing; see below.`),
      data.notes.map((note) => el("p", { class: "remark" }, note))),
    headline(data),
    data.comparison && comparisonSection(data.comparison, data),
    heatMaps(data),
    worst && section(`Worst condition: ${data.summary.worst.drift} ${data.summary.worst.severity}`,
      el("p", { class: "quiet" }, "Images that it turns wrong: without drift on the left, with its score and the threshold; drifted on the right."),
      el("div", { class: "scroll" }, el("img", { src: `data:image/png;base64,${worst}`, alt: "images of the worst condition" }))),
    section("All conditions", conditionTable(data)),
    data.errors.length > 0 && section("Errors", el("ul", { class: "errors" }, data.errors.map((error) =>
      el("li", {}, `${error.drift === null ? "clean" : `${error.drift} ${error.severity}`}, ${error.category}, ${error.image}: `,
        el("span", { class: "failed" }, error.error)))),
    data.n_errors > data.errors.length && el("p", { class: "quiet" }, `and ${data.n_errors - data.errors.length} more`)),
  ].filter(Boolean));
}

robustPage(document.getElementById("page"));
