// Charts drawn as SVG. Kinds of images differ in place and shape, too, never in colour alone.

function scale([from, to], [start, end]) {
  const span = to - from || 1;
  const map = (value) => start + ((value - from) / span) * (end - start);
  map.invert = (at) => from + ((at - start) / (end - start)) * span;
  return map;
}

function ticks([low, high], count) {
  const raw = (high - low || 1) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
  const found = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + 1e-9 * step; index++) found.push(index * step);
  return found.map((value) => Number(value.toPrecision(12)));
}

function path(points) {
  return points.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

const text = (x, y, anchor, content, name) => svg("text", { x, y, "text-anchor": anchor, class: name }, content);

// The two axes of a chart, with their grid.
function axes(box, x, y, xDomain, yDomain, xLabel, yLabel) {
  return svg("g", { class: "axes", "aria-hidden": "true" },
    ticks(xDomain, 5).map((value) => [
      svg("line", { x1: x(value), x2: x(value), y1: box.top, y2: box.bottom, class: "grid" }),
      text(x(value), box.bottom + 16, "middle", short(value, 3))]),
    ticks(yDomain, 5).map((value) => [
      svg("line", { x1: box.left, x2: box.right, y1: y(value), y2: y(value), class: "grid" }),
      text(box.left - 6, y(value) + 4, "end", short(value, 3))]),
    text((box.left + box.right) / 2, box.bottom + 34, "middle", xLabel),
    svg("text", { x: 0, y: 0, "text-anchor": "middle",
      transform: `translate(12 ${(box.top + box.bottom) / 2}) rotate(-90)` }, yLabel));
}

// A curve of [x, y, threshold] points. `mark(x, y)` moves its operating point; null hides it.
function curve({ title, points, xLabel, yLabel, xDomain = [0, 1], yDomain = [0, 1], diagonal = false }) {
  const box = { left: 52, right: 350, top: 10, bottom: 250 };
  const x = scale(xDomain, [box.left, box.right]);
  const y = scale(yDomain, [box.bottom, box.top]);
  const inside = points.filter(([at]) => at >= xDomain[0] && at <= xDomain[1]);
  const dot = svg("circle", { r: 5.5, class: "operating", visibility: "hidden" });
  const near = svg("circle", { r: 3.5, class: "near", visibility: "hidden" });
  const caption = el("figcaption", {}, title);
  const hover = (event) => {
    const frame = drawing.getBoundingClientRect();
    const at = [((event.clientX - frame.left) / frame.width) * 364, ((event.clientY - frame.top) / frame.height) * 292];
    const distance = ([px, py]) => (x(px) - at[0]) ** 2 + (y(py) - at[1]) ** 2;
    const best = inside.reduce((one, other) => (distance(other) < distance(one) ? other : one));
    fill(near, { cx: x(best[0]), cy: y(best[1]), visibility: "visible" }, []);
    caption.textContent = `${title}: ${xLabel} ${short(best[0], 4)}, ${yLabel} ${short(best[1], 4)} at ≥ ${short(best[2])}`;
  };
  const drawing = svg("svg", { viewBox: "0 0 364 292", role: "img", "aria-label": title, onpointermove: hover,
    onpointerleave: () => {
      near.setAttribute("visibility", "hidden");
      caption.textContent = title;
    } },
  axes(box, x, y, xDomain, yDomain, xLabel, yLabel),
  diagonal && svg("line", { x1: x(0), y1: y(0), x2: x(1), y2: y(1), class: "diagonal" }),
  svg("path", { d: path(inside.map(([px, py]) => [x(px), y(py)])), class: "curve" }), near, dot);
  return {
    node: el("figure", { class: "chart" }, drawing, caption),
    mark(px, py) {
      const visible = known(px) && known(py) && px <= xDomain[1];
      dot.setAttribute("visibility", visible ? "visible" : "hidden");
      if (visible) fill(dot, { cx: x(px), cy: y(py) }, []);
    },
  };
}

// Horizontal bars with a whisker: rows of {name, value, spread}.
function bars({ title, rows, domain, format }) {
  const [left, right, line] = [170, 560, 26];
  const x = scale(domain, [left, right]);
  const clamp = (value) => x(Math.min(domain[1], Math.max(domain[0], value)));
  const bottom = 8 + line * rows.length;
  const drawing = svg("svg", { viewBox: `0 0 660 ${bottom + 30}`, role: "img", "aria-label": title },
    ticks(domain, 5).map((value) => [
      svg("line", { x1: x(value), x2: x(value), y1: 4, y2: bottom, class: "grid" }),
      text(x(value), bottom + 18, "middle", short(value, 3))]),
    rows.map((row, index) => {
      const y = 8 + line * index;
      const whisker = known(row.spread) && known(row.value);
      return svg("g", {}, svg("title", {}, row.name),
        text(left - 8, y + 14, "end", row.name.length > 24 ? `${row.name.slice(0, 23)}…` : row.name),
        known(row.value) && svg("rect", { x: left, y: y + 2, width: Math.max(0, clamp(row.value) - left), height: 16,
          class: "bar" }),
        whisker && svg("path", { class: "whisker",
          d: `M${clamp(row.value - row.spread)} ${y + 10}H${clamp(row.value + row.spread)}` }),
        text(right + 8, y + 14, "start", format(row)));
    }));
  return el("figure", { class: "chart wide" }, drawing, el("figcaption", {}, title));
}

// Points {name, x, y} with their names.
function scatter({ title, points, xLabel, yLabel, yDomain }) {
  const box = { left: 56, right: 520, top: 12, bottom: 270 };
  const widest = Math.max(...points.map((point) => point.x)) * 1.15;
  const x = scale([0, widest], [box.left, box.right]);
  const y = scale(yDomain, [box.bottom, box.top]);
  return el("figure", { class: "chart wide" }, svg("svg", { viewBox: "0 0 660 312", role: "img", "aria-label": title },
    axes(box, x, y, [0, widest], yDomain, xLabel, yLabel),
    points.map((point) => svg("g", {}, svg("title", {}, `${point.name}: ${short(point.x, 4)}, ${short(point.y, 4)}`),
      svg("circle", { cx: x(point.x), cy: y(point.y), r: 5, class: "bar" }),
      text(x(point.x) + 9, y(point.y) + 4, "start", point.name)))),
  el("figcaption", {}, title));
}
