// Head view component: attention matrix of one head, linked to a strip of its tokens.

const MAX_WIDTH = 560;
const LABEL_CELL = 11;
const MAX_CELL = 64;
const MAX_LABEL = 62;
// What a token reads, and who reads it, everywhere in this component.
const READS = NEGATIVE;
const READERS = INK;

const views = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const view = views.get(parentElement) ?? mount(parentElement);
  view.send = setTriggerValue;
  load(view, unpack(data));
  return () => {
    view.watch.disconnect();
    views.delete(parentElement);
  };
}

function mount(root) {
  const part = (name) => root.querySelector(`[data-testid="head-view${name}"]`);
  const view = {
    frame: part(""), title: part("-title"), matrix: part("-matrix"), note: part("-note"),
    strip: part("-strip"), summary: part("-summary"), live: part("-live"), tip: part("-tip"),
    base: root.querySelector(".base"), cross: root.querySelector(".cross"),
    chips: [], marks: [], pinned: null, hover: null, focus: null, cell: null,
  };
  views.set(root, view);
  view.watch = new ResizeObserver(() => layout(view));
  view.watch.observe(view.matrix);
  listen(view);
  return view;
}

function listen(view) {
  const { base, strip, frame } = view;
  base.onpointermove = (event) => onMatrix(view, event);
  base.onpointerleave = () => onMatrix(view, null);
  base.onclick = (event) => {
    const spot = hit(view, event);
    if (spot) pin(view, queryAt(view, spot.i));
  };
  const chipOf = (event) => event.target.closest(".chip")?.dataset.index;
  const hover = (name, t) => {
    view[name] = t === undefined ? null : Number(t);
    later(view, draw);
  };
  strip.onpointerover = (event) => hover("hover", chipOf(event));
  strip.onpointerleave = () => hover("hover");
  strip.onclick = (event) => {
    const t = chipOf(event);
    if (t !== undefined) pin(view, Number(t));
  };
  // Mouse clicks focus a chip too; only the keyboard's focus should keep it shown.
  strip.addEventListener("focusin", (event) => {
    rove(view, view.places.indexOf(Number(chipOf(event))));
    if (!event.target.matches(":focus-visible")) return;
    hover("focus", chipOf(event));
    view.live.textContent = summarise(view, Number(chipOf(event)));
  });
  strip.addEventListener("focusout", () => hover("focus"));
  frame.onkeydown = (event) => onKey(view, event);
}

function load(view, { header, body }) {
  const old = view.header;
  const codes = body.byteOffset % 2 ? body.slice() : body;
  view.codes = new Uint16Array(codes.buffer, codes.byteOffset, header.rows * header.columns);
  view.step = (header.high - header.low) / 65535;
  view.header = header;
  const shape = ({ rows, columns, query, key }) => `${[rows, columns, query, key]}`;
  if (!old || shape(old) !== shape(header)) view.cell = null;
  const retokened = JSON.stringify(old?.runs) !== JSON.stringify(header.runs);
  if (retokened) fillStrip(view);
  // Python's pin wins when it changed; otherwise what the reader pinned here stays.
  if (retokened || old.pinned !== header.pinned) view.pinned = header.pinned;
  describe(view);
  layout(view);
}

function describe({ header, title, matrix, note, frame }) {
  title.textContent = header.label;
  frame.classList.toggle("waiting", header.waiting);
  const name = `attention matrix ${header.label}; the token strip below has the values`;
  matrix.setAttribute("aria-label", name);
  const { stride } = header;
  note.textContent = [
    header.signed ? "blue positive, orange negative" : "",
    `full colour from ${header.signed ? "|weight|" : "weight"} ${fmt(header.color_max)} up`,
    header.sink ? "sink slot: full colour at 1" : "",
    stride > 1 ? `each cell is the largest weight in ${stride} × ${stride} tokens` : "",
    header.causal && header.key + header.columns > header.query + 1
      ? "hatched: later tokens, not readable" : "",
  ].filter(Boolean).join(" · ");
}

