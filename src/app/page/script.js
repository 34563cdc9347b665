"use strict";
// The dashboard: a stream of readings, numbers, a curve. Nothing is kept beyond ten minutes.
const KEPT_MS = 600000, RECENT_MS = 10000, SILENCE_MS = 2000, RETRY_MS = 2000, FALLBACK_MS = 5000;
const EVENTS = 1000000, USERS = 75000;
const TARGETS = [
  ["Requests", "totalRequests", EVENTS], ["Users", "uniqueUsers", USERS],
  ["Sum", "sum", 499500000, 1], ["Average", "avg", 499.5, 1],
];
const $ = (id) => document.getElementById(id);
const format = (options) => new Intl.NumberFormat("en", options);
const whole = format({ maximumFractionDigits: 0 }), short = format({ notation: "compact" });
const figure = format({ maximumSignificantDigits: 3 });

let source = null, last = null, lastAt = 0, paused = false, opened = 0, polling = 0, windowMs = 120000;
/** Readings of the curve: [time, events a second], null where nothing is known. */
const points = [];
/** The readings of the last ten seconds: [time, reading]. */
const recent = [];
/** Where the curve is asked for its value, as a time; null if it is not. */
let cursor = null;
/** The run of the challenge: when it began and ended, by the server's clock, if that was seen. */
let race = null, raceWanted = null;

/** The shortest text that is this double, whatever its size: no digit of it is hidden. */
function exact(value, isDouble) {
  if (value === null) return "out of range";
  if (!isDouble) return whole.format(value);
  const size = Math.abs(value);
  let text = size >= 1e15 ? value.toExponential() : String(value);
  if (text.includes("e")) return text.replace("e+", "e");
  const [digits, fraction = "0"] = text.split(".");
  return digits.replace(/\B(?=(\d{3})+$)/g, ",") + "." + fraction;
}

/** A quantity with its unit, of which each is 1,000 of the one before. */
function scaled(value, units, base = 1000) {
  let i = 0;
  for (; value >= base && i < units.length - 1; i++) value /= base;
  return figure.format(value) + " " + units[i];
}
const bytes = (value) => scaled(value, ["B", "KB", "MB", "GB", "TB"]);
const time = (ns) => scaled(ns / 1000, ["µs", "ms", "s"]);

function duration(ms) {
  const s = Math.floor(ms / 1000), two = (n) => String(n).padStart(2, "0");
  const days = Math.floor(s / 86400);
  return (days ? days + " d " : "") + two(Math.floor(s / 3600) % 24) + ":" + two(Math.floor(s / 60) % 60) + ":" + two(s % 60);
}

function set(id, text) {
  const node = $(id);
  if (node.textContent === text) return;
  node.textContent = text;
  // The text is made as large as its place allows, see `.fit`.
  if (node.classList.contains("fit")) node.style.setProperty("--chars", Math.max(text.length, 6));
}

function say(state, text) {
  const status = $("status");
  if (status.dataset.state !== state) status.dataset.state = state;
  set("status", text);
  document.body.dataset.stale = state !== "live";
}

