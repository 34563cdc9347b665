// A real millrace and the challenge's client, as child processes.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const { MILLRACE, CHALLENGE } = process.env;
const running = new Set();

/** Ends whatever a test has left running. */
export function endAll() {
  for (const child of running) child.kill("SIGKILL");
}

function run(program, args, stdio) {
  const child = spawn(program, args, { stdio });
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}

/** Starts the server on this port, or one that the system chooses; resolves when it is ready. */
export async function startServer({ port = 0, options = [] } = {}) {
  const args = ["--listen", `127.0.0.1:${port}`, "--workers", "2", ...options];
  const child = run(MILLRACE, args, ["ignore", "ignore", "pipe"]);
  const lines = createInterface({ input: child.stderr });
  const url = await new Promise((resolve, reject) => {
    lines.on("line", (line) => {
      const found = /^listening on (http:\S+)/.exec(line);
      if (found) resolve(found[1]);
    });
    child.once("exit", () => reject(new Error("the server does not start")));
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  return {
    url,
    port: new URL(url).port,
    post: (body) => fetch(`${url}/event`, { method: "POST", body }),
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      await ended;
    },
  };
}

/** Sends events as the challenge does, and resolves with whether the statistics were exact. */
export function sendEvents(url, options) {
  const child = run(CHALLENGE, [...options, url], "ignore");
  return new Promise((resolve) => child.once("exit", (status) => resolve(status === 0)));
}
