// The page of a comparison: does run B beat run A?

const CHANGE_SIGNS = { worse: "▼ worse", better: "▲ better", changed: "◆ changed", "not shown": "not shown to differ" };
const HEADLINE_METRICS = ["image_auroc", "overkill", "escape"];

function signed(name, value) {
  if (!known(value)) return "–";
  const text = RATES.has(name) || /recall|fpr_at/.test(name) ? `${(100 * value).toFixed(1)} %` : value.toFixed(4);
  return value >= 0 ? `+${text}` : text.replace("-", "−");
}

function differenceCells(name, found) {
  const [low, high] = found.interval || [];
  return [metricValue(name, { value: found.a }), metricValue(name, { value: found.b }),
    el("span", { "data-difference": name, "data-number": String(found.difference) }, signed(name, found.difference)),
    el("span", { class: "one-line" }, known(low) ? `${signed(name, low)} … ${signed(name, high)}` : "–"), known(found.p) ? short(found.p, 2) : "–",
    el("span", { class: `verdict ${found.verdict.replace(/ /g, "-")}`, title: found.reason || null },
      CHANGE_SIGNS[found.verdict] || found.verdict)];
}

const DIFFERENCE_COLUMNS = [{ title: "A", numeric: true }, { title: "B", numeric: true }, { title: "B − A", numeric: true },
  { title: "95 % interval" }, { title: "p", numeric: true }, { title: "B is" }];

// Images and regions, not their millions of pixels.
function countedThings(n) {
  return counted(Object.fromEntries(Object.entries(n).filter(([what]) => !what.endsWith("_pixels"))));
}

function differenceTable(metrics, attributes) {
  const names = Object.keys(metrics).filter((name) => known(metrics[name].a) || known(metrics[name].b));
  const rows = names.map((name) => [el("span", { class: "one-line" }, metricName(name)), ...differenceCells(name, metrics[name]),
    el("span", { class: "one-line" }, countedThings(metrics[name].n)), el("span", { class: "how" }, metrics[name].reason ||
      [metrics[name].interval_method, metrics[name].p_method].filter((one, at, all) => one && all.indexOf(one) === at).join(", "))]);
  return plainTable([{ title: "metric" }, ...DIFFERENCE_COLUMNS, { title: "n" }, { title: "how" }], rows, attributes);
}

function sidesTable({ a, b }) {
  const rows = [["model", "model"], ["preset", "preset"], ["recipe", "recipe"], ["dataset", "dataset"], ["seed", "seed"],
    ["finished", "finished"], ["test images", "n_test"]].map(([title, key]) => [title, short(a[key]), short(b[key])]);
  return plainTable([{ title: "" }, { title: `A: ${a.run}` }, { title: `B: ${b.run}` }], rows, { class: "sides-facts" });
}

function changedKeys(title, changes) {
  const rows = Object.entries(changes).map(([key, pair]) => [key, ...pair.map((value) =>
    (typeof value === "string" || !known(value) ? short(value) : JSON.stringify(value)))]);
  return rows.length ? [el("h3", {}, title), plainTable([{ title: "" }, { title: "A" }, { title: "B" }], rows)] : null;
}

function comparisonHeader(data) {
  const only = ["a", "b"].map((side) => data[`only_${side}`]).map(({ categories, images }) => categories.length || images);
  return el("header", { class: "top" }, el("h1", {}, `${data.b.run} against ${data.a.run}`), sidesTable(data),
    el("p", {}, `Compared on ${plural(data.n_compared, "test image")}${data.same_images ? ", the same in both runs" : ""}.`),
    data.notes.map((note) => el("p", { class: only.some(Boolean) || !data.same_images ? "warning" : "quiet" }, note)),
    section("Does B beat A?", el("ul", { class: "verdicts" }, Object.entries(data.verdicts).map(([name, sentence]) =>
      el("li", { "data-verdict": name }, sentence))),
    el("p", { class: "quiet" }, "Each metric is judged by itself, at 95 %. With many metrics, one of twenty that do not differ " +
      "would still be called different.")));
}

