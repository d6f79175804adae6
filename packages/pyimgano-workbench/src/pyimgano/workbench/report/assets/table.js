// A table that sorts by every column and filters. Only the rows in view are in the document, so that a hundred thousand scroll.

const ROW_HEIGHT = 46;

// columns: {title, numeric, value(row), cell(row) → text or node}; rows: any values.
// Returns {node, filter(predicate)}. Rows without a value sort last in both directions.
function dataTable(columns, rows, { height = 520, sort = null, label = "table" } = {}) {
  let shown = rows.slice();
  let order = sort || { column: -1, down: false };
  let keep = null;

  const head = el("tr", {}, columns.map((column, index) => el("th",
    { class: column.numeric ? "numeric" : null, scope: "col" },
    el("button", { type: "button", onclick: () => sortBy(index) }, column.title))));
  const body = el("tbody", {});
  const frame = el("div", { class: "window", tabindex: 0, role: "region", "aria-label": label },
    el("table", { class: "data", "aria-rowcount": rows.length + 1 }, el("thead", {}, head), body));
  frame.style.maxHeight = `${height}px`;
  const count = el("p", { class: "quiet", "data-count": "rows", "aria-live": "polite" });

  function spacer(items) {
    const node = el("tr", { class: "spacer", "aria-hidden": "true" }, el("td", { colspan: columns.length }));
    node.firstChild.style.height = `${items * ROW_HEIGHT}px`;
    return node;
  }

  let first = -1;
  let last = -1;
  function draw(force) {
    const top = Math.max(0, Math.floor(frame.scrollTop / ROW_HEIGHT) - 8);
    const end = Math.min(shown.length, top + Math.ceil(height / ROW_HEIGHT) + 16);
    if (!force && top === first && end === last) return;
    [first, last] = [top, end];
    const lines = [];
    for (let index = top; index < end; index++) {
      lines.push(el("tr", { "aria-rowindex": index + 2 },
        columns.map((column) => el("td", { class: column.numeric ? "numeric" : null }, column.cell(shown[index])))));
    }
    body.replaceChildren(spacer(top), ...lines, spacer(shown.length - end));
  }

  function arrange() {
    shown = keep ? rows.filter(keep) : rows.slice();
    const column = columns[order.column];
    if (column) {
      const keyed = shown.map((row, index) => [column.value(row), index, row]);
      keyed.sort(([a, i], [b, j]) => {
        if (!known(a) || !known(b)) return Number(!known(a)) - Number(!known(b)) || i - j;
        const way = a < b ? -1 : a > b ? 1 : 0;
        return (order.down ? -way : way) || i - j;
      });
      shown = keyed.map(([, , row]) => row);
    }
    [...head.children].forEach((cell, index) => {
      if (index === order.column) cell.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
    count.textContent = shown.length === rows.length ? plural(rows.length, "row")
      : `${shown.length.toLocaleString("en")} of ${plural(rows.length, "row")}`;
    frame.scrollTop = 0;
    draw(true);
  }

  function sortBy(index) {
    order = { column: index, down: order.column === index ? !order.down : Boolean(columns[index].numeric) };
    arrange();
  }

  frame.addEventListener("scroll", () => requestAnimationFrame(() => draw(false)), { passive: true });
  arrange();
  return {
    node: el("div", {}, count, frame),
    filter(predicate) {
      keep = predicate;
      arrange();
    },
    redraw() {
      draw(true);
    },
  };
}
