// The dashboard in a real browser: what a person would see, and what a machine can check of it.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { chromium } from "playwright-core";
import { endAll, sendEvents, startServer } from "./server.js";

const SCREENSHOTS = process.env.SCREENSHOTS ?? "screenshots";
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
mkdirSync(SCREENSHOTS, { recursive: true });

let browser;
before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
      "--disable-background-networking", "--disable-component-update",
    ],
  });
});
afterEach(async () => {
  endAll();
  await Promise.all(browser.contexts().map((context) => context.close()));
});
after(() => browser?.close());

/** A page that notes every complaint of the browser. */
async function open(url, { width = 1280, height = 900, colorScheme = "light" } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, locale: "en" });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.addInitScript(() => {
    window.violations = [];
    window.shifts = [];
    addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
    new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map((entry) => entry.value)))
      .observe({ type: "layout-shift", buffered: true });
  });
  await page.goto(url);
  return { page, complaints };
}

const text = (page, id) => page.locator(`#${id}`).textContent();
const state = (page, wanted) =>
  page.waitForFunction((wanted) => document.getElementById("status").dataset.state === wanted, wanted);

test("it loads without a complaint and shows a quiet server", async () => {
  const server = await startServer();
  const { page, complaints } = await open(server.url);
  await state(page, "live");
  await page.waitForFunction(() => document.getElementById("rate").textContent === "0");
  assert.equal(await text(page, "events"), "0");
  assert.equal(await text(page, "average"), "0.0");
  assert.equal(await page.locator("#workers tr").count(), 2);
  assert.match(await text(page, "uptime"), /^up 00:00:0\d$/);
  assert.match(await text(page, "version"), /^v\d+\.\d+\.\d+$/);
  assert.equal(await text(page, "curl"), `curl -d '{"userId":"you","value":1}' ${server.url}/event`);
  assert.ok(await page.locator("#empty").isVisible());
  assert.ok(await page.locator("#challenge").isHidden());
  assert.deepEqual(await page.evaluate(() => window.violations), []);
  assert.deepEqual(complaints, []);
});

test("numbers move under load, nothing jumps about, and they end exact", async () => {
  const server = await startServer();
  const { page, complaints } = await open(server.url);
  await state(page, "live");
  await server.post("no event");
  await server.post("{}");
  await page.evaluate(() => { window.shifts = []; });
  const seen = new Set();
  let done = false;
  // Slowly enough to be watched.
  const load = sendEvents(server.url, ["--events", "1000000", "--connections", "200", "--rate", "90000"])
    .then((exact) => { done = true; return exact; });
  while (!done) {
    seen.add(await text(page, "events"));
    const share = Number(await page.locator("#progress").getAttribute("aria-valuenow")) / 1e6;
    if (share > 0.75 && !seen.has("picture")) {
      seen.add("picture");
      await page.screenshot({ path: `${SCREENSHOTS}/dashboard.png` });
    }
    await page.waitForTimeout(150);
  }
  assert.equal(await load, true, "the client finds the statistics exact");
  assert.ok(seen.size > 12, `${seen.size} different numbers`);
  await page.waitForFunction(() => document.getElementById("challenge").dataset.met === "true");
  assert.ok(await page.locator("#challenge").isVisible(), "it shows itself when a challenge runs");
  assert.match(await text(page, "verdict"), /^✓ exact · \d+\.\d s, [\d,]+ events a second$/);
  assert.ok(await page.locator("#empty").isHidden());
  const server_ = Object.fromEntries(await page.locator("#server > div").evaluateAll((pairs) =>
    pairs.map((pair) => [...pair.children].map(({ textContent }) => textContent))));
  assert.match(server_["99 %"], /^(≤|over) [\d.]+ (µs|ms|s)$/);
  assert.match(server_.Processor, /^\d+ %$/);
  assert.match(server_.Memory, /^[\d.]+ MB$/);
  assert.match(server_.Received, /B\/s$/);
  const answers = await page.locator("#answers tr").allTextContents();
  assert.ok(answers.some((row) => /^200[\d,]+$/.test(row)) && answers.includes("4002"), answers.join());
  assert.equal(await text(page, "events"), "1,000,000");
  assert.equal(await text(page, "users"), "75,000");
  assert.equal(await text(page, "sum"), "499,500,000.0");
  assert.equal(await text(page, "average"), "499.5");
  assert.equal(await page.locator("#progress").getAttribute("aria-valuenow"), "1000000");
  assert.match(await page.title(), /^1,000,000/);
  const errors = await page.locator("#errors tr").allTextContents();
  assert.deepEqual(errors.length, 2, errors.join());
  const highest = await page.evaluate(() => Math.max(...points.map(([, rate]) => rate ?? 0)));
  assert.ok(highest > 20_000, `${highest} events a second`);
  // One more event, and the targets are not met any more.
  await server.post('{"userId":"user_1","value":0}');
  await page.waitForFunction(() => document.getElementById("challenge").dataset.met === "false");
  assert.match(await text(page, "verdict"), /^over the target by 1 · /);
  const shift = await page.evaluate(() => window.shifts.reduce((sum, value) => sum + value, 0));
  assert.ok(shift < 0.01, `layout shift ${shift}`);
  assert.deepEqual(complaints.filter((line) => !line.includes("400")), []);
});

