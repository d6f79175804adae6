// The page of a benchmark: models × categories × seeds.

const SHOWN = [["image_auroc", "image AUROC", 3], ["pixel_auroc", "pixel AUROC", 3], ["pixel_aupro", "AUPRO", 3],
  ["overkill", "overkill %", 1, 100], ["escape", "escape %", 1, 100], ["fit_seconds", "fit s", 1],
  ["latency_ms", "latency ms", 1]];

function spreadText(spread, digits, factor = 1) {
  if (!spread || !known(spread.mean)) return "–";
  const text = (factor * spread.mean).toFixed(digits);
  return known(spread.sd) ? `${text} ± ${(factor * spread.sd).toFixed(digits)}` : text;
}

function leaderboard(means) {
  const columns = [{ title: "model", value: (row) => row.model, cell: (row) => row.model },
    { title: "seeds", numeric: true, value: (row) => row.n_seeds, cell: (row) => String(row.n_seeds) },
    ...SHOWN.map(([name, title, digits, factor]) => ({ title, numeric: true, value: (row) => row[name] && row[name].mean,
      cell: (row) => el("span", { "data-number": String(row[name] && row[name].mean) }, spreadText(row[name], digits, factor)) })),
    { title: "failed", numeric: true, value: (row) => row.n_failed, cell: (row) => String(row.n_failed || 0) }];
  const height = Math.min(520, 44 + ROW_HEIGHT * means.length);
  return dataTable(columns, means, { label: "leaderboard", height, sort: { column: 2, down: true } }).node;
}

function metricBars(means, name, title) {
  const rows = means.filter((row) => row[name] && known(row[name].mean))
    .map((row) => ({ name: row.model, value: row[name].mean, spread: row[name].sd, text: spreadText(row[name], 3) }))
    .sort((a, b) => b.value - a.value);
  if (!rows.length) return null;
  const lowest = Math.min(...rows.map((row) => row.value - (row.spread || 0)));
  const from = Math.max(0, Math.floor(lowest * 10 - 0.5) / 10);
  return bars({ title: `${title}, mean ± standard deviation over the seeds${from > 0 ? `; the axis begins at ${from}` : ""}`,
    rows, domain: [from, 1], format: (row) => row.text });
}

// A cell's colour says how good it is; its text says the number.
function heatTable(summary, name, title) {
  const cells = summary.filter((row) => row.category !== null && row[name] && known(row[name].mean));
  const categories = [...new Set(cells.map((row) => row.category))];
  const models = [...new Set(cells.map((row) => row.model))];
  if (!cells.length || categories.length < 2) return null;
  const low = Math.min(...cells.map((row) => row[name].mean));
  const high = Math.max(...cells.map((row) => row[name].mean));
  const cell = (model, category) => {
    const found = cells.find((row) => row.model === model && row.category === category);
    if (!found) return el("td", { class: "heat" }, "–");
    const node = el("td", { class: "heat" }, spreadText(found[name], 3));
    const share = high > low ? (found[name].mean - low) / (high - low) : 1;
    node.style.background = `color-mix(in srgb, var(--accent) ${Math.round(8 + 42 * share)}%, transparent)`;
    return node;
  };
  return section(`${title} by category`, el("div", { class: "scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, el("th", {}, "category"), models.map((model) => el("th", { class: "heat" }, model)))),
    el("tbody", {}, categories.map((category) => el("tr", {}, el("th", {}, category), models.map((model) => cell(model, category))))))));
}

function benchmarkPage(page) {
  const { name, rows, summary } = block("benchmark");
  // The row over all categories; a dataset with one category has that one only.
  const models = [...new Set(summary.map((row) => row.model))];
  const means = models.map((model) => summary.find((row) => row.model === model && row.category === null) ||
    summary.find((row) => row.model === model));
  const failed = rows.filter((row) => row.status === "error");
  const skipped = rows.filter((row) => row.status === "skipped");
  const timed = means.filter((row) => known((row.latency_ms || {}).mean) && known((row.image_auroc || {}).mean));
  const pick = (key) => timed.map((row) => row[key].mean);
  page.append(...[
    el("header", { class: "top" }, el("h1", {}, `Benchmark ${name}`),
      facts([["models", models.length], ["categories", new Set(rows.map((row) => row.category)).size],
        ["seeds", [...new Set(rows.map((row) => row.seed))].join(", ")], ["runs", rows.length]], true),
      failed.length > 0 && el("p", { class: "warning" }, `${failed.length} of ${plural(rows.length, "run")} failed; see below.`)),
    section("Leaderboard", leaderboard(means), el("p", { class: "quiet" }, "mean ± standard deviation over the seeds; " +
      "over several categories, of the mean over the categories")),
    section("Charts", el("div", { class: "charts wide" }, metricBars(means, "image_auroc", "image AUROC"),
      metricBars(means, "pixel_aupro", "AUPRO"),
      timed.length > 1 && scatter({ title: "image AUROC against the time for one image", xLabel: "latency, ms",
        yLabel: "image AUROC", yDomain: [Math.max(0, Math.min(...pick("image_auroc")) - 0.05), 1],
        points: timed.map((row) => ({ name: row.model, x: row.latency_ms.mean, y: row.image_auroc.mean })) }))),
    heatTable(summary, "image_auroc", "Image AUROC"),
    heatTable(summary, "pixel_aupro", "AUPRO"),
    failed.length > 0 && section("Failed", el("ul", { class: "errors" }, failed.map((row) =>
      el("li", {}, `${row.model} on ${row.category}, seed ${row.seed}: `, el("span", { class: "failed" }, row.error))))),
    skipped.length > 0 && section("Skipped", el("ul", { class: "errors" }, skipped.map((row) =>
      el("li", {}, `${row.model} on ${row.category}, seed ${row.seed}: ${row.error}`)))),
    section("Runs", dataTable([
      { title: "run", value: (row) => row.run, cell: (row) => (row.page
        ? el("a", { href: row.page.split("/").map(encodeURIComponent).join("/") }, row.run) : row.run || "–") },
      { title: "model", value: (row) => row.model, cell: (row) => row.model },
      { title: "category", value: (row) => row.category, cell: (row) => row.category },
      { title: "seed", numeric: true, value: (row) => row.seed, cell: (row) => String(row.seed) },
      { title: "status", value: (row) => row.status, cell: (row) => row.status },
      ...SHOWN.map(([key, title, digits, factor = 1]) => ({ title, numeric: true, value: (row) => row[key],
        cell: (row) => (known(row[key]) ? (factor * row[key]).toFixed(digits) : "–") })),
    ], rows, { label: "runs", height: Math.min(520, 44 + ROW_HEIGHT * rows.length) }).node),
  ].filter(Boolean));
}

benchmarkPage(document.getElementById("page"));