// A run is tokens in a row: one for a whole prompt, two where a window's queries and keys lie apart.
function fillStrip(view) {
  view.names = new Map(view.header.runs.flatMap(([first, labels]) =>
    labels.map((label, k) => [first + k, label])));
  view.places = [...view.names.keys()];
  view.chips = view.places.map((t) => {
    const chip = document.createElement("button");
    Object.assign(chip, { type: "button", textContent: view.names.get(t), tabIndex: -1 });
    chip.dataset.index = t;
    chip.dataset.testid = "token-chip";
    chip.setAttribute("aria-label", `token ${t} ${view.names.get(t)}`);
    return chip;
  });
  view.marks = [];
  Object.assign(view, { hover: null, focus: null, cell: null });
  view.strip.replaceChildren(...view.chips);
  view.header.runs.slice(1).forEach(([first]) => {
    const gap = Object.assign(document.createElement("span"), { className: "gap", textContent: "…" });
    view.strip.insertBefore(gap, view.chips[view.places.indexOf(first)]);
  });
  rove(view, 0);
}

// One chip at a time can be reached with Tab; arrows move between chips.
function rove(view, at) {
  if (view.chips[view.tab]) view.chips[view.tab].tabIndex = -1;
  view.tab = at;
  if (view.chips[at]) view.chips[at].tabIndex = 0;
}

const weight = ({ header, codes, step }, i, j) => header.low + step * codes[i * header.columns + j];
const queryAt = ({ header }, i) => header.query + i * header.stride;
const keyAt = ({ header }, j) => header.key + j * header.stride;

// The row or column that holds a token, or null where the matrix on show has none.
function within(t, first, count, stride) {
  const at = Math.floor((t - first) / stride);
  return at >= 0 && at < count ? at : null;
}
const rowOf = ({ header: { query, rows, stride } }, t) => within(t, query, rows, stride);
const columnOf = ({ header: { key, columns, stride } }, t) => within(t, key, columns, stride);

// The token from which a cell starts, or the first and the last one of its block.
function nameOf({ header, names }, first, quote = "") {
  let last = first;
  while (last < first + header.stride - 1 && names.has(last + 1)) last++;
  const text = first === last ? names.get(first) : `${names.get(first)}…${names.get(last)}`;
  return `${first === last ? first : `${first}–${last}`} ${quote}${text}${quote}`;
}

// Pixels show the strongest weight when the screen has fewer of them than the matrix.
function paint(view, pixels) {
  const { rows, columns, color_max } = view.header;
  const pool = Math.max(1, Math.ceil(columns / pixels));
  const [wide, tall] = [Math.ceil(columns / pool), Math.ceil(rows / pool)];
  const strongest = new Float32Array(wide * tall);
  for (let i = 0; i < rows; i++) {
    const row = Math.floor(i / pool) * wide;
    for (let j = 0; j < columns; j++) {
      const value = weight(view, i, j);
      const at = row + Math.floor(j / pool);
      if (Math.abs(value) > Math.abs(strongest[at])) strongest[at] = value;
    }
  }
  const picture = new ImageData(wide, tall);
  strongest.forEach((value, at) => {
    const alpha = Math.sqrt(Math.min(1, Math.abs(value) / color_max));
    picture.data.set([...(value < 0 ? NEGATIVE : INK), Math.round(255 * alpha)], 4 * at);
  });
  const canvas = new OffscreenCanvas(wide, tall);
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return { canvas, pool };
}

// Margins hold token labels when cells are large enough, position ticks otherwise.
function layout(view) {
  const width = Math.min(MAX_WIDTH, view.matrix.clientWidth);
  if (!view.header || !width) return;
  const { rows, columns, sink } = view.header;
  const fit = (margin) => {
    const slot = sink ? clamp((width - margin) / (columns + 1), 14, 28) : 0;
    const x = margin + (sink ? slot + 8 : 0);
    return { x, slot, slotX: margin, cell: Math.min(MAX_CELL, (width - x - 1) / columns) };
  };
  const labels = 26 + widestLabel(view);
  const named = fit(labels).cell >= LABEL_CELL;
  const geo = { ...fit(named ? labels : 46), named, y: Math.max(named ? labels : 34, sink ? 74 : 0) };
  Object.assign(geo, { wide: geo.cell * columns, tall: geo.cell * rows });
  Object.assign(view, { geo, width, height: geo.y + geo.tall + 1 });
  drawBase(view);
  draw(view);
}

