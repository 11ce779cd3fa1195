// Helpers put in front of every component's script: data, colours, canvas, tooltip.

// Blue and orange stay apart for colour-blind readers and on light and dark pages.
const INK = [34, 139, 230];
const NEGATIVE = [232, 89, 12];

const rgba = ([r, g, b], alpha) => `rgba(${r},${g},${b},${alpha})`;
const clamp = (x, low, high) => Math.max(low, Math.min(high, x));

// Inverse of pack() in wire.py.
function unpack(bytes) {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  return { header, body: bytes.subarray(4 + length) };
}

// Three significant digits, and none below the resolution `step` of the data.
function fmt(value, step = 0) {
  if (Math.abs(value) <= step / 2) return "0";
  const three = Number(value.toPrecision(3));
  if (!step) return String(three);
  return String(Number(three.toFixed(clamp(Math.ceil(-Math.log10(step)), 0, 20))));
}

// Size a canvas in CSS pixels at the screen's resolution; returns a cleared context.
function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, width, height);
  return ctx;
}

// Text colour, page colour and font of the current Streamlit theme.
function themeOf(element) {
  const css = getComputedStyle(element);
  return {
    text: css.color,
    page: css.getPropertyValue("--st-background-color").trim(),
    faint: css.getPropertyValue("--st-border-color").trim(),
    font: css.fontFamily,
    code: css.getPropertyValue("--st-code-font").trim() || "monospace",
  };
}

// Diagonal lines inside a path: "nothing is defined here".
function hatch(ctx, path, { x, y, width, height }, colour) {
  ctx.save();
  ctx.clip(path);
  ctx.beginPath();
  for (let d = -height; d < width; d += 6) {
    ctx.moveTo(x + d, y + height);
    ctx.lineTo(x + d + height, y);
  }
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1;
  ctx.stroke();
  ctx.restore();
}

// The tip opens towards the middle of the window, so its size need not be measured on every move.
function showTip(tip, event, text) {
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const { clientX: x, clientY: y } = event;
  const { innerWidth, innerHeight } = window;
  const [toRight, toBottom] = [x < innerWidth / 2, y < innerHeight / 2];
  tip.style.left = toRight ? `${x + 14}px` : "auto";
  tip.style.right = toRight ? "auto" : `${innerWidth - x + 14}px`;
  tip.style.top = toBottom ? `${y + 16}px` : "auto";
  tip.style.bottom = toBottom ? "auto" : `${innerHeight - y + 12}px`;
}

// Run draw(instance) once in the next frame, however often it is asked for.
function later(instance, draw) {
  instance.drawing ??= requestAnimationFrame(() => {
    instance.drawing = undefined;
    draw(instance);
  });
}

