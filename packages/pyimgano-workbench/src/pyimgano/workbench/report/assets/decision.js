// The threshold: its histogram, its controls, and what it does, live.

// category: {report, records}. `onChange(threshold, review)` is called for every move.
function decisionPanel(category, images, onChange) {
  const card = category.report.calibration || {};
  const metrics = category.report.metrics || {};
  const groups = {
    good: ascending(images.filter((image) => image.label === 0 && known(image.score)).map((image) => image.score)),
    defective: ascending(images.filter((image) => image.label === 1 && known(image.score)).map((image) => image.score)),
    unlabelled: ascending(images.filter((image) => !known(image.label) && known(image.score)).map((image) => image.score)),
  };
  const scores = Float64Array.from(new Set([...groups.good, ...groups.defective, ...groups.unlabelled])).sort();
  const held = ascending(card.held_out_scores || []);
  const hasReview = known(card.review_threshold);
  const state = { threshold: card.threshold, review: hasReview ? card.review_threshold : null };
  const calibrated = { ...state };

  const lines = [{ id: "threshold", label: "defective ≥", value: state.threshold }];
  if (hasReview) lines.unshift({ id: "review", label: "review ≥", value: state.review });
  const chart = histogram({ groups, strip: held, lines, onMove: move });

  const inputs = Object.fromEntries(lines.map((line) => [line.id, el("input", { type: "number", step: "any",
    "data-input": line.id, "aria-label": line.id, onchange: (event) => {
      const value = Number(event.target.value);
      if (event.target.value.trim() && Number.isFinite(value)) move(line.id, value);
      else event.target.value = String(state[line.id]);
    } })]));

  // To the next score of a test image: where the counts change.
  function hop(way) {
    const at = scores.length - countFrom(scores, state.threshold);
    const to = way < 0 ? at - 1 : scores[at] === state.threshold ? at + 1 : at;
    if (to >= 0 && to < scores.length) move("threshold", scores[to]);
  }

  const f1max = metrics.image_f1max && metrics.image_f1max.threshold;
  const button = (label, name, action, tip) => el("button", { type: "button", "data-action": name, onclick: action,
    title: tip }, label);
  const controls = el("div", { class: "controls" },
    lines.map((line) => el("label", {}, `${line.id} `, inputs[line.id])),
    button("‹ score", "previous", () => hop(-1), "to the next lower score of a test image"),
    button("score ›", "next", () => hop(1), "to the next higher score of a test image"),
    button("calibrated", "calibrated", () => lines.forEach((line) => move(line.id, calibrated[line.id])),
      "the threshold of the calibration card"),
    known(f1max) && button("F1max", "f1max", () => move("threshold", f1max),
      "the threshold with the highest F1 on these test images: too good to be true on new ones"),
    el("label", {}, el("input", { type: "checkbox", "data-action": "zoom",
      onchange: (event) => chart.zoom(event.target.checked) }), " leave out the highest 1 %"));

  const live = {};
  const cells = {};
  const number = (name) => (cells[name] = el("td", { "data-confusion": name, class: "numeric" }));
  const columns = hasReview ? ["passed", "review", "rejected"] : ["passed", "rejected"];
  const confusion = el("table", { class: "confusion" },
    el("thead", {}, el("tr", {}, el("th", {}), columns.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, ["good", "defective"].map((label) => el("tr", { class: `row-${label}` },
      el("th", { scope: "row" }, label === "good" ? "● good" : "▲ defective"),
      columns.map((name) => number(`${name}_${label}`))))));
  const rateRow = (name, title, tip) => {
    const value = el("strong", { "data-live": name });
    const interval = el("span", { class: "quiet", "data-live": `${name}_interval` });
    [live[name], live[`${name}_interval`]] = [value, interval];
    return el("tr", {}, el("th", { scope: "row", title: tip }, title), el("td", {}, value), el("td", {}, interval));
  };
  const rates = el("table", { class: "rates" }, el("tbody", {},
    rateRow("overkill", "overkill", "good images that are rejected"),
    rateRow("escape", "escape", "defective images that are passed as good"),
    hasReview && rateRow("review_good", "good to review", "good images that a person has to look at"),
    hasReview && rateRow("review_defective", "defective to review", "defective images that a person has to look at"),
    rateRow("precision", "precision", "rejected images that are defective"),
    rateRow("recall", "recall", "defective images that are rejected"),
    rateRow("f1", "F1", "harmonic mean of precision and recall")));
  const remark = el("p", { class: "remark", "aria-live": "polite", "data-live": "remark" });

  function showRate(name, found) {
    const value = found.value === null ? "–" : `${found.count}/${found.n} = ${percent(found.value)}`;
    live[name].textContent = value;
    live[name].dataset.number = String(found.value);
    const interval = live[`${name}_interval`];
    interval.textContent = found.interval
      ? `95 %: ${(100 * found.interval[0]).toFixed(1)}–${(100 * found.interval[1]).toFixed(1)} %` : "";
    interval.dataset.low = found.interval ? String(found.interval[0]) : "";
    interval.dataset.high = found.interval ? String(found.interval[1]) : "";
  }

  function move(id, value) {
    state[id] = value;
    if (hasReview && id === "threshold" && state.review > value) state.review = value;
    if (hasReview && id === "review" && state.threshold < value) state.threshold = value;
    show();
  }

  function show() {
    for (const line of lines) {
      chart.set(line.id, state[line.id]);
      inputs[line.id].value = String(state[line.id]);
    }
    const found = decide(groups.good, groups.defective, state.threshold, state.review);
    for (const [name, count] of Object.entries(found.confusion)) if (cells[name]) cells[name].textContent = String(count);
    showRate("overkill", found.overkill);
    showRate("escape", found.escape);
    if (hasReview) {
      showRate("review_good", found.reviewGood);
      showRate("review_defective", found.reviewDefective);
    }
    showRate("precision", found.precision);
    showRate("recall", found.recall);
    live.f1.textContent = percent(found.f1);
    live.f1.dataset.number = String(found.f1);
    const above = countFrom(held, state.threshold);
    const own = state.threshold === calibrated.threshold && state.review === calibrated.review;
    remark.textContent = own
      ? `The calibrated threshold. ${card.guarantee || ""}`
      : `Not the calibrated threshold: what that one promises does not hold here. ${above} of ${held.length} held-out ` +
        "good images score at least as high.";
    remark.classList.toggle("moved", !own);
    onChange(state.threshold, state.review,
      { fpr: found.overkill.value, recall: found.recall.value, precision: found.precision.value });
  }

  const note = groups.unlabelled.length
    ? el("p", { class: "quiet" }, `${plural(groups.unlabelled.length, "unlabelled image")} (grey) count in no rate.`) : null;
  return {
    node: section("Threshold", chart.node, controls, remark,
      el("div", { class: "columns" }, rates, confusion), note),
    start: show,
  };
}