// One run's histogram; its thresholds can be tried out, and what they do is counted below it.
function scoresFigure(side, title, scores) {
  const groups = { good: ascending(scores.good), defective: ascending(scores.defective), unlabelled: ascending(scores.unlabelled) };
  const now = { threshold: scores.threshold, review: scores.review_threshold };
  const lines = [];
  if (known(now.review)) lines.push({ id: "review", label: "review", value: now.review });
  lines.push({ id: "threshold", label: "threshold", value: now.threshold });
  const live = el("p", { "aria-live": "polite" });
  const chart = histogram({ groups, strip: ascending(scores.held_out), lines, onMove: (id, value) => set(id, value) });
  function set(id, value) {
    if (id === "review") now.review = Math.min(value, now.threshold);
    else now.threshold = known(now.review) ? Math.max(value, now.review) : value;
    chart.set(id, now[id]);
    tell();
  }
  function tell() {
    const found = decide(groups.good, groups.defective, now.threshold, now.review);
    const said = [["overkill", found.overkill], ["escape", found.escape]];
    if (known(now.review)) said.push(["review of good", found.reviewGood], ["review of defective", found.reviewDefective]);
    live.replaceChildren(...said.map(([name, one]) => el("span", { class: "live", "data-live": `${name}-${side}`, "data-count": one.count },
      `${name} ${one.count}/${one.n}${known(one.value) ? ` = ${percent(one.value)}` : ""}`)),
    el("span", { class: "quiet" }, `at ≥ ${short(now.threshold)}${now.threshold === scores.threshold ? ", as calibrated" : ", tried"}`));
  }
  tell();
  return el("div", { "data-side": side }, el("h3", {}, title),
    known(scores.threshold) ? [chart.node, live] : el("p", { class: "quiet" }, "The run has no threshold."));
}

function defectTable(byDefect) {
  const names = Object.keys(byDefect);
  if (!names.length) return null;
  const metrics = [...new Set(names.flatMap((name) => Object.keys(byDefect[name])))].filter((name) => name !== "n");
  const rows = names.flatMap((defect) => metrics.filter((name) => byDefect[defect][name]).map((name, at) =>
    [at ? "" : defect, at ? "" : String(byDefect[defect].n), metricName(name), ...differenceCells(name, byDefect[defect][name])]));
  return section("By kind of defect", plainTable([{ title: "defect" }, { title: "n", numeric: true }, { title: "metric" },
    ...DIFFERENCE_COLUMNS], rows, { class: "defects" }));
}

function categoryComparison(data, index) {
  const part = data.categories[index];
  const scores = block(`scores-${index}`);
  const lost = [["A", part.only_a], ["B", part.only_b]].filter(([, images]) => images.length);
  return el("div", {}, el("p", { class: "quiet" }, `${part.n_good} good and ${part.n_defective} defective images compared`,
    lost.map(([side, images]) => `; ${images.length} only in ${side}`)),
  section("Scores", el("div", { class: "sides" }, scoresFigure("a", `A: ${data.a.run}`, scores.a),
    scoresFigure("b", `B: ${data.b.run}`, scores.b)), el("p", { class: "quiet" }, "Each run has a scale of its own.")),
  data.categories.length > 1 && section("Metrics of this category", differenceTable(part.metrics, { class: "metrics" })),
  defectTable(part.by_defect));
}

function categoryOverview(data) {
  const rows = data.categories.flatMap((part) => HEADLINE_METRICS.filter((name) => part.metrics[name]).map((name, at) =>
    [at ? "" : part.name, metricName(name), ...differenceCells(name, part.metrics[name])]));
  return section("All categories", plainTable([{ title: "category" }, { title: "metric" }, ...DIFFERENCE_COLUMNS], rows));
}

const verdictOf = (side) => `${side.decision}, score ${short(side.score, 5)} against ${short(side.threshold, 5)}`;

