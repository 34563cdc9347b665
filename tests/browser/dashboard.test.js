// The dashboard in a real browser: what a person would see, and what a machine can check of it.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
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
  await page.waitForFunction(() => document.querySelectorAll('#targets tr[data-met="true"]').length === 4);
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
  await page.waitForFunction(() => document.querySelectorAll('#targets tr[data-met="true"]').length < 4);
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
  assert.equal(await text(page, "status"), "no answer, retrying");
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
  assert.equal(await page.evaluate(() => document.activeElement.id), "pause");
  await page.keyboard.press("Enter");
  assert.equal(await page.locator("#pause").getAttribute("aria-pressed"), "true");
  await server.post('{"userId":"a","value":1}');
  await page.waitForTimeout(700);
  assert.equal(await text(page, "events"), "0");
  await page.keyboard.press("Space");
  await page.waitForFunction(() => document.getElementById("events").textContent === "1");
});

for (const colorScheme of ["light", "dark"]) {
  for (const [width, height] of [[360, 740], [1280, 900], [3840, 2160]]) {
    test(`it holds at ${width} pixels in ${colorScheme}, and is accessible`, async () => {
      const server = await startServer();
      const { page } = await open(server.url, { width, height, colorScheme });
      await server.post("{}");
      await sendEvents(server.url, ["--events", "150000", "--connections", "50", "--rate", "100000"]);
      // The widest numbers there can be.
      await server.post('{"userId":"rich","value":1234567890123.5}');
      await page.waitForFunction(() => document.getElementById("events").textContent === "150,001");
      await page.screenshot({ path: `${SCREENSHOTS}/${width}-${colorScheme}.png`, fullPage: width === 360 });
      const overflow = await page.evaluate(() =>
        document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(overflow, 0, "nothing sticks out");
      const cut = await page.evaluate(() => [...document.querySelectorAll(".number")]
        .filter((node) => node.scrollWidth > node.clientWidth + 1).map((node) => node.id || node.textContent));
      assert.deepEqual(cut, [], "no number is cut");
      await page.evaluate(AXE);
      const found = await page.evaluate(() => axe.run());
      const violations = found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
      assert.deepEqual(violations, []);
        });
  }
}
