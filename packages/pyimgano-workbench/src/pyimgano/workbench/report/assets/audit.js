// The page of an audit: what to look at before a dataset is trained on.

const ODD_WORDS = { unreadable: "✕ unreadable", constant: "▢ one colour", size: "▭ another size", colours: "◐ other colours",
  depth: "◇ another bit depth" };

function pictured(pictures, image) {
  const [plain, heat] = (pictures && pictures[image]) || [];
  if (!known(plain)) return el("span", { class: "pair" }, el("span", { class: "missing" }, "no picture"));
  return el("span", { class: "pair" }, [["the image", plain], ["where it is unlike the others", heat]]
    .filter(([, data]) => known(data)).map(([label, data]) => lazyImage(data, label)));
}

function placeText(image) {
  return [image.category, image.split, LABELS[image.label]].filter(known).join(" · ");
}

function findings(audit) {
  const n = audit.counts;
  const ranked = audit.outliers.reduce((sum, part) => sum + part.images, 0);
  return el("ul", { class: "verdicts" },
    el("li", { class: n.leaks ? "failed" : null, "data-count": "leaks" }, n.leaks
      ? `${plural(n.leaks, "set")} of copies in two splits: a model is tested on what it has learned from`
      : "No image has a copy in another split."),
    n.label_conflicts ? el("li", { class: "failed" }, `${plural(n.label_conflicts, "set")} of copies called good and defective`) : null,
    el("li", {}, `${plural(n.exact_sets, "set")} of files with the same content, ${plural(n.near_sets, "set")} of near-duplicates`),
    el("li", {}, `${plural(n.odd, "image")} of another kind than the rest`),
    ranked ? el("li", {}, `${plural(ranked, "good image")} ranked by ${audit.model.name}; a rank is a reason to look, never a verdict`) : null);
}

function setCard(found, index, pictures, audit) {
  const shown = found.images.slice(0, audit.shown_members);
  const cells = shown.map((image, at) => el("figure", { class: "side" }, pictured(pictures, image.image),
    el("figcaption", { class: "name" }, image.image), el("span", { class: "quiet" }, placeText(image)),
    el("span", { class: "quiet" }, at === 0 ? "the first" : image.exact ? "same content" :
      known(image.likeness) ? `likeness ${fixed(image.likeness, 4)}` : "another category")));
  const more = found.images.length - shown.length;
  const words = [found.leak && "▲ in two splits", found.label_conflict && "▲ good and defective",
    found.kind === "exact" ? "same content" : "near-duplicates"].filter(Boolean).join(", ");
  return el("div", { class: "card set", "data-set": index }, el("strong", { class: found.leak || found.label_conflict ? "failed" : null },
    `Set ${index + 1}: ${words}`), el("div", { class: "members" }, cells), more > 0 && el("span", { class: "quiet" }, `and ${more} more; audit.json lists all`));
}

function paged(cards, step = 24) {
  const grid = el("div", { class: "gallery audit" });
  const more = el("button", { type: "button", class: "more" }, "show more");
  let shown = 0;
  function draw() {
    grid.append(...cards.slice(shown, shown + step));
    shown += step;
    more.hidden = shown >= cards.length;
  }
  more.addEventListener("click", draw);
  draw();
  return [grid, more];
}

function duplicateSection(audit) {
  if (!audit.duplicates.length) return section("Copies", el("p", {}, "None were found."));
  const pictures = block("copies") || {};
  const cards = audit.duplicates.slice(0, audit.shown_sets).map((found, index) => setCard(found, index, pictures, audit));
  const left = audit.duplicates.length - cards.length;
  const [grid, more] = paged(cards, 12);
  grid.classList.add("sets");
  return section("Copies", el("p", { class: "quiet" }, "The most dangerous first. Likeness compares what two images have beyond the " +
    `mean of their category; ${audit.settings.likeness} and more is listed. Near-duplicates may be two photographs of one part: look.`),
  grid, more, left > 0 && el("p", { class: "quiet" }, `${plural(left, "more set")} in audit.json`));
}

function outlierCard(one, pictures) {
  return el("div", { class: "card", "data-image": one.image, "data-rank": one.rank }, pictured(pictures, one.image),
    el("strong", {}, `rank ${one.rank} · z ${fixed(one.z, 1)}`), el("span", { class: "name" }, one.image),
    el("span", { class: "quiet" }, `score ${short(one.score, 5)} · ${one.split || ""}`));
}

function outlierSection(audit) {
  if (!audit.outliers.length) return null;
  const host = el("div", {});
  const names = audit.outliers.map((part) => part.category || "all");
  const bar = chooser("category", names, (index) => {
    const part = audit.outliers[index];
    const pictures = block(`outliers-${index}`) || {};
    host.replaceChildren(el("p", { class: "quiet" }, `${plural(part.images, "good image")}, each scored by one of ${part.folds} models ` +
      `that have not seen it (fitted on at most ${part.fitted_on}). z: robust standard deviations above the median.`),
    ...paged(part.ranked.map((one) => outlierCard(one, pictures))));
  });
  return section("Good images that look least like the others", bar, host);
}

function oddSection(audit) {
  if (!audit.odd.length) return null;
  const pictures = block("odd") || {};
  const rows = audit.odd.slice(0, 200).map((odd) => [known((pictures[odd.image] || [])[0])
    ? el("span", { class: "thumb" }, asImage(pictures[odd.image][0], "the image")) : "", ODD_WORDS[odd.kind] || odd.kind,
  el("span", { class: "name" }, odd.image), placeText(odd), odd.message]);
  return section("Images of another kind", plainTable([{ title: "" }, { title: "what" }, { title: "image" }, { title: "where" },
    { title: "" }], rows), audit.odd.length > 200 && el("p", { class: "quiet" }, `and ${audit.odd.length - 200} more in audit.json`));
}

function auditPage(page) {
  const audit = block("audit");
  page.append(...[el("header", { class: "top" }, el("h1", {}, `Audit of ${audit.dataset}`),
    el("p", { class: "quiet" }, `${plural(audit.images, "image")}`), findings(audit)),
  duplicateSection(audit), outlierSection(audit), oddSection(audit),
  section("How", facts([["model", audit.model && audit.model.name], ["parameters", audit.model && JSON.stringify(audit.model.params)],
    ["seed", audit.model && audit.model.seed]]), audit.notes.map((note) => el("p", { class: "quiet" }, note)),
  el("p", {}, "To leave images out: mark them in review.csv, then pyimgano datasets manifest DATASET --exclude review.csv --output FILE."))]
    .filter(Boolean));
}

auditPage(document.getElementById("page"));
