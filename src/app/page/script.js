"use strict";
// The dashboard: a stream of readings, numbers, a curve. Nothing is kept beyond two minutes.
const WINDOW_MS = 120000, SILENCE_MS = 2000, RETRY_MS = 2000, FALLBACK_MS = 5000;
const TARGETS = [
  ["totalRequests", 1000000, 0], ["uniqueUsers", 75000, 0], ["sum", 499500000, 1], ["avg", 499.5, 1],
];
const $ = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const decimal = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 3 });
const exact = (value, decimals) =>
  value === null ? "out of range" : decimals ? decimal.format(value) : whole.format(value);

let source = null, last = null, lastAt = 0, paused = false, opened = 0, polling = 0;
/** Readings of the curve: [time, events a second], null where nothing is known. */
const points = [];

function say(state, text) {
  const status = $("status");
  if (status.dataset.state === state && status.textContent === text) return;
  status.dataset.state = state;
  status.textContent = text;
  document.body.dataset.stale = state !== "live";
}

function set(id, text) {
  const node = $(id);
  if (node.textContent !== text) node.textContent = text;
}

/** Brings the rows of a table to these texts, the first of each being its heading. */
function rows(id, wanted) {
  const body = $(id);
  while (body.rows.length > wanted.length) body.deleteRow(-1);
  wanted.forEach((texts, i) => {
    let row = body.rows[i];
    if (!row || row.cells.length !== texts.length) {
      if (row) row.remove();
      row = body.insertRow(i);
      texts.forEach((_, j) => {
        const cell = document.createElement(j ? "td" : "th");
        if (j) cell.className = "number";
        else cell.scope = "row";
        row.append(cell);
      });
    }
    texts.forEach((text, j) => {
      if (row.cells[j].textContent !== text) row.cells[j].textContent = text;
    });
  });
  return body.rows;
}

function duration(ms) {
  const s = Math.floor(ms / 1000), two = (n) => String(n).padStart(2, "0");
  const days = Math.floor(s / 86400);
  return (days ? days + " d " : "") + two(Math.floor(s / 3600) % 24) + ":" + two(Math.floor(s / 60) % 60) + ":" + two(s % 60);
}

/** A reading: what the stream sends, or its statistics alone. */
function reading(data) {
  const now = performance.now(), stats = data.stats;
  let rate = null;
  if (last && now - lastAt < SILENCE_MS && stats.totalRequests >= last.stats.totalRequests) {
    const ms = data.upMs !== undefined ? data.upMs - last.upMs : now - lastAt;
    if (ms > 0) rate = (stats.totalRequests - last.stats.totalRequests) * 1000 / ms;
  } else if (points.length) {
    points.push([now, null]);
  }
  last = data;
  lastAt = now;
  if (rate !== null) points.push([now, rate]);
  say("live", paused ? "paused" : data.upMs === undefined ? "live, by polling" : "live");
  if (!paused) show();
}

/** The rate over the last second, so that it can be read. */
function smooth() {
  const now = performance.now();
  const recent = points.filter(([at, rate]) => rate !== null && now - at < 1100);
  return recent.length ? recent.reduce((sum, [, rate]) => sum + rate, 0) / recent.length : null;
}

function show() {
  const { stats } = last, rate = smooth();
  set("events", whole.format(stats.totalRequests));
  set("rate", rate === null ? "–" : whole.format(rate));
  set("users", whole.format(stats.uniqueUsers));
  set("sum", exact(stats.sum, 1));
  set("average", exact(stats.avg, 1));
  const progress = Math.min(stats.totalRequests, 1000000);
  $("progress").setAttribute("aria-valuenow", progress);
  $("progress").firstElementChild.style.width = progress / 10000 + "%";
  const met = rows("targets", TARGETS.map(([name, target, decimals]) =>
    [name + (stats[name] === target ? " ✓" : ""), exact(stats[name], decimals), exact(target, decimals)]));
  TARGETS.forEach(([name, target], i) => { met[i].dataset.met = stats[name] === target; });
  document.title = whole.format(stats.totalRequests) + " · millrace";
  if (last.workers) {
    set("connections", whole.format(last.connections));
    set("uptime", "up " + duration(last.upMs));
    set("version", "v" + last.version);
    const total = last.workers.reduce((sum, [events]) => sum + events, 0);
    rows("workers", last.workers.map(([events, connections], i) =>
      [String(i), whole.format(connections), whole.format(events), total ? (100 * events / total).toFixed(1) + " %" : "–"]));
    const { state } = last;
    $("state-card").hidden = !state;
    if (state) {
      const synced = state.syncedUnixS ? duration(Math.max(0, Date.now() - state.syncedUnixS * 1000)) + " ago" : "not yet";
      rows("state", [["fsync", state.fsync], ["last sync", synced], ["bytes", whole.format(state.bytes)],
        ["read at the start in", whole.format(state.recoveryMs) + " ms"], ["disk", state.full ? "full: new users are refused" : "has room"]]);
    }
    const errors = Object.entries(last.errors);
    rows("errors", errors.length ? errors.map(([reason, count]) => [reason.replaceAll("_", " "), whole.format(count)]) : [["none", "0"]]);
  }
}

