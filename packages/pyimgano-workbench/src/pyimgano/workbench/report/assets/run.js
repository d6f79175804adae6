// The page of one run.

function header(run) {
  const { report, config, environment } = run;
  const packages = Object.entries(environment.packages || {}).map(([name, version]) => `${name} ${version}`).join(", ");
  return el("header", { class: "top" }, el("h1", {}, report.run || run.name),
    facts([["model", report.model], ["dataset", report.dataset], ["recipe", report.recipe], ["preset", report.preset],
      ["seed", report.seed], ["finished", report.finished], ["test images", report.n_test],
      ["device", environment.device]], true),
    (report.warnings || []).map((text) => el("p", { class: "warning" }, `Warning: ${text}`)),
    report.errors && report.errors.n > 0 && el("p", { class: "warning" },
      `${report.errors.n} of ${plural(report.n_test, "test image")} could not be scored; they are listed with their errors below.`),
    report.skipped > 0 && el("p", { class: "warning" }, `${plural(report.skipped, "unreadable training image")} left out.`),
    (report.notes || []).map((text) => el("p", { class: "quiet" }, text)),
    el("details", {}, el("summary", {}, "Config and environment"), el("h3", {}, "config.json"),
      el("pre", { "data-block": "config" }, JSON.stringify(config, null, 2)), el("h3", {}, "environment.json"),
      packages && el("p", { class: "quiet" }, packages), el("pre", {}, JSON.stringify(environment, null, 2))));
}

const OVERVIEW = ["image_auroc", "image_ap", "image_f1max", "overkill", "escape", "pixel_auroc", "pixel_ap", "pixel_aupro",
  "pixel_aupro_0.05", "pixel_segf1"];

function overview(report) {
  const names = OVERVIEW.filter((name) => report.categories.some((entry) => known((entry.metrics[name] || {}).value)));
  const columns = [{ title: "category" }, { title: "test images", numeric: true },
    ...names.map((name) => ({ title: metricName(name), numeric: true }))];
  const rows = report.categories.map((entry) => [entry.name, String(entry.n_test),
    ...names.map((name) => metricValue(name, entry.metrics[name]))]);
  const means = report.means || {};
  rows.push(["mean", String(report.n_test), ...names.map((name) => {
    const mean = means[name];
    const some = mean && mean.n_categories < mean.of ? ` (${mean.n_categories} of ${mean.of})` : "";
    return metricValue(name, mean) + some;
  })]);
  return section("All categories", plainTable(columns, rows, { class: "overview" }));
}

function metricTable(metrics) {
  const columns = [{ title: "metric" }, { title: "value", numeric: true }, { title: "95 % interval", numeric: true }, { title: "n" },
    { title: "how" }];
  const rows = Object.entries(metrics).map(([name, metric]) => {
    const how = [metric.reason, metric.interval_method, known(metric.limit) && /pro/.test(name) && `to FPR ${metric.limit}`,
      known(metric.threshold) && `at ≥ ${short(metric.threshold)}`, known(metric.inside) && `of ${metric.inside}`];
    return [metricName(name), el("span", { "data-metric": name, "data-number": String(metric.value) }, metricValue(name, metric)),
      metricInterval(name, metric), counted(metric.n), how.filter(Boolean).join(", ")];
  });
  return section("Metrics", plainTable(columns, rows, { class: "metrics" }));
}

// by_defect or by_group: {name: {n, metric: Metric, …}}
function breakdown(title, entries) {
  const names = Object.keys(entries || {});
  if (!names.length) return null;
  const keys = [...new Set(names.flatMap((name) => Object.keys(entries[name])))];
  const columns = [{ title: "" }, ...keys.map((key) => ({ title: key === "n" ? "n" : metricName(key), numeric: true }))];
  const cell = (key, value) => {
    if (!known(value)) return "–";
    if (typeof value !== "object") return String(value);
    const interval = metricInterval(key, value);
    return el("span", { title: value.reason || counted(value.n) }, metricValue(key, value),
      interval && el("span", { class: "quiet" }, ` (${interval})`));
  };
  return section(title, plainTable(columns, names.map((name) => [name, ...keys.map((key) => cell(key, entries[name][key]))])));
}

