import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type Session, type SessionEvent, type SessionOptions, Supervisor } from "../../src/index.ts";
import { type MessagesApi, messagesApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

let api: MessagesApi;

beforeEach(async () => {
  api = await messagesApi();
});

afterEach(async () => {
  await api.stop();
});

/** Starts a session in which Claude runs a command in the background. */
async function atWork(command: string, options: Omit<SessionOptions, "name">) {
  let started = false;
  api.model = () => {
    const first = !started;
    started = true;
    const input = { command, description: "endless", run_in_background: true };
    return first ? { toolUses: [{ name: "Bash", input }] } : { text: "ok" };
  };
  const name = unique();
  const supervisor = await Supervisor.start([{ name, allowedTools: ["Bash"], ...options }], {
    journal: "memory",
    defaults: { env: api.env, cwd: api.cwd },
  });
  const session = supervisor.session(name);
  const events = session.events();
  await session.query("start");
  return { supervisor, session, events };
}

async function until(events: AsyncIterable<SessionEvent>, wanted: SessionEvent["type"]): Promise<SessionEvent> {
  for await (const event of events) if (event.type === wanted) return event;
  throw new Error(`no ${wanted}`);
}

const idle = (session: Session): Promise<boolean> =>
  vi.waitUntil(() => session.status().state === "idle", { timeout: 30_000 });

it("maxMemory: replaces a process whose background task outgrows it", async () => {
  // `tail` buffers a line that does not end.
  const command = "(head -c 900M /dev/zero; tail -f /dev/null) | tail";
  const { supervisor, session, events } = await atWork(command, { maxMemory: "300MB" });
  await using _ = supervisor;
  expect(session.status().tasks).toMatchObject([{ type: "local_bash", description: "endless" }]);
  const event = await until(events, "exit");
  expect(event).toMatchObject({
    exit: { class: "out_of_memory", message: expect.stringContaining("background task") },
  });
  await idle(session);
  expect((await session.query("go on")).text).toBe("ok");
});

it("backgroundTaskTimeout: stops an endless background task, and keeps the process", async () => {
  const { supervisor, session, events } = await atWork("tail -f /dev/null", { backgroundTaskTimeout: "2s" });
  await using _ = supervisor;
  const { pid } = session.status();
  expect(await until(events, "task_overdue")).toMatchObject({ task: { description: "endless" } });
  await idle(session);
  expect(session.status()).toMatchObject({ pid, tasks: [], restarts: 0 });
  expect((await session.query("go on")).text).toBe("ok");
});