/** The least of 1, 2, 5 times a power of ten that is not below the value. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 10)));
  return [1, 2, 5, 10].map((n) => n * power).find((bound) => bound >= value);
}

const short = new Intl.NumberFormat("en", { notation: "compact" });

function draw() {
  const canvas = $("curve"), scale = devicePixelRatio || 1, now = performance.now();
  while (points.length && now - points[0][0] > WINDOW_MS + 1000) points.shift();
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue("--" + name).trim();
  const rem = parseFloat(style.fontSize), left = 3.2 * rem, bottom = 1.4 * rem, top = 0.6 * rem;
  const most = Math.max(1, ...points.map(([, rate]) => rate || 0)), bound = ceiling(most);
  const x = (at) => left + (width - left) * (1 - (now - at) / WINDOW_MS);
  const y = (rate) => top + (height - top - bottom) * (1 - rate / bound);
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = `${0.75 * rem}px ${style.fontFamily}`;
  context.textBaseline = "middle";
  context.lineWidth = 1;
  context.strokeStyle = colour("line");
  context.fillStyle = colour("soft");
  context.textAlign = "right";
  for (const part of [0, 0.5, 1]) {
    const level = Math.round(y(part * bound)) + 0.5;
    context.beginPath();
    context.moveTo(left, level);
    context.lineTo(width, level);
    context.stroke();
    context.fillText(short.format(part * bound), left - 0.4 * rem, level);
  }
  [[120, "left"], [60, "center"], [0, "right"]].forEach(([s, align]) => {
    context.textAlign = align;
    context.fillText(s ? `${s} s ago` : "now", x(now - s * 1000), height - 0.55 * rem);
  });
  context.save();
  context.beginPath();
  context.rect(left, 0, width - left, height);
  context.clip();
  context.lineWidth = Math.max(1.5, rem / 8);
  context.lineJoin = "round";
  context.strokeStyle = colour("flow");
  context.beginPath();
  let pen = false;
  for (const [at, rate] of points) {
    if (rate === null) pen = false;
    else if (pen) context.lineTo(x(at), y(rate));
    else { context.moveTo(x(at), y(rate)); pen = true; }
  }
  context.stroke();
  context.restore();
}

function describe() {
  const known = points.filter(([, rate]) => rate !== null).map(([, rate]) => rate), rate = smooth();
  $("curve").setAttribute("aria-label", "Events a second over the last two minutes: " + (known.length
    ? `now ${rate === null ? "unknown" : whole.format(rate)}, highest ${whole.format(Math.max(...known))}` : "none yet"));
}

function watch() {
  if (source) source.close();
  opened = performance.now();
  source = new EventSource("live");
  source.onmessage = (event) => { polling = 0; reading(JSON.parse(event.data)); };
}

/** Where the stream does not come through, the statistics are asked for one by one. */
async function poll() {
  if (!polling) return;
  try {
    const answer = await fetch("stats", { signal: AbortSignal.timeout(1000) });
    if (polling && answer.ok) reading({ stats: await answer.json() });
  } catch { /* the clock below says that nobody answers */ }
}

setInterval(() => {
  const now = performance.now(), silent = now - Math.max(lastAt, polling ? 0 : opened) > SILENCE_MS;
  if (silent) {
    say("gone", last ? "no answer, retrying" : "no answer yet");
    set("rate", "–");
    if (points.length && points.at(-1)[1] !== null) points.push([now, null]);
    if (source.readyState === EventSource.CLOSED && now - opened > RETRY_MS) watch();
    if (!polling && now - Math.max(lastAt, opened) > FALLBACK_MS) polling = 1;
  }
  poll();
  if (!paused) draw();
}, 500);
setInterval(describe, 5000);
addEventListener("resize", draw);
$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", paused);
  $("pause").textContent = paused ? "Go on" : "Pause";
  if (last && !paused) show();
});
rows("targets", TARGETS.map(([name, target, decimals]) => [name, "–", exact(target, decimals)]));
rows("workers", [["–", "–", "–", "–"]]);
watch();
draw();