// What a recipe that trains says of it, and of the same test images before and after.
function training(finetune) {
  if (!finetune) return null;
  const columns = [{ title: "metric" }, { title: "before", numeric: true }, { title: "after", numeric: true },
    { title: "difference", numeric: true }, { title: "95 % interval", numeric: true }, { title: "verdict" }];
  const signed = (value) => (known(value) ? `${value > 0 ? "+" : ""}${value.toFixed(3)}` : "–");
  const plain = (value) => (known(value) ? value.toFixed(3) : "–");
  const rows = Object.entries(finetune.differences).map(([name, one]) => [metricName(name), plain(one.a), plain(one.b),
    el("span", { "data-difference": name, "data-number": String(one.difference) }, signed(one.difference)),
    one.interval ? `${signed(one.interval[0])} to ${signed(one.interval[1])}` : "", one.reason ? `${one.verdict}: ${one.reason}` : one.verdict]);
  return section("Training", el("p", { "data-verdict": finetune.verdict },
    `Training against the same model before its first step, on these test images: ${finetune.verdict}.`),
  facts([["mode", finetune.mode], ["steps", finetune.steps], ["epochs", short(finetune.epochs)], ["ended", finetune.ended],
    ["kept", `the state of step ${finetune.kept}`],
    ["on synthetic defects", `AUROC ${plain(finetune.best.auroc)} at best (step ${finetune.best.step}), ${plain(finetune.start.auroc)} before`],
    ["trained on", `${plural(finetune.n_train, "good image")}${finetune.n_train_defects ? ` and ${plural(finetune.n_train_defects, "defective one")}` : ""}`],
    ["measured on", `${plural(finetune.n_validation, "good image")} and ${plural(finetune.n_validation_defects, "synthetic defect")}`],
    ["batch", finetune.batch_size], ["time", `${finetune.seconds.toFixed(1)} s`]], true),
  (finetune.notes || []).map((text) => el("p", { class: "quiet" }, text)), plainTable(columns, rows, { class: "training" }));
}

function calibrationCard(card, data) {
  const spread = card.distribution || {};
  const source = card.source || data.calibration_source;
  const [low, high] = card.interval || [];
  return section("Calibration card", facts([
    ["method", card.method], ["parameters", Object.keys(card.params || {}).length ? JSON.stringify(card.params) : null],
    ["alpha", short(card.alpha)], ["threshold", short(card.threshold, 8)],
    ["review alpha", known(card.review_alpha) ? short(card.review_alpha) : null],
    ["review threshold", known(card.review_threshold) ? short(card.review_threshold, 8) : null],
    ["held-out good images", `${card.n}${source ? ` (${source})` : ""}`],
    ["overkill to expect", known(low) ? `${percent(low)} to ${percent(high)} (${card.interval_method || ""}, ` +
      `${percent(card.confidence, 0)})` : null],
    ["promise", card.guarantee],
    ["pixel threshold", known(card.pixel_threshold) ? `${short(card.pixel_threshold, 8)}${card.pixel_method ? ` (${card.pixel_method}, alpha ${short(card.pixel_alpha)})` : ""}` : "the model has no maps"],
    ["low pixel threshold", known(card.pixel_low_threshold) ? short(card.pixel_low_threshold, 8) : null],
    ["good images for rules on maps", known(card.n_normalisation) ? `${card.n_normalisation}, none of them above` : null],
    ["held-out scores", Object.keys(spread).length ? Object.entries(spread).map(([name, value]) =>
      `${name} ${short(value, 5)}`).join(" · ") : null],
    ["fingerprint", el("code", {}, card.fingerprint || "–")]]));
}

