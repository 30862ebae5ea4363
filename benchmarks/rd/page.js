"use strict";
// The script of the page: the curves as SVG, the table of points, and the wipe between frames.

const data = JSON.parse(document.getElementById("data").textContent);
const state = { clip: data.clips[0].name, metric: "psnr_yuv", rate: "bpp", hidden: new Set() };
const byId = (id) => document.getElementById(id);
const chart = byId("chart");
const BOX = { left: 56, right: 846, top: 12, bottom: 416 };
const RATES = { bpp: "bits per pixel, whole file", kbps: "kbit/s, whole file", bytes: "bytes of the file" };
const NEAR = 24; // Largest distance from the pointer to a point, in units of the chart.

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// The namespace is read from the page, since its name is a URL and the page may hold none.
function shape(name, attributes, text) {
  const made = document.createElementNS(chart.namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function number(value, digits) {
  return value === undefined || value === null ? "" : value.toFixed(digits);
}

function rateText(value) {
  return state.rate === "bytes" ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}

function metric() {
  return data.metrics.find((one) => one.field === state.metric);
}

function qualityText(value) {
  const { unit } = metric();
  return unit ? `${number(value, 2)} ${unit}` : number(value, 4);
}

function pointsOf(series) {
  return data.points
    .filter((point) => point.clip === state.clip && point.series === series && point[state.metric] != null)
    .sort((one, other) => one.bytes - other.bytes);
}

function visible() {
  return Object.keys(data.series).filter((name) => !state.hidden.has(name));
}

function logTicks(low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const digit of [1, 2, 5]) {
      const tick = digit * 10 ** power;
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  return ticks;
}

function evenTicks(low, high) {
  const rough = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((one) => one >= rough);
  const ticks = [];
  for (let count = Math.ceil(low / step); count * step <= high; count++) ticks.push(count * step);
  return ticks;
}

function drawChart() {
  chart.replaceChildren();
  hideTip();
  const curves = visible().map((name) => [name, pointsOf(name)]);
  const all = curves.flatMap(([, points]) => points);
  if (!all.length) {
    chart.append(shape("text", { x: 430, y: 220, "text-anchor": "middle" }, "no points"));
    return;
  }
  const rates = all.map((point) => point[state.rate]);
  const qualities = all.map((point) => point[state.metric]);
  const low = Math.min(...rates) / 1.1;
  const high = Math.max(...rates) * 1.1;
  const room = (Math.max(...qualities) - Math.min(...qualities)) * 0.05 || 1;
  const bottom = Math.min(...qualities) - room;
  const top = Math.max(...qualities) + room;
  const x = (rate) => BOX.left + (Math.log(rate / low) / Math.log(high / low)) * (BOX.right - BOX.left);
  const y = (quality) => BOX.bottom - ((quality - bottom) / (top - bottom)) * (BOX.bottom - BOX.top);

  for (const tick of logTicks(low, high)) {
    chart.append(shape("line", { class: "grid", x1: x(tick), x2: x(tick), y1: BOX.top, y2: BOX.bottom }));
    chart.append(shape("text", { x: x(tick), y: BOX.bottom + 16, "text-anchor": "middle" }, rateText(tick)));
  }
  for (const tick of evenTicks(bottom, top)) {
    chart.append(shape("line", { class: "grid", x1: BOX.left, x2: BOX.right, y1: y(tick), y2: y(tick) }));
    const text = String(Number(tick.toPrecision(4)));
    chart.append(shape("text", { x: BOX.left - 8, y: y(tick) + 4, "text-anchor": "end" }, text));
  }
  const middle = (BOX.left + BOX.right) / 2;
  chart.append(shape("text", { x: middle, y: BOX.bottom + 36, "text-anchor": "middle" }, RATES[state.rate]));
  const { name: quality, unit } = metric();
  chart.append(shape("text", { x: BOX.left + 6, y: BOX.top + 12 }, unit ? `${quality}, ${unit}` : quality));

  const placed = [];
  for (const [name, points] of curves) {
    const look = data.series[name];
    const line = points.map((point) => `${x(point[state.rate])},${y(point[state.metric])}`).join(" ");
    chart.append(
      shape("polyline", {
        class: "curve",
        points: line,
        stroke: look.colour,
        "stroke-width": look.ours ? 2.6 : 1.4,
        "stroke-dasharray": look.dashed ? "6 4" : "none",
      }),
    );
    for (const point of points) {
      const at = { x: x(point[state.rate]), y: y(point[state.metric]) };
      chart.append(shape("circle", { cx: at.x, cy: at.y, r: look.ours ? 4 : 2.2, fill: look.colour }));
      placed.push({ ...at, point });
    }
  }
  const ring = shape("circle", { r: 8, fill: "none", stroke: "currentColor", "stroke-width": 1.5, visibility: "hidden" });
  chart.append(ring);
  chart.onpointermove = (event) => {
    const frame = chart.getBoundingClientRect();
    const scale = 860 / frame.width;
    const pointer = { x: (event.clientX - frame.left) * scale, y: (event.clientY - frame.top) * scale };
    const distance = (one) => Math.hypot(one.x - pointer.x, one.y - pointer.y);
    const nearest = placed.reduce((best, one) => (distance(one) < distance(best) ? one : best));
    if (distance(nearest) > NEAR) {
      ring.setAttribute("visibility", "hidden");
      hideTip();
      return;
    }
    ring.setAttribute("visibility", "visible");
    ring.setAttribute("cx", nearest.x);
    ring.setAttribute("cy", nearest.y);
    showTip(nearest, scale);
  };
  chart.onpointerleave = () => {
    ring.setAttribute("visibility", "hidden");
    hideTip();
  };
}

function describe(point) {
  const lines = [
    point.series,
    `${point.bytes} bytes, ${rateText(point.bpp)} bpp`,
    `Y ${number(point.psnr_y, 2)} dB, YUV ${number(point.psnr_yuv, 2)} dB`,
  ];
  if (point.ms_ssim != null) lines.push(`MS-SSIM ${number(point.ms_ssim, 4)}`);
  lines.push(`encode ${number(point.encode_seconds, 1)} s, decode ${number(point.frames / point.decode_seconds, 0)} frames/s`);
  if (point.parameters !== undefined) {
    lines.push(`${point.parameters} parameters, ${number(point.macs_per_pixel / 1000, 2)} kMAC/px`);
  }
  if (point.crf !== undefined) lines.push(`CRF ${point.crf}`);
  return lines.join("\n");
}

function showTip(placed, scale) {
  const tip = byId("tip");
  tip.textContent = describe(placed.point);
  tip.hidden = false;
  const left = placed.x / scale + 14;
  const over = left + tip.offsetWidth > chart.clientWidth;
  tip.style.left = `${Math.max(over ? left - tip.offsetWidth - 28 : left, 0)}px`;
  tip.style.top = `${placed.y / scale + 10}px`;
}

function hideTip() {
  byId("tip").hidden = true;
}

function drawLegend() {
  const buttons = Object.entries(data.series).map(([name, look]) => {
    const swatch = element("span", { className: "swatch" });
    swatch.style.borderTopColor = look.colour;
    swatch.style.borderTopStyle = look.dashed ? "dashed" : "solid";
    const button = element("button", { type: "button", title: "show or hide" }, swatch, name);
    button.setAttribute("aria-pressed", String(!state.hidden.has(name)));
    button.onclick = () => {
      if (!state.hidden.delete(name)) state.hidden.add(name);
      drawLegend();
      drawChart();
    };
    return button;
  });
  byId("legend").replaceChildren(...buttons);
}

const COLUMNS = [
  ["curve", (point) => point.series],
  ["bytes", (point) => String(point.bytes)],
  ["bpp", (point) => number(point.bpp, 4)],
  ["kbit/s", (point) => number(point.kbps, 1)],
  ["Y, dB", (point) => number(point.psnr_y, 2)],
  ["U, dB", (point) => number(point.psnr_u, 2)],
  ["V, dB", (point) => number(point.psnr_v, 2)],
  ["YUV, dB", (point) => number(point.psnr_yuv, 2)],
  ["MS-SSIM", (point) => number(point.ms_ssim, 4)],
  ["encode, s", (point) => number(point.encode_seconds, 1)],
  ["frames/s", (point) => number(point.frames / point.decode_seconds, 0)],
  ["parameters", (point) => (point.parameters === undefined ? "" : String(point.parameters))],
  ["kMAC/px", (point) => (point.macs_per_pixel === undefined ? "" : number(point.macs_per_pixel / 1000, 2))],
];

function drawPoints() {
  const head = element("tr", {}, ...COLUMNS.map(([title]) => element("th", { textContent: title })));
  const rows = Object.keys(data.series).flatMap((name) =>
    pointsOf(name).map((point) =>
      element("tr", {}, ...COLUMNS.map(([, cell], place) => element(place ? "td" : "th", { textContent: cell(point) }))),
    ),
  );
  byId("points").replaceChildren(
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)),
  );
}

