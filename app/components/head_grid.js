// Head grid component: every head's attention thumbnail on one canvas, to pick by mouse or keys.

const MAX_HEIGHT = 640;
const BAR = 4;
const LABELS = 34;
// Metric colours differ from the ink so that a tint is not read as attention.
const HIGH = [47, 158, 68];
const LOW = [194, 37, 92];

const grids = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const grid = grids.get(parentElement) ?? mount(parentElement);
  grid.send = setTriggerValue;
  update(grid, unpack(data));
  return () => {
    grid.watch.disconnect();
    grids.delete(parentElement);
  };
}

function mount(root) {
  const part = (name) => root.querySelector(`[data-testid="head-grid${name}"]`);
  const grid = {
    box: part(""), canvas: part("-canvas"), ring: part("-ring"), legend: part("-legend"),
    note: part("-note"), live: part("-live"), tip: part("-tip"), sheet: root.querySelector(".sheet"),
    turn: 0, focus: 0, hover: null, cells: [],
  };
  grids.set(root, grid);
  grid.watch = new ResizeObserver(() => grid.header && layout(grid));
  grid.watch.observe(grid.box);
  grid.box.onscroll = () => later(grid, draw);
  grid.box.onkeydown = (event) => onKey(grid, event);
  grid.canvas.onpointermove = (event) => onHover(grid, event);
  grid.canvas.onpointerleave = () => onHover(grid, null);
  grid.canvas.onclick = (event) => {
    const found = hit(grid, event);
    if (found >= 0) pick(grid, found);
  };
  return grid;
}

async function update(grid, { header, body }) {
  const turn = ++grid.turn;
  const bitmap = await createImageBitmap(new Blob([body], { type: "image/png" }));
  if (turn !== grid.turn) return;
  const moved = String(grid.header?.selected) !== String(header.selected);
  const reordered = String(grid.header?.order) !== String(header.order);
  Object.assign(grid, { header, bitmap, scale: scaleOf(header) });
  describe(grid);
  layout(grid);
  if (moved || reordered) {
    grid.focus = Math.max(0, grid.cells.findIndex((cell) => isSelected(grid, cell)));
    // A new ranking starts with its strongest head; otherwise the selected head comes into view.
    if (reordered && header.order) grid.box.scrollTop = 0;
    else reveal(grid);
    draw(grid);
  }
}

// The tint runs from 0 to the largest value, or both ways from 0 when some are negative.
function scaleOf({ values, measured }) {
  const read = values.slice(0, measured).flat();
  const known = read.filter((v) => v !== null);
  const [min, max] = [Math.min(0, ...known), Math.max(0, ...known)];
  return { diverging: min < 0, max: Math.max(-min, max), gaps: known.length < read.length };
}

function describe({ header, scale, legend, note, box }) {
  const show = (name, text) => { legend.querySelector(name).textContent = text; };
  show(".name", header.unit ? `${header.metric} (${header.unit})` : header.metric);
  show(".low", !header.measured ? "" : scale.diverging ? fmt(-scale.max) : "0");
  show(".high", header.measured ? fmt(scale.max) : "");
  const ends = scale.diverging ? [rgba(LOW, 0.85), "transparent"] : ["transparent"];
  const stops = [...ends, rgba(HIGH, 0.85)];
  legend.querySelector(".ramp").style.background = `linear-gradient(to right, ${stops})`;
  legend.querySelector(".undefined").hidden = !scale.gaps;
  const ink = header.signed ? "pictures: blue positive, orange negative weight" : "";
  const grouped = header.group_size > 1 && !header.order;
  const groups = grouped ? "heads sharing a key/value head stand together" : "";
  note.textContent = [groups, ink].filter(Boolean).join(" · ");
  const order = header.order ? "Heads, strongest first" : "Heads by layer";
  box.setAttribute("aria-label", `${order}, ${header.metric}`);
}

const isSelected = ({ header }, { l, h }) => header.selected[0] === l && header.selected[1] === h;

function layout(grid) {
  const { header, box, sheet } = grid;
  const width = box.clientWidth;
  if (!width) return;
  Object.assign(grid, header.order ? placeRanked(header, width) : placeLayers(header, width));
  const last = grid.cells.at(-1);
  grid.width = Math.max(width, ...grid.cells.map((cell) => cell.x + grid.side + 2));
  grid.height = last ? last.y + grid.pitchY : grid.top;
  sheet.style.width = `${grid.width}px`;
  sheet.style.height = `${grid.height}px`;
  draw(grid);
}