// What became of scores and maps, and what the rules on regions did.
function rules(report) {
  const { postprocess, regions } = report;
  if (!postprocess && !regions) return null;
  const settings = regions ? Object.entries(regions.rules).filter(([name]) => name !== "limit" && name !== "decide") : [];
  const inside = (roi) => {
    if (!roi) return null;
    const size = roi.size ? ` for ${roi.size[0]} × ${roi.size[1]}` : "";
    return roi.polygons ? `${plural(roi.polygons.length, "polygon")} (${roi.unit})${size}` : `an image${size}`;
  };
  const shown = postprocess ? [
    ["rules on maps", postprocess.maps.map((rule) => rule.name + (Object.keys(rule.params).length ? ` ${JSON.stringify(rule.params)}` : "")).join(" → ") || "none"],
    ["learned from", postprocess.n_normalisation ? plural(postprocess.n_normalisation, "held-out good image") : null],
    ["region of interest", postprocess.roi && `${inside(postprocess.roi)}; outlined in grey in the pictures`], ["border", postprocess.border ? `${postprocess.border} pixels` : null],
    ["image score", postprocess.image_score + (known(postprocess.top_share) ? ` (${percent(postprocess.top_share)})` : "")]] : [];
  const causes = regions ? Object.keys({ ...regions.removed, ...(regions.overruled || {}) }) : [];
  const columns = [{ title: "rule" }, { title: "regions removed", numeric: true },
    ...(regions && regions.overruled ? [{ title: "images let pass", numeric: true }] : [])];
  const rows = causes.map((name) => [name,
    el("span", { "data-removed": name, "data-number": String(regions.removed[name] || 0) }, String(regions.removed[name] || 0)),
    ...(regions.overruled ? [String(regions.overruled[name] || 0)] : [])]);
  return section("Rules", shown.length ? facts(shown) : null,
    regions && facts([["rules on regions", settings.map(([name, value]) => `${name} ${value}`).join(", ") || "none"],
      ["decided by", regions.rules.decide === "regions" ? "regions: defective where one is left" : "the score"],
      ["regions that count", regions.kept]]),
    rows.length ? plainTable(columns, rows, { class: "rules" }) : null,
    regions && !rows.length && el("p", { class: "quiet" }, "No rule removed a region."));
}

function curveCharts(curves, card) {
  const [image, pixel] = [curves.image || {}, curves.pixel || {}];
  const make = (points, title, xLabel, yLabel, more = {}) =>
    points && points.length ? curve({ title, points, xLabel, yLabel, ...more }) : null;
  const charts = {
    roc: make(image.roc, "Image ROC", "overkill (FPR)", "recall", { diagonal: true }),
    pr: make(image.pr, "Image precision–recall", "recall", "precision"),
    pixelRoc: make(pixel.roc, "Pixel ROC", "FPR", "recall", { diagonal: true }),
    pixelPr: make(pixel.pr, "Pixel precision–recall", "recall", "precision"),
    pro: make(pixel.pro, "Per-region overlap (PRO)", "FPR", "mean overlap",
      { xDomain: [0, Math.min(1, Math.max(0.3, ...(pixel.pro || []).map(([x]) => Math.min(x, 0.3))))] }),
  };
  // The pixel curves stand still: their mark is the calibrated pixel threshold's.
  for (const [name, points] of [["pixelRoc", pixel.roc], ["pixelPr", pixel.pr], ["pro", pixel.pro]]) {
    if (!charts[name] || !known(card.pixel_threshold)) continue;
    const near = points.reduce((one, other) =>
      Math.abs(other[2] - card.pixel_threshold) < Math.abs(one[2] - card.pixel_threshold) ? other : one);
    charts[name].mark(near[0], near[1]);
  }
  const drawn = Object.values(charts).filter(Boolean);
  const node = drawn.length ? section("Curves", el("div", { class: "charts" }, drawn.map((chart) => chart.node)),
    el("p", { class: "quiet" }, "● the threshold above, on the image curves; the calibrated pixel threshold, on the pixel curves")) : null;
  return {
    node,
    mark({ fpr, recall, precision }) {
      if (charts.roc) charts.roc.mark(fpr, recall);
      if (charts.pr) charts.pr.mark(recall, precision);
    },
  };
}