test("it says so when the server is gone, comes back by itself, and leaves a gap", async () => {
  const server = await startServer();
  const { page } = await open(server.url);
  await state(page, "live");
  await server.post('{"userId":"a","value":1}');
  await page.waitForFunction(() => document.getElementById("events").textContent === "1");
  await server.stop();
  await state(page, "gone");
  assert.match(await text(page, "status"), /^no answer, last seen \d+ s ago$/);
  assert.equal(await text(page, "events"), "1", "the last reading stays, and looks old");
  assert.equal(await page.evaluate(() => document.body.dataset.stale), "true");
  const again = await startServer({ port: server.port });
  await state(page, "live");
  await page.waitForFunction(() => document.getElementById("events").textContent === "0");
  // The curve has a gap.
  await page.waitForFunction(() => {
    const at = points.findIndex(([, rate]) => rate === null);
    return at > 0 && points.slice(at).some(([, rate]) => rate !== null);
  });
});

test("where streams do not come through it asks for the statistics one by one", async () => {
  const server = await startServer();
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.route("**/live", (route) => route.abort());
  await page.goto(server.url);
  await state(page, "live");
  assert.equal(await text(page, "status"), "live, by polling");
  await server.post('{"userId":"a","value":2.5}');
  await page.waitForFunction(() => document.getElementById("sum").textContent === "2.5");
});

test("it can be paused with the keyboard", async () => {
  const server = await startServer();
  const { page } = await open(server.url);
  await state(page, "live");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "race");
  await page.keyboard.press("Enter");
  assert.ok(await page.locator("#challenge").isVisible(), "the challenge on demand");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "pause");
  await page.keyboard.press("Enter");
  assert.equal(await page.locator("#pause").getAttribute("aria-pressed"), "true");
  await server.post('{"userId":"a","value":1}');
  await page.waitForTimeout(700);
  assert.equal(await text(page, "events"), "0");
  await page.keyboard.press("Space");
  await page.waitForFunction(() => document.getElementById("events").textContent === "1");
});

test("it shows the state directory, also in the next process, and when the disk is full", async () => {
  const directory = mkdtempSync(join(tmpdir(), "millrace-browser-"));
  const options = ["--state", directory];
  const server = await startServer({ options });
  const { page, complaints } = await open(server.url);
  await state(page, "live");
  await server.post('{"userId":"a","value":2.5}');
  const shown = () => page.locator("#state dd").allTextContents();
  await page.waitForFunction(() => /^\d+ s ago$/.test(document.querySelectorAll("#state dd")[1].textContent));
  const [mode, , disk, recovery, room] = await shown();
  assert.deepEqual([mode, room], ["fsync everysec", "has room"]);
  assert.match(disk, /^[\d.]+ MB$/);
  assert.match(recovery, /^[\d.]+ (µs|ms)$/);
  await server.stop("SIGKILL");
  await startServer({ port: server.port, options: [...options, "--fsync", "always"] });
  await page.waitForFunction(() => document.querySelector("#state dd").textContent === "fsync always");
  assert.equal(await text(page, "events"), "1");
  assert.deepEqual(complaints.filter((complaint) => !complaint.includes("ERR_")), []);
  // A reading of a server whose disk is full.
  await page.evaluate(() => {
    source.close();
    reading({ ...last, state: { ...last.state, full: true, syncAgeS: 4000, bytes: 870666240, recoveryMs: 8164 } });
  });
  assert.deepEqual((await shown()).slice(1), ["01:06:40 ago", "871 MB", "8.16 s", "full: new users are refused"]);
  await page.screenshot({ path: `${SCREENSHOTS}/state-full.png`, fullPage: true });
  await accessible(page);
  rmSync(directory, { recursive: true });
});

test("limits stand beside the values", async () => {
  const server = await startServer({ options: ["--max-users", "2", "--max-connections", "1500"] });
  const { page } = await open(server.url);
  for (const user of ["a", "b", "c"]) await server.post(`{"userId":"${user}","value":1}`);
  await page.waitForFunction(() => document.getElementById("users").textContent === "2");
  assert.equal(await text(page, "users-max"), "of 2");
  assert.equal(await page.locator("#users-max").getAttribute("data-bad"), "true");
  assert.equal(await text(page, "connections-max"), "of 1,500");
  await page.waitForFunction(() => document.getElementById("errors").textContent.includes("users full"));
});

