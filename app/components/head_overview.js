// Head overview component: a long prompt's whole matrix, and the window on it that is read closely.

const SIDE = 240;
const SIZES = [64, 128, 256, 512];
const PAUSE = 300; // ms without a key after which the window is taken to have arrived

const maps = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const map = maps.get(parentElement) ?? mount(parentElement);
  map.send = setTriggerValue;
  update(map, unpack(data));
  return () => {
    map.watch.disconnect();
    clearTimeout(map.timer);
    maps.delete(parentElement);
  };
}

function mount(root) {
  const part = (name) => root.querySelector(`[data-testid="head-overview${name}"]`);
  const map = {
    box: part(""), pane: part("-pane"), title: part("-title"), where: part("-where"),
    note: part("-note"), live: part("-live"), canvas: root.querySelector("canvas"),
    turn: 0, drag: null, timer: null,
  };
  maps.set(root, map);
  map.watch = new ResizeObserver(() => map.bitmap && draw(map));
  map.watch.observe(map.box);
  map.box.onpointerdown = (event) => grab(map, event);
  map.box.onpointermove = (event) => map.drag && moveTo(map, event);
  map.box.onpointerup = () => drop(map);
  map.box.onpointercancel = () => drop(map);
  map.box.onkeydown = (event) => onKey(map, event);
  part("-smaller").onclick = () => resize(map, -1);
  part("-larger").onclick = () => resize(map, 1);
  return map;
}

async function update(map, { header, body }) {
  const turn = ++map.turn;
  const bitmap = await createImageBitmap(new Blob([body], { type: "image/png" }));
  if (turn !== map.turn) return;
  Object.assign(map, { header, bitmap });
  // A window that the reader is still moving is newer than the one that comes from Python.
  if (!map.drag && map.timer === null) map.window = header.window;
  describe(map);
  draw(map);
}

const count = (n) => n.toLocaleString("en");
const span = (first, end) => `${count(first)}–${count(end - 1)}`;

function describe({ header, title, note, box }) {
  const { label, tokens, side, signed, color_max } = header;
  title.textContent = `${label}, all ${count(tokens)} tokens`;
  note.textContent = [
    "queries down, keys across",
    `each pixel is the largest weight in ${side} × ${side} tokens`,
    `full colour from ${signed ? "|weight|" : "weight"} ${fmt(color_max)} up`,
    signed ? "blue positive, orange negative" : "",
    "click or drag to move the window; arrow keys, Home and End too; + and − change its size",
  ].filter(Boolean).join(" · ");
  box.setAttribute("aria-label", `Window on the matrix of ${label}: arrow keys move it by half its `
    + "size, Home to the first tokens, End to the last, plus and minus change its size");
}

function draw(map) {
  const { header, bitmap, canvas, box } = map;
  const width = Math.min(SIDE, box.clientWidth);
  if (!width) return;
  // Blocks at the right and bottom edge may reach past the last token.
  map.scale = width / (header.pixels * header.side);
  const ctx = fitCanvas(canvas, width, width);
  ctx.imageSmoothingEnabled = width * devicePixelRatio < header.pixels;
  ctx.imageSmoothingQuality = "high";
  ctx.drawImage(bitmap, 0, 0, width, width);
  placePane(map);
}

function placePane({ pane, where, window: [r0, r1, k0, k1], scale }) {
  const [left, top, width, height] = [k0, r0, k1 - k0, r1 - r0].map((t) => t * scale);
  Object.assign(pane.style, {
    left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px`,
  });
  where.textContent = `Window: queries ${span(r0, r1)}, keys ${span(k0, k1)}`;
}

// The same size, with its first query and key as near to the wanted ones as the matrix allows.
function place(map, query, key) {
  const { window: [r0, r1, k0, k1], header: { tokens, causal } } = map;
  const [rows, columns] = [r1 - r0, k1 - k0];
  const first = clamp(Math.round(query), 0, tokens - rows);
  const last = causal ? Math.min(tokens - columns, first + rows - columns) : tokens - columns;
  const left = clamp(Math.round(key), 0, Math.max(0, last));
  map.window = [first, first + rows, left, left + columns];
  placePane(map);
}

function spot({ canvas, scale }, event) {
  const frame = canvas.getBoundingClientRect();
  return [(event.clientY - frame.top) / scale, (event.clientX - frame.left) / scale];
}

function grab(map, event) {
  if (!map.bitmap || event.button) return;
  const [r0, r1, k0, k1] = map.window;
  const [query, key] = spot(map, event);
  const inside = query >= r0 && query < r1 && key >= k0 && key < k1;
  // Outside of it the window jumps to the pointer and hangs on it by its middle.
  map.drag = inside ? [query - r0, key - k0] : [(r1 - r0) / 2, (k1 - k0) / 2];
  map.box.setPointerCapture(event.pointerId);
  moveTo(map, event);
}

function moveTo(map, event) {
  const [query, key] = spot(map, event);
  place(map, query - map.drag[0], key - map.drag[1]);
}

function drop(map) {
  if (!map.drag) return;
  map.drag = null;
  report(map);
}

function report(map) {
  clearTimeout(map.timer);
  map.timer = null;
  map.live.textContent = map.where.textContent;
  if (String(map.window) === String(map.header.window)) return;
  map.header.window = map.window;
  map.send("window", map.window);
}

function reportSoon(map) {
  clearTimeout(map.timer);
  map.timer = setTimeout(() => report(map), PAUSE);
}

function onKey(map, event) {
  if (!map.bitmap) return;
  const [r0, r1, k0, k1] = map.window;
  const [down, right] = [Math.ceil((r1 - r0) / 2), Math.ceil((k1 - k0) / 2)];
  const end = map.header.tokens;
  const target = {
    ArrowUp: [r0 - down, k0], ArrowDown: [r0 + down, k0],
    ArrowLeft: [r0, k0 - right], ArrowRight: [r0, k0 + right],
    Home: [0, 0], End: [end, end],
  }[event.key];
  const step = { "+": 1, "=": 1, "-": -1 }[event.key];
  if (!target && !step) return;
  event.preventDefault();
  if (step) return resize(map, step);
  place(map, ...target);
  reportSoon(map);
}

// The next size up or down, around the same middle.
function resize(map, step) {
  const [r0, r1, k0, k1] = map.window;
  const now = Math.max(r1 - r0, k1 - k0);
  const sizes = SIZES.filter((s) => s <= map.header.tokens && (step > 0 ? s > now : s < now));
  if (!sizes.length) return;
  const size = step > 0 ? sizes[0] : sizes.at(-1);
  map.window = [0, size, 0, size];
  place(map, (r0 + r1 - size) / 2, (k0 + k1 - size) / 2);
  reportSoon(map);
}