function imageTable(images, pictures, card, byRegions) {
  const decisionOf = (image) => image.decision || (known(image.error) ? "error" : "–");
  const columns = [
    { title: "", value: (image) => (pictures[image.index] ? 0 : null), cell: (image) => {
      const kept = pictures[image.index];
      if (!kept) return "";
      return el("button", { type: "button", class: "thumb", "aria-label": `enlarge ${image.image}`,
        onclick: () => enlarge(image, kept, decisionOf(image)) }, kept.filter(known).map((data) => asImage(data, "")));
    } },
    { title: "image", value: (image) => image.image, cell: (image) => el("span", { class: "name", title: image.image }, image.image) },
    { title: "label", value: labelText, cell: labelText },
    { title: "score", numeric: true, value: (image) => image.score, cell: (image) => el("span", { "data-number": String(image.score) }, short(image.score, 7)) },
    { title: "p-value", numeric: true, value: (image) => image.p_value, cell: (image) => short(image.p_value, 3) },
    { title: "decision", value: decisionOf, cell: (image) => (known(image.error)
      ? el("span", { class: "failed", title: image.error }, `error: ${image.error}`)
      : known(image.overruled_by) ? `${decisionOf(image)} (${image.overruled_by})` : decisionOf(image)) },
  ];
  if (images.some((image) => known(image.group))) {
    columns.splice(3, 0, { title: "group", value: (image) => image.group, cell: (image) => image.group || "" });
  }
  if (images.some((image) => image.regions)) {
    const gone = (image) => {
      const counts = {};
      for (const region of image.regions || []) if (known(region.removed_by)) counts[region.removed_by] = (counts[region.removed_by] || 0) + 1;
      return Object.entries(counts).map(([name, number]) => `${number} ${name}`).join(", ");
    };
    const count = (image) => (image.regions ? image.regions.filter((region) => !known(region.removed_by)).length : null);
    columns.push({ title: "regions", numeric: true, value: count, cell: (image) => short(count(image)) });
    if (images.some(gone)) columns.push({ title: "removed", value: gone, cell: gone });
  }
  const table = dataTable(columns, images, { label: "images", sort: { column: columns.findIndex((c) => c.title === "score"), down: true } });
  const want = { text: "", label: "", decision: "" };
  const refresh = () => table.filter((image) =>
    (!want.text || `${image.image} ${image.defect || ""} ${image.group || ""}`.toLowerCase().includes(want.text)) &&
    (!want.label || labelText(image).includes(want.label)) && (!want.decision || decisionOf(image) === want.decision));
  const choice = (name, options) => el("label", {}, `${name} `, el("select", { "data-filter": name, onchange: (event) => {
    want[name] = event.target.value;
    refresh();
  } }, el("option", { value: "" }, "all"), options.map((option) => el("option", { value: option }, option))));
  const decisions = ["good", "review", "defective", "error"].filter((name) => images.some((image) => decisionOf(image) === name));
  return section("Images", el("div", { class: "controls" },
    el("label", {}, "find ", el("input", { type: "search", "data-filter": "text", oninput: (event) => {
      want.text = event.target.value.trim().toLowerCase();
      refresh();
    } })),
    choice("label", ["● good", "▲ defective", "○ unlabelled"].filter((name) => images.some((image) => labelText(image).startsWith(name)))),
    choice("decision", decisions)),
  el("p", { class: "quiet" }, byRegions
    ? "Decisions are the run's own: defective where a region is left. In brackets: the rule that removed the last region of an image whose score reaches the threshold."
    : `Decisions are the run's own, at its threshold ${short(card.threshold)}.`), table.node);
}