function placeLayers({ n_layers, n_heads, group_size }, width) {
  const grouped = group_size > 1;
  const top = grouped ? 28 : 20;
  const breaks = grouped ? Math.ceil(n_heads / group_size) - 1 : 0;
  const pitch = Math.floor((width - LABELS - 8 * breaks) / n_heads);
  const gap = pitch < 26 ? 1 : 4;
  // Fill the width, but with many layers keep rows low so that a dozen stay in view.
  const tallest = clamp(Math.floor((MAX_HEIGHT - top) / n_layers) - BAR - gap, 40, 120);
  const side = clamp(pitch - gap, 8, tallest);
  const cells = [];
  for (let l = 0; l < n_layers; l++) {
    for (let h = 0; h < n_heads; h++) {
      const x = LABELS + h * (side + gap) + (grouped ? 8 * Math.floor(h / group_size) : 0);
      cells.push({ l, h, x, y: top + l * (side + BAR + gap) });
    }
  }
  return { cells, side, top, columns: n_heads, pitchY: side + BAR + gap };
}

function placeRanked({ order }, width) {
  const columns = Math.max(1, Math.floor((width - 4) / 62));
  const side = Math.min(84, Math.floor((width - 4) / columns) - 8);
  const pitchY = side + BAR + 36;
  const cells = order.map(([l, h], i) => ({
    l, h, x: 3 + (i % columns) * (side + 8), y: 3 + Math.floor(i / columns) * pitchY,
  }));
  return { cells, side, top: 0, columns, pitchY };
}

function draw(grid) {
  const { canvas, header, cells, side, box } = grid;
  if (!cells.length) return; // the box has no width yet, as when another page takes its place
  const height = Math.min(grid.height, MAX_HEIGHT);
  const ctx = fitCanvas(canvas, grid.width, height);
  const theme = themeOf(box);
  const scroll = box.scrollTop;
  // Nearest-pixel reduction would lose one-token stripes, so only enlarging is left unsmoothed.
  ctx.imageSmoothingEnabled = side * devicePixelRatio < header.tile;
  ctx.imageSmoothingQuality = "high";
  cells.forEach((cell, i) => {
    const y = cell.y - scroll;
    if (y + grid.pitchY > 0 && y < height) drawCell(ctx, grid, cell, y, i === grid.hover, theme);
  });
  if (!header.order) drawHeadings(ctx, grid, theme);
  const focused = cells[grid.focus];
  if (focused) placeRing(grid, focused);
}

function drawCell(ctx, grid, { l, h, x }, y, hovered, theme) {
  const { header, side, scale, bitmap } = grid;
  const value = header.values[l][h];
  const share = value === null || !scale.max ? 0 : value / scale.max;
  const chosen = isSelected(grid, { l, h });
  if (l >= header.measured) {
    ctx.strokeStyle = theme.faint;
    ctx.lineWidth = 1;
    ctx.strokeRect(x + 0.5, y + 0.5, side - 1, side + BAR - 1);
  } else if (value === null) {
    const path = new Path2D();
    path.rect(x, y, side, side + BAR);
    hatch(ctx, path, { x, y, width: side, height: side + BAR }, theme.faint);
  } else {
    ctx.fillStyle = rgba(share < 0 ? LOW : HIGH, 0.04 + 0.24 * Math.abs(share));
    ctx.fillRect(x, y, side, side);
    drawBar(ctx, grid, x, y + side, share, theme);
  }
  ctx.drawImage(bitmap, h * header.tile, l * header.tile, header.tile, header.tile, x, y, side, side);
  ctx.strokeStyle = theme.text;
  ctx.lineWidth = chosen ? 3 : 1;
  const out = chosen ? 1.5 : 0.5;
  if (chosen || hovered) ctx.strokeRect(x - out, y - out, side + 2 * out, side + BAR + 2 * out);
  ctx.fillStyle = theme.text;
  if (header.order) {
    ctx.textAlign = "center";
    ctx.font = `600 11px ${theme.font}`;
    ctx.fillText(`L${l}H${h}`, x + side / 2, y + side + BAR + 13);
    ctx.font = `11px ${theme.font}`;
    ctx.fillText(value === null ? "–" : fmt(value), x + side / 2, y + side + BAR + 26);
  } else if (h === 0 && l % Math.ceil(12 / grid.pitchY) === 0) {
    ctx.textAlign = "right";
    ctx.font = `${header.selected[0] === l ? 700 : 400} 11px ${theme.font}`;
    ctx.fillText(`L${l}`, LABELS - 7, y + side / 2 + 4);
  }
}

