// Head view component, continued: what follows the pointer, the keyboard and the pin.

// Redraw everything that depends on the token looked at; no trip to Python.
function draw(view) {
  const { hover, focus, pinned, cell } = view;
  const token = cell ? queryAt(view, cell.i) : hover ?? focus ?? pinned;
  const row = cell ? cell.i : token === null ? null : rowOf(view, token);
  drawCross(view, row, cell ? cell.j : token === null ? null : columnOf(view, token));
  markChips(view, token, cell && cell.j >= 0 ? keyAt(view, cell.j) : null);
  view.summary.textContent = token === null
    ? "Point at a token, or move to it with Tab and the arrow keys, to see what it reads."
    : summarise(view, token);
}

// Orange row: what query i reads. Blue column: who reads key j.
function drawCross({ cross, geo, width, height, frame }, i, j) {
  const ctx = fitCanvas(cross, width, height);
  const { page } = themeOf(frame);
  const { x, y, wide, tall, cell, slot, slotX } = geo;
  // Lines run just outside the row and column, so the weights in them stay visible.
  const inset = 2;
  const thick = cell + 2 * inset;
  const left = slot ? slotX : x;
  // The page-coloured rim keeps the lines visible on cells of the same hue.
  const outline = (hue, ...box) => {
    for (const [colour, lineWidth] of [[page, 4], [rgba(hue, 1), 2]]) {
      Object.assign(ctx, { strokeStyle: colour, lineWidth });
      ctx.strokeRect(...box);
    }
  };
  if (j !== null && j >= 0) outline(READERS, x + j * cell - inset, y, thick, tall);
  if (i !== null) outline(READS, left, y + i * cell - inset, x + wide - left, thick);
}

function markChips(view, token, key) {
  const { chips, marks, pinned, header, places } = view;
  // Opacity 0 to 0.6 in steps of 0.04: text stays readable on it and few chips change at a time.
  const shade = (i, j) => {
    if (i === null || j === null) return 0;
    const share = Math.min(1, Math.abs(weight(view, i, j)) / header.color_max);
    return Math.round(15 * Math.log10(1 + 9 * share)) / 25;
  };
  const none = token === null;
  const [row, column] = none ? [null, null] : [rowOf(view, token), columnOf(view, token)];
  const same = (a, b) => b !== null && Math.floor(a / header.stride) === Math.floor(b / header.stride);
  chips.forEach((chip, at) => {
    const t = places[at];
    const top = none ? 0 : shade(row, columnOf(view, t));
    const bottom = none ? 0 : shade(rowOf(view, t), column);
    const role = same(t, token) ? "chip active" : same(t, key) ? "chip key" : "chip";
    const mark = `${top} ${bottom} ${role} ${t === pinned}`;
    if (marks[at] === mark) return;
    marks[at] = mark;
    chip.className = role;
    chip.setAttribute("aria-pressed", t === pinned);
    chip.style.backgroundImage = top || bottom
      ? `linear-gradient(${rgba(READS, top)} 50%, ${rgba(READERS, bottom)} 50%)` : "";
  });
}

// "token 5 ·cat reads most: 0 ·The 0.81, ...", the strip in words.
function summarise(view, token) {
  const { rows, columns, query, key, sink, stride, part } = view.header;
  const [row, column] = [rowOf(view, token), columnOf(view, token)];
  if (row === null && column === null) return `Token ${token} is pinned; it lies outside this window.`;
  const top = (count, first, valueOf) => {
    const found = Array.from({ length: count }, (_, c) => [first + c * stride, valueOf(c)])
      .filter(([, value]) => Math.abs(value) > view.step / 2)
      .sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]))
      .slice(0, 5)
      .map(([t, value]) => `${nameOf(view, t)} ${fmt(value, view.step)}`);
    return found.join(", ") || "nothing";
  };
  const here = part ? " here" : "";
  const reads = row === null ? "is no query of this window"
    : `reads most${here}: ${top(columns, key, (c) => weight(view, row, c))}`;
  const readers = column === null ? "it is no key of this window"
    : `read most${here} by: ${top(rows, query, (c) => weight(view, c, column))}`;
  const slot = sink && row !== null ? `; sink slot ${fmt(sink[row])}` : "";
  const first = token - ((token - (row === null ? key : query)) % stride);
  return `${stride > 1 ? "tokens" : "token"} ${nameOf(view, first)} ${reads}${slot};\n${readers}`;
}

// Row and column under the pointer; column -1 is the sink slot.
function hit({ base, geo, header }, event) {
  const frame = base.getBoundingClientRect();
  const [px, py] = [event.clientX - frame.left, event.clientY - frame.top];
  const i = Math.floor((py - geo.y) / geo.cell);
  const j = Math.floor((px - geo.x) / geo.cell);
  if (i < 0 || i >= header.rows || j >= header.columns) return null;
  if (j >= 0) return { i, j };
  return header.sink && px >= geo.slotX && px < geo.slotX + geo.slot ? { i, j: -1 } : null;
}

function onMatrix(view, event) {
  view.cell = event && hit(view, event);
  showTip(view.tip, event, view.cell ? tipText(view, view.cell) : "");
  later(view, draw);
}

function tipText(view, { i, j }) {
  const { sink, stride, causal } = view.header;
  const query = `query ${nameOf(view, queryAt(view, i), '"')} → `;
  if (j < 0) return `${query}sink slot: ${fmt(sink[i])}\n1 − sum of the row`;
  const key = `key ${nameOf(view, keyAt(view, j), '"')}: `;
  if (causal && keyAt(view, j) > queryAt(view, i)) {
    return `${query}${key}not readable, it comes later`;
  }
  const block = stride > 1 ? `\nlargest of ${stride} × ${stride} token pairs` : "";
  return query + key + fmt(weight(view, i, j), view.step) + block;
}

function onKey(view, event) {
  if (event.key === "Escape" && view.pinned !== null) pin(view, view.pinned);
  const last = view.chips.length - 1;
  const next = { ArrowLeft: view.tab - 1, ArrowRight: view.tab + 1, Home: 0, End: last }[event.key];
  if (!view.chips[next]) return;
  event.preventDefault();
  view.chips[next].focus();
}

function pin(view, t) {
  view.pinned = view.pinned === t ? null : t;
  view.send("pin", view.pinned ?? -1);
  view.live.textContent = view.pinned === null
    ? `token ${t} unpinned` : `pinned ${summarise(view, t)}`;
  draw(view);
}