/** Brings the rows of a table to these texts, the first of each being its heading. */
function rows(id, wanted) {
  const body = $(id);
  while (body.rows.length > wanted.length) body.deleteRow(-1);
  wanted.forEach((texts, i) => {
    let row = body.rows[i];
    if (!row) {
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
}

/** Brings a list to these terms and descriptions; a third element marks it as bad. */
function list(id, wanted) {
  const node = $(id);
  while (node.children.length > wanted.length) node.lastChild.remove();
  wanted.forEach(([term, text, bad = false], i) => {
    let pair = node.children[i];
    if (!pair) {
      pair = node.appendChild(document.createElement("div"));
      pair.append(document.createElement("dt"), document.createElement("dd"));
      pair.lastChild.className = "number";
    }
    if (pair.firstChild.textContent !== term) pair.firstChild.textContent = term;
    if (pair.lastChild.textContent !== text) pair.lastChild.textContent = text;
    pair.dataset.bad = bad;
  });
}

/** A reading: what the stream sends, or its statistics alone. */
function reading(data) {
  const now = performance.now(), stats = data.stats, before = last && last.stats.totalRequests;
  const events = stats.totalRequests, known = last && now - lastAt < SILENCE_MS && events >= before && !(data.upMs < last.upMs);
  let rate = null;
  if (known) {
    const ms = data.upMs !== undefined ? data.upMs - last.upMs : now - lastAt;
    if (ms > 0) rate = (events - before) * 1000 / ms;
  } else {
    recent.length = 0;
    if (points.length) points.push([now, null]);
  }
  follow(data, known ? before : null, rate);
  last = data;
  lastAt = now;
  recent.push([now, data]);
  while (now - recent[0][0] > RECENT_MS) recent.shift();
  if (rate !== null) points.push([now, rate]);
  say("live", paused ? "paused" : data.upMs === undefined ? "live, by polling" : "live");
  if (!paused) show();
}

/** Notices the run of a challenge: many events in a short time, of no more users than it has. */
function follow({ stats, upMs }, before, rate) {
  const { totalRequests, uniqueUsers } = stats;
  if (before === null || totalRequests < before) race = null;
  if (before === 0 && totalRequests > 0) race = { from: last.upMs };
  if (uniqueUsers <= USERS && before < EVENTS && rate > 2000) race = { ...race, runs: true };
  if (race && race.to === undefined && totalRequests >= EVENTS) race.to = upMs;
}

/** The mean rate over the last second, so that it can be read. */
function smooth() {
  const now = performance.now();
  const rates = points.filter(([at, rate]) => rate !== null && now - at < 1100).map(([, rate]) => rate);
  return rates.length ? rates.reduce((sum, rate) => sum + rate) / rates.length : null;
}

/** The known rates of the time that the curve shows. */
function shown() {
  const since = performance.now() - windowMs;
  return points.filter(([at, rate]) => rate !== null && at > since).map(([, rate]) => rate);
}

function show() {
  const { stats } = last, rate = smooth(), rates = shown();
  set("events", whole.format(stats.totalRequests));
  set("rate", rate === null ? "–" : whole.format(rate));
  set("peak", rates.length ? whole.format(Math.max(...rates)) : "–");
  set("mean", rates.length ? whole.format(rates.reduce((sum, rate) => sum + rate) / rates.length) : "–");
  set("users", whole.format(stats.uniqueUsers));
  set("sum", exact(stats.sum, true));
  set("average", exact(stats.avg, true));
  $("empty").dataset.over = stats.totalRequests > 0;
  document.title = whole.format(stats.totalRequests) + " · millrace";
  showChallenge(stats);
  if (last.workers) showServer(last);
}

function showChallenge(stats) {
  const met = TARGETS.every(([, name, target]) => stats[name] === target);
  $("challenge").hidden = !(raceWanted ?? (met || Boolean(race && race.runs)));
  $("race").setAttribute("aria-pressed", !$("challenge").hidden);
  const events = stats.totalRequests, over = events - EVENTS;
  $("challenge").dataset.met = met;
  $("progress").setAttribute("aria-valuenow", Math.min(events, EVENTS));
  $("progress").firstElementChild.style.width = Math.min(events, EVENTS) * 100 / EVENTS + "%";
  rows("targets", TARGETS.map(([label, name, target, isDouble]) => [label, exact(stats[name], isDouble), exact(target, isDouble)]));
  const end = race && (race.to ?? last.upMs), s = race && race.from !== undefined && end > race.from ? (end - race.from) / 1000 : 0;
  const watch = s ? `${s.toFixed(1)} s, ${whole.format(Math.min(events, EVENTS) / s)} events a second` : "";
  const verdict = met ? "✓ exact" : over > 0 ? `over the target by ${whole.format(over)}` : over === 0 ? "a million events, but not the right ones" : "";
  set("verdict", [verdict, watch].filter(Boolean).join(" · "));
}

/** The least class of durations that this share of the recent requests did not exceed. */
function percentile(share) {
  const counts = last.durations.map((count, i) => count - recent[0][1].durations[i]);
  const total = counts.reduce((sum, count) => sum + count);
  if (!(total > 0)) return "–";
  let left = total * share;
  const at = counts.findIndex((count) => (left -= count) <= 0), bound = last.boundsNs[at];
  return bound === undefined ? "over " + time(last.boundsNs.at(-1)) : "≤ " + time(bound);
}

function showServer({ connections, connectionsMax, usersMax, upMs, version, workers, stats, answers, errors, batches, state, producers }) {
  set("connections", whole.format(connections));
  set("connections-max", connectionsMax ? `of ${whole.format(connectionsMax)}` : "");
  set("users-max", usersMax ? `of ${whole.format(usersMax)}` : "");
  $("users-max").dataset.bad = usersMax <= stats.uniqueUsers;
  set("uptime", "up " + duration(upMs));
  set("since", duration(upMs));
  set("version", "v" + version);
  // The processor time is counted in hundredths of a second, so the oldest recent reading is compared.
  const [, old] = recent[0], s = (upMs - old.upMs) / 1000, rate = (name) => (last[name] - old[name]) / s;
  list("server", [
    ["Latency, half", percentile(0.5)], ["99 %", percentile(0.99)], ["99.9 %", percentile(0.999)],
    ["Processor", s && last.cpuS !== undefined ? Math.round(100 * rate("cpuS")) + " %" : "–"],
    ["Memory", last.memoryBytes ? bytes(last.memoryBytes) : "–"],
    ["Received", s ? bytes(rate("receivedBytes")) + "/s" : "–"], ["Sent", s ? bytes(rate("sentBytes")) + "/s" : "–"],
    ...(batches[0] ? [["Batches", whole.format(batches[0])], ["Events in them", whole.format(batches[1])]] : []),
    ...(producers ? [["Producers", whole.format(producers)]] : []),
  ]);
  const total = workers.reduce((sum, [events]) => sum + events, 0);
  rows("workers", workers.map(([events, clients], i) =>
    [String(i), whole.format(clients), whole.format(events), total ? (100 * events / total).toFixed(1) + " %" : "–"]));
  const table = (counts) => {
    const entries = Object.entries(counts);
    return entries.length ? entries.map(([name, count]) => [name.replaceAll("_", " "), whole.format(count)]) : [["none", "0"]];
  };
  rows("answers", table(answers));
  rows("errors", table(errors));
  $("state").hidden = !state;
  if (!state) return;
  const age = state.syncAgeS;
  list("state-list", [
    ["Mode", "fsync " + state.fsync],
    ["Last sync", age === null ? "not yet" : age < 60 ? age + " s ago" : duration(age * 1000) + " ago"],
    ["On disk", bytes(state.bytes)], ["Read at the start in", time(state.recoveryMs * 1e6)],
    ["Disk", state.full ? "full: new users are refused" : "has room", state.full],
  ]);
}

/** The least round number that is not below the value. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 4)));
  return [1, 1.5, 2, 3, 4, 6, 8, 10].map((n) => n * power).find((bound) => bound >= value);
}

function draw() {
  const canvas = $("curve"), scale = devicePixelRatio || 1, now = performance.now();
  while (points.length && now - points[0][0] > KEPT_MS + 1000) points.shift();
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue("--" + name).trim();
  const rem = parseFloat(style.fontSize), left = 3.2 * rem, bottom = 1.4 * rem, top = 0.6 * rem;
  const bound = ceiling(Math.max(1, ...shown()));
  const x = (at) => left + (width - left) * (1 - (now - at) / windowMs);
  const y = (rate) => top + (height - top - bottom) * (1 - rate / bound);
  const line = (...ends) => {
    context.beginPath();
    ends.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.stroke();
  };
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
    line([left, level], [width, level]);
    context.fillText(short.format(part * bound), left - 0.4 * rem, level);
  }
  ["left", "center", "right"].forEach((align, i) => {
    const s = windowMs / 1000 * (1 - i / 2);
    context.textAlign = align;
    context.fillText(s > 120 ? `${s / 60} min ago` : s ? `${s} s ago` : "now", x(now - s * 1000), height - 0.55 * rem);
  });
  context.save();
  context.beginPath();
  context.rect(left, 0, width - left, height);
  context.clip();
  const asked = cursor === null ? null : nearest();
  if (asked) line([x(asked[0]), top], [x(asked[0]), height - bottom]);
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
  set("caption", asked ? `${whole.format(asked[1])} a second, ${Math.round((now - asked[0]) / 1000)} s ago` : "Events a second");
}

/** The reading that is nearest to the cursor. */
function nearest() {
  return points.reduce((best, point) =>
    point[1] !== null && (!best || Math.abs(point[0] - cursor) < Math.abs(best[0] - cursor)) ? point : best, null);
}

function describe() {
  const rates = shown(), rate = smooth();
  $("curve").setAttribute("aria-label", `Events a second over the last ${windowMs / 1000} seconds: ` + (rates.length
    ? `now ${rate === null ? "unknown" : whole.format(rate)}, highest ${whole.format(Math.max(...rates))}` : "none yet"));
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
  } catch { /* the clock below says that the server does not answer */ }
}

setInterval(() => {
  const now = performance.now(), silent = now - Math.max(lastAt, polling ? 0 : opened) > SILENCE_MS;
  if (silent) {
    say("gone", last ? `no answer, last seen ${Math.round((now - lastAt) / 1000)} s ago` : "no answer yet");
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
  set("pause", paused ? "Go on" : "Pause");
  if (last && !paused) show();
});
$("race").addEventListener("click", () => {
  raceWanted = $("challenge").hidden;
  if (last) showChallenge(last.stats);
  $("challenge").scrollIntoView({ block: "nearest" });
});
const choices = document.querySelectorAll("[data-window]");
for (const choice of choices) {
  choice.addEventListener("click", () => {
    windowMs = choice.dataset.window * 1000;
    for (const other of choices) other.setAttribute("aria-pressed", other === choice);
    if (last && !paused) show();
    draw();
  });
}
$("curve").addEventListener("pointermove", ({ offsetX }) => {
  const left = 3.2 * parseFloat(getComputedStyle(document.documentElement).fontSize);
  cursor = performance.now() - windowMs * (1 - (offsetX - left) / ($("curve").clientWidth - left));
  draw();
});
for (const event of ["pointerleave", "blur"]) {
  $("curve").addEventListener(event, () => { cursor = null; draw(); });
}
$("curve").addEventListener("keydown", ({ key }) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
  if (!step) return;
  cursor = Math.min(performance.now(), (cursor ?? performance.now()) + step * windowMs / 60);
  draw();
});
set("curl", `curl -d '{"userId":"you","value":1}' ${new URL("event", location)}`);
rows("targets", TARGETS.map(([label, , target, isDouble]) => [label, "–", exact(target, isDouble)]));
rows("workers", [["–", "–", "–", "–"]]);
rows("answers", [["none", "0"]]);
rows("errors", [["none", "0"]]);
list("server", [["Latency, half", "–"], ["99 %", "–"], ["99.9 %", "–"], ["Processor", "–"], ["Memory", "–"], ["Received", "–"], ["Sent", "–"]]);
watch();
draw();
