// Head view component, continued: what follows the pointer, the keyboard and the pin.

// Redraw everything that depends on the token looked at; no trip to Python.
function draw(view) {
  const { hover, focus, pinned, cell } = view;
  const token = hover ?? focus ?? pinned;
  const active = cell?.i ?? (token === null ? null : cellOf(view, token));
  drawCross(view, active, cell ? cell.j : active);
  markChips(view, active, cell ? cell.j : null);
  view.summary.textContent = active === null
    ? "Point at a token, or move to it with Tab and the arrow keys, to see what it reads."
    : summarise(view, active);
}

// Orange row: what query i reads. Blue column: who reads key j.
function drawCross({ cross, geo, width, height, frame }, i, j) {
  const ctx = fitCanvas(cross, width, height);
  if (i === null) return;
  const { page } = themeOf(frame);
  const { x, y, size, cell, slot, slotX } = geo;
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
  if (j >= 0) outline(READERS, x + j * cell - inset, y, thick, size);
  outline(READS, left, y + i * cell - inset, x + size - left, thick);
}

function markChips(view, active, key) {
  const { chips, marks, pinned, header } = view;
  // Opacity 0 to 0.6 in steps of 0.04: text stays readable on it and few chips change at a time.
  const shade = (i, j) => {
    const share = Math.min(1, Math.abs(weight(view, i, j)) / header.color_max);
    return Math.round(15 * Math.log10(1 + 9 * share)) / 25;
  };
  chips.forEach((chip, t) => {
    const c = Math.floor(t / header.stride);
    const top = active === null ? 0 : shade(active, c);
    const bottom = active === null ? 0 : shade(c, active);
    const role = c === active ? "chip active" : c === key ? "chip key" : "chip";
    const mark = `${top} ${bottom} ${role} ${t === pinned}`;
    if (marks[t] === mark) return;
    marks[t] = mark;
    chip.className = role;
    chip.setAttribute("aria-pressed", t === pinned);
    chip.style.backgroundImage = top || bottom
      ? `linear-gradient(${rgba(READS, top)} 50%, ${rgba(READERS, bottom)} 50%)` : "";
  });
}

// "token 5 ·cat reads most: 0 ·The 0.81, ...", the strip in words.
function summarise(view, active) {
  const { n, sink, stride } = view.header;
  const top = (valueOf) => {
    const found = Array.from({ length: n }, (_, c) => [c, valueOf(c)])
      .filter(([, value]) => Math.abs(value) > view.step / 2)
      .sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]))
      .slice(0, 5)
      .map(([c, value]) => `${nameOf(view, c)} ${fmt(value, view.step)}`);
    return found.join(", ") || "nothing";
  };
  const slot = sink ? `; sink slot ${fmt(sink[active])}` : "";
  const reads = top((c) => weight(view, active, c));
  const readers = top((c) => weight(view, c, active));
  return `${stride > 1 ? "tokens" : "token"} ${nameOf(view, active)} reads most: ${reads}${slot};\n`
    + `read most by: ${readers}`;
}

// Row and column under the pointer; column -1 is the sink slot.
function hit({ base, geo, header }, event) {
  const frame = base.getBoundingClientRect();
  const [px, py] = [event.clientX - frame.left, event.clientY - frame.top];
  const i = Math.floor((py - geo.y) / geo.cell);
  const j = Math.floor((px - geo.x) / geo.cell);
  if (i < 0 || i >= header.n || j >= header.n) return null;
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
  const query = `query ${nameOf(view, i, '"')} → `;
  if (j < 0) return `${query}sink slot: ${fmt(sink[i])}\n1 − sum of the row`;
  const key = `key ${nameOf(view, j, '"')}: `;
  if (causal && j > i) return `${query}${key}not readable, it comes later`;
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
    ? `token ${t} unpinned` : `pinned ${summarise(view, cellOf(view, t))}`;
  draw(view);
}