test("the curve shows 30 seconds to 10 minutes, and its values by pointer and keyboard", async () => {
  const server = await startServer();
  const { page } = await open(server.url);
  await page.waitForFunction(() => points.length > 4);
  await page.evaluate(() => {
    source.close();
    points.length = 0;
    const now = performance.now();
    for (let s = 600; s > 0; s--) points.push([now - s * 1000, s > 60 ? 70000 : 1200]);
  });
  for (const [name, peak] of [["10 min", "70,000"], ["30 s", "1,200"], ["2 min", "70,000"]]) {
    await page.getByRole("button", { name, exact: true }).click();
    assert.equal(await text(page, "peak"), peak, name);
    assert.equal(await page.getByRole("button", { name, exact: true }).getAttribute("aria-pressed"), "true");
  }
  const box = await page.locator("#curve").boundingBox();
  await page.mouse.move(box.x + box.width * 0.97, box.y + 30);
  assert.match(await text(page, "caption"), /^1,200 a second, \d s ago$/);
  await page.mouse.move(box.x + box.width * 0.2, box.y + 30);
  assert.match(await text(page, "caption"), /^70,000 a second, \d+ s ago$/);
  await page.mouse.move(0, 0);
  assert.equal(await text(page, "caption"), "Events a second");
  await page.locator("#curve").focus();
  await page.keyboard.press("ArrowLeft");
  assert.match(await text(page, "caption"), /^1,200 a second, \d s ago$/);
});

/** The shortest text of each double that is this double, as the page must show it. */
const EXTREMES = [
  [1.4e308, "1.4e308"], [-123456789012345.77, "-123,456,789,012,345.77"], [5e-324, "5e-324"],
  [0, "0.0"], [1234567890123.5, "1,234,567,890,123.5"], [1e15, "1e15"], [1e21, "1e21"],
  [-1.2345678901234568e-300, "-1.2345678901234568e-300"], [0.1 + 0.2, "0.30000000000000004"],
  [123456.75, "123,456.75"], [null, "out of range"],
];

test("no number is cut, rounded or too wide, and 64 workers have their place", async () => {
  const server = await startServer();
  for (const width of [360, 1280]) {
    const { page } = await open(server.url, { width });
    await state(page, "live");
    for (const [value, expected] of EXTREMES) {
      await page.evaluate((value) => {
        source.close();
        const workers = Array.from({ length: 64 }, (_, i) => [1e12 + i, 15 * i]);
        reading({ ...last, workers, stats: { totalRequests: 9007199254740991, uniqueUsers: 4294967295, sum: value, avg: value } });
      }, value);
      assert.equal(await text(page, "sum"), expected);
      assert.equal(await text(page, "average"), expected);
      await fits(page);
    }
    assert.equal(await page.locator("#workers tr").count(), 64);
    await page.screenshot({ path: `${SCREENSHOTS}/extremes-${width}.png`, fullPage: true });
    await accessible(page);
  }
});

async function fits(page) {
  const overflow = await page.evaluate(() =>
    document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(overflow, 0, "nothing sticks out");
  const cut = await page.evaluate(() => [...document.querySelectorAll(".number")]
    .filter((node) => node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).display !== "inline")
    .map((node) => node.id || node.textContent));
  assert.deepEqual(cut, [], "no number is cut");
}

async function accessible(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => axe.run());
  const violations = found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  assert.deepEqual(violations, []);
}

for (const colorScheme of ["light", "dark"]) {
  for (const [width, height] of [[360, 740], [1280, 900], [3840, 2160]]) {
    test(`it holds at ${width} pixels in ${colorScheme}, and is accessible`, async () => {
      const directory = mkdtempSync(join(tmpdir(), "millrace-browser-"));
      const server = await startServer({ options: ["--state", directory] });
      const { page } = await open(server.url, { width, height, colorScheme });
      await server.post("{}");
      await sendEvents(server.url, ["--events", "150000", "--connections", "50", "--rate", "100000"]);
      // A wide number.
      await server.post('{"userId":"rich","value":1234567890123.5}');
      await page.waitForFunction(() => document.getElementById("events").textContent === "150,001");
      await page.screenshot({ path: `${SCREENSHOTS}/${width}-${colorScheme}.png`, fullPage: width === 360 });
      await fits(page);
      await accessible(page);
      rmSync(directory, { recursive: true });
    });
  }
}