function flipCard(flip, kept) {
  const parts = kept ? [["image", kept[0]], ["A", kept[1]], ["B", kept[2]]].filter(([, data]) => known(data)) : [];
  return el("div", { class: "card", "data-image": flip.image, "data-change": flip.change },
    el("span", { class: "pair" }, parts.length ? parts.map(([title, data]) => el("figure", { class: "side" }, lazyImage(data, title),
      el("figcaption", { class: "quiet" }, title))) : el("span", { class: "missing" }, "no picture kept")),
    el("span", { class: "name" }, flip.image), el("span", {}, `${labelText(flip)}: ${CHANGE_SIGNS[flip.change]}`),
    el("span", { class: "quiet" }, `A ${verdictOf(flip.a)}`), el("span", { class: "quiet" }, `B ${verdictOf(flip.b)}`));
}

function flipSection(data) {
  const { flips } = data;
  const pictures = block("pictures") || {};
  if (!flips.length) return section("Changed decisions", el("p", {}, "Both runs decide the same on every image."));
  const STEP = 12;
  const grid = el("div", { class: "gallery flips" });
  const more = el("button", { type: "button", class: "more" }, "show more");
  const indexed = flips.map((flip, index) => ({ ...flip, index }));
  const columns = [
    { title: "B is", value: (flip) => flip.change, cell: (flip) => CHANGE_SIGNS[flip.change] },
    { title: "image", value: (flip) => flip.image, cell: (flip) => el("span", { class: "name", title: flip.image }, flip.image) },
    { title: "label", value: labelText, cell: labelText },
    ...["a", "b"].flatMap((side) => [
      { title: side.toUpperCase(), value: (flip) => flip[side].decision, cell: (flip) => flip[side].decision },
      { title: `score ${side.toUpperCase()}`, numeric: true, value: (flip) => flip[side].score, cell: (flip) => short(flip[side].score, 7) }]),
  ];
  const table = dataTable(columns, indexed, { label: "changed decisions", height: Math.min(420, 50 + ROW_HEIGHT * flips.length) });
  let want = "";
  let limit = STEP;
  function draw() {
    const shown = indexed.filter((flip) => !want || flip.change === want);
    grid.replaceChildren(...shown.slice(0, limit).map((flip) => flipCard(flip, pictures[flip.index])));
    more.hidden = shown.length <= limit;
  }
  more.addEventListener("click", () => {
    limit += STEP;
    draw();
  });
  const kinds = Object.entries(data.flip_counts).filter(([, count]) => count);
  const select = el("select", { "data-filter": "change", onchange: () => {
    want = select.value;
    limit = STEP;
    table.filter((flip) => !want || flip.change === want);
    draw();
  } }, el("option", { value: "" }, `all ${flips.length}`), kinds.map(([name, count]) =>
    el("option", { value: name }, `${CHANGE_SIGNS[name]} (${count})`)));
  draw();
  return section("Changed decisions", el("div", { class: "controls" }, el("label", {}, "B is ", select)), table.node, grid, more,
    data.pictures.note && el("p", { class: "quiet", "data-note": "pictures" }, data.pictures.note));
}

function errorSection(errors) {
  if (!errors.length) return null;
  const side = (name, text) => (known(text) ? ` ${name}: ${text}` : "");
  return section("Images without a score", el("ul", { class: "errors" }, errors.slice(0, 200).map((one) =>
    el("li", {}, el("span", { class: "name" }, one.image), side("A", one.a), side("B", one.b)))),
  errors.length > 200 && el("p", { class: "quiet" }, `and ${errors.length - 200} more`));
}

function comparisonPage(page) {
  const data = block("comparison");
  const several = data.categories.length > 1;
  const names = data.categories.map((part) => part.name);
  page.append(comparisonHeader(data),
    section(several ? "Metrics, mean over the categories" : "Metrics", differenceTable(data.metrics, { class: "metrics overall" })));
  if (several) page.append(categoryOverview(data));
  const host = el("div", {});
  const heading = el("h2", { class: "category" });
  const bar = chooser("category", names, (index) => {
    heading.textContent = several ? `Category ${names[index]}` : "";
    host.replaceChildren(categoryComparison(data, index));
  });
  const changes = [changedKeys("Config", data.config), changedKeys("Environment", data.environment)].filter(Boolean);
  page.append(...[bar, heading, host, flipSection(data), errorSection(data.errors),
    section("What was done differently", changes.length ? changes : el("p", {}, "Nothing: config and versions are the same."))]
    .filter(Boolean));
}

comparisonPage(document.getElementById("page"));