let picture = null;
let frame = 0;

function drawViewer() {
  picture = data.pictures.find((one) => one.clip === state.clip) ?? null;
  byId("viewer").hidden = picture === null;
  if (picture === null) return;
  frame = Math.min(frame, picture.frames.length - 1);
  for (const [id, first] of [["left", Math.min(1, picture.sides.length - 1)], ["right", picture.sides.length - 1]]) {
    const before = Number(byId(id).value || first);
    const options = picture.sides.map((side, place) => element("option", { value: place, textContent: side.series }));
    byId(id).replaceChildren(...options);
    byId(id).value = before < picture.sides.length ? before : first;
  }
  const buttons = picture.frames.map((one, place) => {
    const button = element("button", { type: "button", textContent: `frame ${one.number}` });
    button.setAttribute("aria-pressed", String(place === frame));
    button.onclick = () => {
      frame = place;
      drawViewer();
    };
    return button;
  });
  byId("frames").replaceChildren(...buttons);
  drawPictures();
}

function caption(place) {
  const side = picture.sides[place];
  if (side.bytes === undefined) return side.series;
  const here = number(picture.frames[frame].psnr_y[place], 2);
  return `${side.series}: ${side.bytes} bytes, Y ${number(side.psnr_y, 2)} dB, this frame ${here} dB`;
}

