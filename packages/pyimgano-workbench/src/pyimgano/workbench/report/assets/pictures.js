// The kept pictures: made into elements only when they come into view.

const asImage = (data, label) => el("img", { src: `data:image/jpeg;base64,${data}`, alt: label, decoding: "async" });

function showPicture(frame) {
  lazily.unobserve(frame);
  frame.replaceChildren(frame.make());
}

const lazily = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) showPicture(entry.target);
  }
}, { rootMargin: "300px" });

// Paper does not scroll.
window.addEventListener("beforeprint", () => document.querySelectorAll(".picture:empty").forEach(showPicture));

function lazyImage(data, label) {
  const frame = el("span", { class: "picture" });
  frame.make = () => asImage(data, label);
  lazily.observe(frame);
  return frame;
}

function regionText(region) {
  const [x, y, width, height] = region.box;
  const removed = known(region.removed_by) ? `, removed by ${region.removed_by}` : "";
  return `${short(region.score, 5)} · ${plural(region.area, "pixel")} at (${x}, ${y}), ${width} × ${height}${removed}`;
}

function regionList(image) {
  const regions = image.regions || [];
  if (!regions.length) return null;
  const more = known(image.regions_left_out) && image.regions_left_out > 0
    ? el("li", { class: "quiet" }, `and ${image.regions_left_out} more`) : null;
  return el("ol", { class: "regions" },
    regions.map((region) => el("li", { class: known(region.removed_by) ? "removed" : null }, regionText(region))), more);
}

const LABELS = { 0: "● good", 1: "▲ defective" };

function labelText(image) {
  const label = LABELS[image.label] || "○ unlabelled";
  return known(image.defect) && image.label === 1 ? `${label}: ${image.defect}` : label;
}

// One dialog for the whole page; Escape and a click beside it close it.
function enlarge(image, pictures, decision) {
  const [plain, map] = pictures || [];
  const dialog = el("dialog", { class: "enlarged", "aria-label": image.image, onclick: (event) => {
    if (event.target === dialog) dialog.close();
  }, onclose: () => dialog.remove() },
  el("header", {}, el("strong", {}, image.image),
    el("button", { type: "button", onclick: () => dialog.close(), "aria-label": "close" }, "✕")),
  el("div", { class: "pair" }, plain && asImage(plain, "the image"), map && asImage(map, "its heat-map")),
  map && el("p", { class: "quiet" }, "white: what was found; blue: ground truth"),
  facts([["label", labelText(image)], ["decision", decision], ["score", short(image.score, 8)],
    ["p-value", short(image.p_value, 4)], ["group", image.group]]),
  regionList(image) && el("h3", {}, "Regions, by score"), regionList(image));
  document.body.append(dialog);
  dialog.showModal();
}

// The worst false rejects and escapes at a threshold. `update(threshold, review)` shows those of another one.
// With `byRegions` they are those of the run's own decisions, which no threshold changes.
function gallery(images, pictures, byRegions) {
  const PAGE = 12;
  const judged = images.filter((image) => known(image.score) && known(image.label));
  const kinds = [
    { title: "Escapes", what: "defective images that pass, the lowest score first", label: 1,
      decision: "good", wrong: (score, threshold, review) => score < (known(review) ? review : threshold),
      order: (a, b) => a.score - b.score },
    { title: "False rejects", what: "good images that are rejected, the highest score first", label: 0,
      decision: "defective", wrong: (score, threshold) => score >= threshold, order: (a, b) => b.score - a.score },
  ].map((kind) => ({ ...kind, heading: el("h3", {}), grid: el("div", { class: "gallery" }), limit: PAGE, shown: "",
    more: el("button", { type: "button", class: "more" }, "show more"),
    candidates: judged.filter((image) => image.label === kind.label).sort((a, b) => kind.order(a, b) || a.index - b.index) }));
  let latest = [0, null];

  function figure(image, decision) {
    const kept = pictures[image.index];
    return el("button", { type: "button", class: "card", "data-image": image.image,
      onclick: () => enlarge(image, kept, decision) },
    el("span", { class: "pair" }, kept
      ? kept.filter(known).map((data, at) => lazyImage(data, at ? "heat-map" : image.image))
      : el("span", { class: "missing" }, "no picture kept")),
    el("span", { class: "name" }, image.image),
    el("span", { class: "quiet" }, `score ${short(image.score, 5)}${known(image.p_value) ? `, p = ${short(image.p_value, 3)}` : ""}` +
      `${known(image.defect) && image.label === 1 ? `, ${image.defect}` : ""}`));
  }

  function draw(kind) {
    const wrong = kind.candidates.filter((image) =>
      (byRegions ? image.decision === kind.decision : kind.wrong(image.score, ...latest)));
    kind.heading.textContent = `${kind.title}: ${wrong.length} of ${kind.candidates.length}`;
    kind.more.hidden = wrong.length <= kind.limit;
    const some = wrong.slice(0, kind.limit);
    const names = some.map((image) => image.index).join();
    if (names === kind.shown) return;
    kind.shown = names;
    kind.grid.replaceChildren(...some.map((image) => figure(image, kind.label ? "good (escape)" : "defective (false reject)")));
  }

  for (const kind of kinds) {
    kind.more.addEventListener("click", () => {
      kind.limit += PAGE;
      draw(kind);
    });
  }
  let scheduled = 0;
  return {
    node: section(byRegions ? "Worst images" : "Worst images at this threshold", kinds.map((kind) => [kind.heading,
      el("p", { class: "quiet" }, kind.what), kind.grid, kind.more])),
    update(threshold, review) {
      latest = [threshold, review];
      cancelAnimationFrame(scheduled);
      scheduled = requestAnimationFrame(() => kinds.forEach(draw));
    },
  };
}
