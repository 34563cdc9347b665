// Pages of another origin, in a real browser: which of their requests are counted.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, afterEach, before, test } from "node:test";
import { chromium } from "playwright-core";
import { endAll, startServer } from "./server.js";

let browser;
let site;
let origin;
before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"],
  });
  // A page without content, on a port of its own: another origin.
  site = createServer((request, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end("<!doctype html><title>shop</title>");
  });
  await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${site.address().port}`;
});
afterEach(() => endAll());
after(async () => {
  await browser?.close();
  site?.close();
});

const EVENT = JSON.stringify({ userId: "page", value: 2 });

/** What a page can try, with whether it counts an event if its origin is allowed. */
const ATTEMPTS = {
  "fetch with JSON": {
    counts: true,
    run: ({ url, event }) =>
      fetch(`${url}/event`, {
        method: "POST", body: event, headers: { "Content-Type": "application/json" },
      }).then((answer) => answer.status, () => "refused"),
    seen: [200, "refused"],
  },
  "fetch without preflight": {
    counts: true,
    run: ({ url, event }) =>
      fetch(`${url}/event`, { method: "POST", mode: "no-cors", body: event }).then((answer) => answer.type),
    seen: ["opaque", "opaque"],
  },
  "fetch of a batch": {
    counts: true,
    run: ({ url, event }) =>
      fetch(`${url}/events`, { method: "POST", body: event })
        .then((answer) => answer.json(), () => "refused")
        .then((answer) => answer.counted ?? answer),
    seen: [1, "refused"],
  },
  "beacon with text": {
    counts: true,
    run: ({ url, event }) => navigator.sendBeacon(`${url}/event`, event),
    seen: [true, true],
  },
  "beacon with JSON": {
    counts: true,
    run: ({ url, event }) =>
      navigator.sendBeacon(`${url}/event`, new Blob([event], { type: "application/json" })),
    seen: [true, true],
  },
  "form": {
    counts: true,
    // As text, one field whose name and value together are JSON: {"userId":"page","value":2,"x":"="}.
    run: ({ url }) => {
      const form = Object.assign(document.createElement("form"), {
        method: "post", action: `${url}/event`, enctype: "text/plain", target: "frame",
      });
      const input = Object.assign(document.createElement("input"), {
        name: '{"userId":"page","value":2,"x":"', value: '"}',
      });
      const frame = Object.assign(document.createElement("iframe"), { name: "frame" });
      form.append(input);
      document.body.append(frame, form);
      const loaded = new Promise((resolve) => {
        frame.addEventListener("load", () => resolve("sent"));
      });
      form.submit();
      return loaded;
    },
    seen: ["sent", "sent"],
  },
  "image": {
    counts: false,
    run: ({ url }) =>
      new Promise((resolve) => {
        const image = new Image();
        image.onerror = () => resolve("no image");
        image.src = `${url}/event`;
      }),
    seen: ["no image", "no image"],
  },
  "reading the statistics": {
    counts: false,
    run: ({ url }) =>
      fetch(`${url}/stats`).then((answer) => answer.json(), () => "refused")
        .then((statistics) => statistics === "refused" ? statistics : Object.keys(statistics).length),
    seen: [4, "refused"],
  },
};

const statistics = async (url) => (await fetch(`${url}/stats`)).json();

/** Requests for events that the server has answered, by the route and status in its metrics. */
async function answered(url) {
  const page = await (await fetch(`${url}/metrics`)).text();
  const lines = page.matchAll(/^millrace_http_requests_total\{route="(event|events|stats)",code="\d+"\} (\d+)$/gm);
  return [...lines].reduce((sum, [, , count]) => sum + Number(count), 0);
}

/** Waits until the server has answered nothing for some time: a beacon tells its page nothing. */
async function quiet(url, least) {
  const deadline = Date.now() + 15_000;
  for (let last = -1; Date.now() < deadline;) {
    const now = await answered(url);
    if (now === last && now >= least) return;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("the requests of the page do not arrive");
}

for (const allowed of [true, false]) {
  test(`pages of another origin are ${allowed ? "served" : "refused"} ${allowed ? "with" : "without"} --allow-origin`, async () => {
    for (const [name, attempt] of Object.entries(ATTEMPTS)) {
      const options = allowed ? ["--allow-origin", origin] : [];
      const server = await startServer({ options });
      const context = await browser.newContext();
      const page = await context.newPage();
      await page.goto(origin);
      const seen = await page.evaluate(attempt.run, { url: server.url, event: EVENT });
      await quiet(server.url, 1);
      const { totalRequests, sum } = await statistics(server.url);
      const expected = allowed && attempt.counts ? 1 : 0;
      assert.deepEqual({ totalRequests, sum }, { totalRequests: expected, sum: 2 * expected }, name);
      assert.equal(seen, attempt.seen[allowed ? 0 : 1], name);
      await context.close();
      await server.stop();
    }
  });
}

test("a reset by another origin's page is refused", async () => {
  const server = await startServer({ options: ["--allow-reset"] });
  assert.equal((await server.post(EVENT)).status, 200);
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(origin);
  await page.evaluate((url) => fetch(`${url}/reset`, { method: "POST", mode: "no-cors" }).catch(() => null), server.url);
  assert.equal((await statistics(server.url)).totalRequests, 1);
  // The server's own page may.
  await page.goto(server.url);
  assert.equal(await page.evaluate(() => fetch("/reset", { method: "POST" }).then((answer) => answer.status)), 200);
  assert.equal((await statistics(server.url)).totalRequests, 0);
  await context.close();
});