function drawPictures() {
  const [left, right] = ["left", "right"].map((id) => Number(byId(id).value));
  const { images } = picture.frames[frame];
  byId("above").src = images[left];
  byId("below").src = images[right];
  byId("above").alt = picture.sides[left].series;
  byId("below").alt = picture.sides[right].series;
  byId("stage").style.aspectRatio = `${picture.width} / ${picture.height}`;
  byId("leftcaption").textContent = `left: ${caption(left)}`;
  byId("rightcaption").textContent = `right: ${caption(right)}`;
  wipe();
}

function wipe() {
  const share = Number(byId("wipe").value);
  byId("above").style.clipPath = `inset(0 ${100 - share}% 0 0)`;
  byId("edge").style.left = `${share}%`;
}

function drag(event) {
  if (event.type === "pointermove" && event.buttons === 0) return;
  const box = byId("stage").getBoundingClientRect();
  byId("wipe").value = Math.min(Math.max(((event.clientX - box.left) / box.width) * 100, 0), 100);
  wipe();
}

function drawClips() {
  const buttons = data.clips.map((clip) => {
    const title = `${clip.width}x${clip.height}, ${clip.frames} frames, ${number(clip.fps, 2)} frames/s`;
    const button = element("button", { type: "button", textContent: clip.name, title });
    button.setAttribute("aria-pressed", String(clip.name === state.clip));
    button.onclick = () => {
      state.clip = clip.name;
      draw();
    };
    return button;
  });
  byId("clips").replaceChildren(...buttons);
}

function draw() {
  drawClips();
  drawLegend();
  drawChart();
  drawPoints();
  drawViewer();
}

byId("metric").append(
  ...data.metrics.map((one) => element("option", { value: one.field, textContent: one.name })),
);
byId("metric").value = state.metric;
byId("metric").onchange = (event) => {
  state.metric = event.target.value;
  drawChart();
  drawPoints();
};
byId("rate").onchange = (event) => {
  state.rate = event.target.value;
  drawChart();
};
byId("left").onchange = drawPictures;
byId("right").onchange = drawPictures;
byId("wipe").oninput = wipe;
byId("stage").onpointerdown = drag;
byId("stage").onpointermove = drag;
draw();