// The records come as columns, which is a third of their size as objects.
function rowsOf(records) {
  const names = Object.keys(records);
  return (records.image || []).map((_, index) => {
    const row = { index };
    for (const name of names) if (known(records[name][index])) row[name] = records[name][index];
    return row;
  });
}

function categoryPage(index) {
  const category = block(`category-${index}`);
  const pictures = block(`pictures-${index}`) || {};
  const images = rowsOf(category.records);
  const { report } = category;
  const card = report.calibration || {};
  const errors = images.filter((image) => known(image.error));
  const parts = [];
  const timing = report.timing || {};
  const data = report.data || {};
  parts.push(facts([["fitted on", known(data.n_fit) ? `${data.n_fit} good images` : null],
    ["held out", known(data.n_calibration) ? `${data.n_calibration} good images` : null],
    ["tested on", known(data.n_test_good) ? `${data.n_test_good} good + ${data.n_test_defective} defective` +
      (data.n_test_unlabelled ? ` + ${data.n_test_unlabelled} unlabelled` : "") : null],
    ["fit", known(timing.fit_seconds) ? `${timing.fit_seconds.toFixed(1)} s` : null],
    ["test", known(timing.test_ms_per_image) ? `${timing.test_ms_per_image.toFixed(1)} ms per image` : null]], true));
  for (const text of [...(report.warnings || []).map((one) => `Warning: ${one}`), ...(data.notes || [])]) {
    parts.push(el("p", { class: text.startsWith("Warning") ? "warning" : "quiet" }, text));
  }
  const charts = curveCharts(category.curves || {}, card);
  const byRegions = Boolean(report.regions) && report.regions.rules.decide === "regions";
  const worst = gallery(images, pictures, byRegions);
  let panel = null;
  if (known(card.threshold)) {
    panel = decisionPanel(category, images, (threshold, review, point) => {
      charts.mark(point);
      worst.update(threshold, review);
    });
    parts.push(panel.node);
    if (byRegions) {
      parts.push(el("p", { class: "warning", "data-note": "regions-decide" }, "In this run regions decide, not the score: the " +
        "counts and curves above show what the score alone would do. Metrics, pictures and table below are of the run's own decisions."));
    }
  }
  parts.push(training(report.finetune));
  parts.push(charts.node, report.metrics && metricTable(report.metrics), breakdown("By kind of defect", report.by_defect),
    breakdown("By group", report.by_group));
  parts.push(rules(report));
  if (known(card.threshold)) parts.push(calibrationCard(card, data), worst.node);
  if (category.pictures.note) parts.push(el("p", { class: "quiet", "data-note": "pictures" }, category.pictures.note));
  if (errors.length) {
    parts.push(section("Errors", el("ul", { class: "errors" }, errors.slice(0, 200).map((image) =>
      el("li", {}, el("span", { class: "name" }, image.image), ` ${image.error}`))),
    errors.length > 200 && el("p", { class: "quiet" }, `and ${errors.length - 200} more`)));
  }
  parts.push(imageTable(images, pictures, card, byRegions));
  return { node: el("div", { role: "tabpanel" }, parts.filter(Boolean)), start: panel ? panel.start : () => {} };
}

function runPage(page) {
  const run = block("run");
  const names = run.categories;
  const host = el("div", {});
  page.append(header(run));
  if (names.length > 1 && (run.report.categories || []).every((entry) => entry.metrics)) page.append(overview(run.report));
  const heading = el("h2", { class: "category" });
  const bar = chooser("category", names, (index) => {
    heading.textContent = names[index] === undefined ? "" : `Category ${names[index]}`;
    if (names[index] === undefined) return;
    const made = categoryPage(index);
    host.replaceChildren(made.node);
    made.start();
  });
  page.append(...[bar, heading, host].filter(Boolean));
}

runPage(document.getElementById("page"));