function widestLabel({ header, names, base, frame }) {
  if (header.columns > MAX_WIDTH / LABEL_CELL) return MAX_LABEL;
  const ctx = base.getContext("2d");
  ctx.font = `11px ${themeOf(frame).code}`;
  const widths = [...names.values()].map((label) => ctx.measureText(label).width);
  return clamp(Math.max(...widths), 14, MAX_LABEL);
}

function drawBase(view) {
  const { geo, header, base, frame, width, height } = view;
  const { x, y, wide, tall, cell } = geo;
  const theme = themeOf(frame);
  const ctx = fitCanvas(base, width, height);
  if (header.causal) hatchFuture(ctx, view, theme.faint);
  const { canvas, pool } = paint(view, wide * devicePixelRatio);
  ctx.imageSmoothingEnabled = false;
  ctx.drawImage(canvas, x, y, canvas.width * pool * cell, canvas.height * pool * cell);
  if (header.sink) drawSink(ctx, view);
  ctx.strokeStyle = theme.faint;
  ctx.strokeRect(x - 0.5, y - 0.5, wide + 1, tall + 1);
  ctx.fillStyle = theme.text;
  ctx.font = `12px ${theme.font}`;
  writeAt(ctx, "key (read from)", x + wide / 2, 12, 0, "center");
  writeAt(ctx, "query (reads)", 12, y + tall / 2, -Math.PI / 2, "center");
  if (header.sink) writeAt(ctx, "sink slot", geo.slotX + geo.slot / 2 + 4, y - 5, -Math.PI / 2, "left");
  ctx.font = `11px ${geo.named ? theme.code : theme.font}`;
  drawTicks(ctx, view);
}

function hatchFuture(ctx, view, colour) {
  const { geo: { x, y, wide, tall, cell }, header } = view;
  const path = new Path2D();
  for (let i = 0; i < header.rows; i++) {
    const past = Math.max(0, (queryAt(view, i) - header.key) / header.stride + 1) * cell;
    if (past < wide) path.rect(x + past, y + i * cell, wide - past, cell);
  }
  hatch(ctx, path, { x, y, width: wide, height: tall }, colour);
}

// The slot has its own scale: a sink near 1 would say nothing in the colours of the other keys.
function drawSink(ctx, { geo, header }) {
  header.sink.forEach((mass, i) => {
    ctx.fillStyle = rgba(INK, Math.sqrt(clamp(mass, 0, 1)));
    ctx.fillRect(geo.slotX, geo.y + i * geo.cell, geo.slot, geo.cell);
  });
  ctx.strokeStyle = rgba(INK, 0.6);
  ctx.strokeRect(geo.slotX - 0.5, geo.y - 0.5, geo.slot + 1, geo.tall + 1);
}

function drawTicks(ctx, { geo, header, names, width }) {
  const { rows, columns, query, key, stride } = header;
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
  const every = geo.named ? 1 : steps.find((s) => s * geo.cell >= 42) ?? columns;
  const label = (t) => (geo.named ? shorten(ctx, names.get(t), MAX_LABEL) : String(t));
  const middles = (first, count) => {
    const start = (every - ((first / stride) % every)) % every;
    return Array.from({ length: Math.ceil((count - start) / every) }, (_, k) => start + k * every)
      .map((c) => [label(first + c * stride), (c + 0.5) * geo.cell]);
  };
  for (const [text, middle] of middles(query, rows)) {
    writeAt(ctx, text, geo.slotX - 5, geo.y + middle + 4, 0, "right");
  }
  for (const [text, middle] of middles(key, columns)) {
    if (geo.named) writeAt(ctx, text, geo.x + middle + 4, geo.y - 5, -Math.PI / 2, "left");
    else {
      const inside = width - ctx.measureText(text).width / 2;
      writeAt(ctx, text, Math.min(geo.x + middle, inside), geo.y - 6, 0, "center");
    }
  }
}

function writeAt(ctx, text, x, y, turn, align) {
  ctx.save();
  ctx.translate(x, y);
  ctx.rotate(turn);
  ctx.textAlign = align;
  ctx.fillText(text, 0, 0);
  ctx.restore();
}

function shorten(ctx, text, width) {
  let cut = text;
  while (cut.length > 1 && ctx.measureText(cut).width > width) cut = `${cut.slice(0, -2)}…`;
  return cut;
}
