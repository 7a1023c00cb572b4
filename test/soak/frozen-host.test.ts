import { spawn } from "node:child_process";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type SessionOptions, Supervisor } from "../../src/index.ts";
import { type MessagesApi, messagesApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

let api: MessagesApi;

beforeEach(async () => {
  api = await messagesApi();
});

afterEach(async () => {
  await api.stop();
});

/** Blocks this process for that long, like a SIGSTOP or a sleeping machine. */
function freeze(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

async function started(options: Omit<SessionOptions, "name">) {
  const name = unique();
  const defaults = { env: api.env, cwd: api.cwd };
  const supervisor = await Supervisor.start([{ name, ...options }], { journal: "memory", defaults });
  const session = supervisor.session(name);
  await session.query("warm");
  return { supervisor, session, pid: session.status().pid ?? 0 };
}

it("stallTimeout: does not count the time in which its own process was frozen", async () => {
  const { supervisor, session, pid } = await started({ stallTimeout: "1s" });
  await using _ = supervisor;
  const asked = api.requests.length + 1;
  const turn = session.query("hello");
  await api.requested(asked);
  freeze(4_000);
  expect((await turn).text).toBe("You said: hello");
  expect(session.status()).toMatchObject({ pid, restarts: 0 });
});

it("stallTimeout: does not count a freeze of both processes", async () => {
  const { supervisor, session, pid } = await started({ stallTimeout: "1s" });
  await using _ = supervisor;
  const asked = api.requests.length + 1;
  const turn = session.query("hello");
  await api.requested(asked);
  process.kill(pid, "SIGSTOP");
  spawn("sh", ["-c", `sleep 4; kill -CONT ${pid}`]);
  freeze(4_000);
  expect((await turn).text).toBe("You said: hello");
  expect(session.status()).toMatchObject({ pid, restarts: 0 });
});

it("control and interrupt deadlines: do not count the time in which the process was frozen", async () => {
  api.model = ({ texts }) => ({ text: texts.at(-1)?.text ?? "", ...(api.requests.length > 1 && { delayMs: 60_000 }) });
  const { supervisor, session, pid } = await started({});
  await using _ = supervisor;
  const models = session.supportedModels();
  freeze(11_000);
  expect((await models).length).toBeGreaterThan(0);
  const turn = session.stream("hello");
  await api.requested(2);
  void turn.interrupt();
  // Lets the interrupt request be written. Its answer is not read yet.
  await new Promise((resolve) => setImmediate(resolve));
  freeze(6_000);
  await expect(turn.result()).rejects.toMatchObject({ code: "TURN_INTERRUPTED" });
  api.model = () => ({ text: "yes" });
  expect((await session.query("again")).text).toBe("yes");
  expect(session.status()).toMatchObject({ pid, restarts: 0 });
});

it("stallTimeout: finds a process that is stopped after its own process was frozen", async () => {
  const { supervisor, session, pid } = await started({ stallTimeout: "1s" });
  await using _ = supervisor;
  const asked = api.requests.length + 1;
  const turn = session.query("hello");
  await api.requested(asked);
  process.kill(pid, "SIGSTOP");
  freeze(2_000);
  expect((await turn).text).toBe("You said: hello");
  expect(session.status()).toMatchObject({ restarts: 1, lastExit: { class: "stalled" } });
});
