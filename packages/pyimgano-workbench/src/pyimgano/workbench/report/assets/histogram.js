// Scores of good images above the axis, of defective ones below it, and thresholds to drag with pointer or keyboard.

// groups: {good, defective, unlabelled} ascending arrays; strip: held-out scores; lines: [{id, label, value}], which
// may be moved: onMove(id, value). Returns {node, set(id, value), domain}.
function histogram({ groups, strip, lines, onMove }) {
  const everything = [groups.good, groups.defective, groups.unlabelled, strip].filter((values) => values.length);
  const ends = lines.map((line) => line.value);
  for (const values of everything) ends.push(values[0], values[values.length - 1]);
  const pad = 0.03 * (Math.max(...ends) - Math.min(...ends)) || 0.5;
  const whole = [Math.min(...ends) - pad, Math.max(...ends) + pad];
  let domain = whole;
  const values = Object.fromEntries(lines.map((line) => [line.id, line.value]));
  const figure = el("figure", { class: "chart histogram" });
  const height = 300;
  const middle = 128;
  const bottom = 236;
  let handles = {};
  let x = null;

  function binned(sorted, bins) {
    const counts = new Array(bins).fill(0);
    const width = (domain[1] - domain[0]) / bins;
    for (const value of sorted) {
      const at = Math.floor((value - domain[0]) / width);
      if (at >= 0 && at < bins) counts[at] += 1;
    }
    return counts;
  }

  function drawBars(sorted, name, bins, up, unit) {
    const width = (domain[1] - domain[0]) / bins;
    return binned(sorted, bins).map((count, index) => {
      if (count === 0) return null;
      const from = domain[0] + index * width;
      const tall = Math.max(2, count * unit);
      const [left, right] = [x(from), x(from + width)];
      return svg("rect", { x: left + 0.5, width: Math.max(1, right - left - 1), y: up ? middle - tall : middle,
        height: tall, class: name },
      svg("title", {}, `${plural(count, `${name} image`)}, score ${short(from, 5)} to ${short(from + width, 5)}`));
    });
  }

  function draw() {
    const width = Math.max(320, figure.clientWidth || 900);
    x = scale(domain, [54, width - 14]);
    const bins = Math.max(20, Math.min(80, Math.round(width / 14)));
    // Shares of their own class, on one scale: a line sees far more good images than defective ones.
    const share = (sorted) => (sorted.length ? Math.max(...binned(sorted, bins)) / sorted.length : 0);
    const highest = Math.max(share(groups.good), share(groups.defective), share(groups.unlabelled)) || 1;
    const unit = (sorted) => (sorted.length ? 104 / (highest * sorted.length) : 0);
    handles = {};
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group",
      "aria-label": "histogram of the scores" },
    ticks(domain, Math.max(4, Math.round(width / 120))).map((value) => [
      svg("line", { x1: x(value), x2: x(value), y1: 20, y2: bottom, class: "grid" }),
      text(x(value), height - 18, "middle", short(value, 5))]),
    [0, highest / 2, highest].map((value) => [1, -1].map((side) => (value || side > 0) &&
      text(48, middle - (side * 104 * value) / highest + 4, "end", percent(value, 0)))),
    drawBars(groups.unlabelled, "unlabelled", bins, true, unit(groups.unlabelled)),
    drawBars(groups.good, "good", bins, true, unit(groups.good)),
    drawBars(groups.defective, "defective", bins, false, unit(groups.defective)),
    svg("line", { x1: x(domain[0]), x2: x(domain[1]), y1: middle, y2: middle, class: "axis" }),
    text(58, 32, "start", "good ▲", "legend good-text"),
    text(58, bottom - 6, "start", "defective ▼", "legend defective-text"),
    Array.from(strip, (value) => value >= domain[0] && value <= domain[1] &&
      svg("line", { x1: x(value), x2: x(value), y1: bottom + 4, y2: bottom + 16, class: "held-out" })),
    text(x(domain[0]), height - 4, "start", strip.length ? "score →   (│ held-out good images)" : "score →"),
    lines.map((line) => (handles[line.id] = handle(line))));
    figure.replaceChildren(drawing);
    for (const line of lines) place(line.id);
  }

  function handle(line) {
    const node = svg("g", { class: `threshold ${line.id}`, tabindex: 0, role: "slider", "data-slider": line.id,
      "aria-orientation": "horizontal", "aria-label": line.label },
    svg("rect", { x: -9, y: 2, width: 18, height: bottom + 14, class: "grip" }),
    svg("line", { x1: 0, x2: 0, y1: 18, y2: bottom + 16 }),
    svg("path", { d: "M-8 4H8V12L0 20L-8 12Z" }),
    svg("text", { x: 12, y: 15 }, line.label));
    node.addEventListener("pointerdown", (event) => {
      node.setPointerCapture(event.pointerId);
      node.focus();
      event.preventDefault();
    });
    node.addEventListener("pointermove", (event) => {
      if (!node.hasPointerCapture(event.pointerId)) return;
      const frame = figure.firstChild.getBoundingClientRect();
      move(line.id, x.invert(event.clientX - frame.left));
    });
    node.addEventListener("keydown", (event) => {
      const step = (domain[1] - domain[0]) / 400;
      const by = { ArrowRight: step, ArrowUp: step, ArrowLeft: -step, ArrowDown: -step, PageUp: 20 * step,
        PageDown: -20 * step }[event.key];
      const to = { Home: domain[0], End: domain[1] }[event.key];
      if (by === undefined && to === undefined) return;
      event.preventDefault();
      move(line.id, to === undefined ? values[line.id] + by * (event.shiftKey ? 10 : 1) : to);
    });
    return node;
  }

  function move(id, value) {
    onMove(id, Math.min(domain[1], Math.max(domain[0], value)));
  }

  function place(id) {
    const node = handles[id];
    if (!node) return;
    const value = values[id];
    const at = x(Math.min(domain[1], Math.max(domain[0], value)));
    node.setAttribute("transform", `translate(${at} 0)`);
    const label = node.querySelector("text");
    // Labels stay inside the picture, and the lower line's stands on its left: the two lines may be close.
    const right = at > x(domain[1]) - 110 || (lines.length > 1 && id === lines[0].id && at > x(domain[0]) + 70);
    label.setAttribute("x", right ? -12 : 12);
    label.setAttribute("text-anchor", right ? "end" : "start");
    fill(node, { "aria-valuemin": domain[0], "aria-valuemax": domain[1], "aria-valuenow": value,
      "aria-valuetext": short(value) }, []);
  }

  let width = 0;
  new ResizeObserver(() => {
    if (Math.abs(figure.clientWidth - width) < 1) return;
    width = figure.clientWidth;
    draw();
  }).observe(figure);
  draw();
  return {
    node: figure,
    set(id, value) {
      values[id] = value;
      place(id);
    },
    // Leave out the highest hundredth, which may be far away, or show everything.
    zoom(close) {
      const tops = everything.map((sorted) => sorted[Math.floor(0.99 * (sorted.length - 1))]);
      const high = Math.max(...tops, ...Object.values(values)) + pad * 0.2;
      domain = close ? [whole[0], high] : whole;
      draw();
    },
  };
}