// Length carries the value as well, for readers who do not tell the tints apart.
function drawBar(ctx, { side, scale }, x, y, share, theme) {
  ctx.fillStyle = theme.faint;
  ctx.fillRect(x, y, side, BAR);
  ctx.fillStyle = rgba(share < 0 ? LOW : HIGH, 1);
  const full = scale.diverging ? side / 2 : side;
  const start = scale.diverging ? x + side / 2 : x;
  ctx.fillRect(start, y, share * full, BAR);
}

// Head numbers and key/value brackets stay on top while the layers scroll under them.
function drawHeadings(ctx, { header, cells, side, top, width }, theme) {
  const { n_heads, group_size, selected } = header;
  ctx.fillStyle = theme.page;
  ctx.fillRect(0, 0, width, top - 3);
  ctx.fillStyle = ctx.strokeStyle = theme.text;
  ctx.textAlign = "center";
  ctx.lineWidth = 1;
  const every = Math.ceil(24 / (side + 1));
  for (let h = 0; h < n_heads; h++) {
    ctx.font = `${selected[1] === h ? 700 : 400} 11px ${theme.font}`;
    if (h % every === 0) ctx.fillText(`H${h}`, cells[h].x + side / 2, 13);
    if (group_size > 1 && h % group_size === 0) {
      const end = cells[Math.min(h + group_size, n_heads) - 1].x + side;
      ctx.beginPath();
      ctx.moveTo(cells[h].x + 0.5, 24);
      ctx.lineTo(cells[h].x + 0.5, 19.5);
      ctx.lineTo(end - 0.5, 19.5);
      ctx.lineTo(end - 0.5, 24);
      ctx.stroke();
    }
  }
}

function placeRing({ ring, side, header, box, focus }, { l, h, x, y }) {
  Object.assign(ring.style, {
    left: `${x - 3}px`,
    top: `${y - 3}px`,
    width: `${side + 6}px`,
    height: `${side + BAR + 6}px`,
  });
  ring.setAttribute("aria-selected", isSelected({ header }, { l, h }));
  ring.setAttribute("aria-label", `L${l}H${h}`);
  box.dataset.focus = `${l},${h}`;
  box.dataset.selected = header.selected.join();
  box.dataset.measured = header.measured;
}

function hit({ canvas, box, cells, side, top }, event) {
  const frame = canvas.getBoundingClientRect();
  const x = event.clientX - frame.left;
  const y = event.clientY - frame.top;
  if (y < top - 3) return -1;
  const sheetY = y + box.scrollTop;
  return cells.findIndex((c) => x >= c.x && x < c.x + side && sheetY >= c.y && sheetY < c.y + side + BAR);
}

function onHover(grid, event) {
  const found = event ? hit(grid, event) : -1;
  const cell = grid.cells[found];
  showTip(grid.tip, event, cell ? captionOf(grid, cell, "\n") : "");
  if (found !== grid.hover) {
    grid.hover = found;
    later(grid, draw);
  }
}

function onKey(grid, event) {
  const { focus, columns, cells } = grid;
  const next = {
    ArrowLeft: focus - 1, ArrowRight: focus + 1, ArrowUp: focus - columns, ArrowDown: focus + columns,
    Home: 0, End: cells.length - 1,
  }[event.key];
  const picks = event.key === "Enter" || event.key === " ";
  if (!cells.length || (next === undefined && !picks)) return;
  event.preventDefault();
  if (picks) return pick(grid, focus);
  if (!cells[next]) return;
  grid.focus = next;
  reveal(grid);
  draw(grid);
  say(grid, "");
}

function pick(grid, index) {
  const { l, h } = grid.cells[index];
  grid.focus = index;
  grid.header.selected = [l, h];
  draw(grid);
  say(grid, "picked ");
  grid.send("pick", [l, h]);
}

function say({ live, cells, focus, header }, what) {
  live.textContent = what + captionOf({ header }, cells[focus], ": ");
}

function captionOf({ header }, { l, h }, joint) {
  const [name, caption] = [`L${l}H${h}`, header.captions[l][h]];
  return caption.startsWith(name) ? caption : name + joint + caption;
}

// Scroll just far enough to see the focused head below the headings.
function reveal({ box, cells, focus, top, side }) {
  const cell = cells[focus];
  if (!cell) return;
  const bottom = cell.y + side + BAR + 6;
  box.scrollTop = clamp(box.scrollTop, bottom - box.clientHeight, cell.y - top - 3);
}
