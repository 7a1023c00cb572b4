import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Session, Supervisor } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { type MockApi, mockApi } from "../../src/testing/index.ts";
import { eventually, failure, RejectionWatch, unique } from "../session-on-fake/scene.ts";

/* Faults of other libraries that only the real Claude Code can show. The others are in test/faults. */

let api: MockApi;

beforeEach(async () => {
  api = await mockApi();
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await api.stop();
});

function kill(session: Session): void {
  const { pid } = session.status();
  if (pid === undefined) throw new Error("no process");
  process.kill(pid, "SIGKILL");
}

/** Moments at which the first turn of a session is aborted. */
const MOMENTS: Record<string, (turn: { readonly state: string }) => Promise<unknown>> = {
  "before it is handed over": async () => {},
  "when it is handed over": (turn) => eventually(() => turn.state === "running"),
  "when the model is asked": () => api.requested(1),
};

describe("a session on the real Claude Code", () => {
  it("passes no variable of the application to a tool unless an option names it", async () => {
    vi.stubEnv("DATABASE_URL", "postgres://secret");
    vi.stubEnv("TOKEN_FOR_TOOLS", "meant for them");
    const name = unique();
    await using supervisor = await Supervisor.start([{ name, inheritEnv: ["TOKEN_FOR_TOOLS"] }], {
      defaults: { env: api.env, cwd: api.cwd, allowedTools: ["Bash"] },
    });
    const command = 'echo "[$DATABASE_URL] [$VITEST] [$TOKEN_FOR_TOOLS]"';
    api.reply("Look around.", { toolUses: [{ name: "Bash", input: { command } }] });
    expect((await supervisor.query(name, "Look around.")).text).toBe("The tool said: [] [] [meant for them]");
  });

  it("causes no unhandled rejection when its process dies with prompts and hooks in progress", async () => {
    const watch = new RejectionWatch();
    const called = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<object>();
    const hook = (): Promise<object> => {
      called.resolve();
      return gate.promise;
    };
    const name = unique();
    {
      await using supervisor = await Supervisor.start([{ name, hooks: { PreToolUse: [{ hooks: [hook] }] } }], {
        defaults: { env: api.env, cwd: api.cwd, allowedTools: ["Bash"] },
      });
      const session = supervisor.session(name);
      api.reply("Make it.", { toolUses: [{ name: "Bash", input: { command: "true" } }] }, { times: 1 });
      const made = failure(session.query("Make it."), "TURN_INTERRUPTED");
      await called.promise;
      kill(session);
      gate.reject(new Error("too late anyway"));
      await made;
      // A pipe takes 64 kB at once. The rest of the prompt waits for a reader that never comes.
      api.reply(({ prompt }) => prompt.includes("xxx"), "Large.");
      const large = session.stream("x".repeat(1_000_000));
      await eventually(() => large.state === "running");
      kill(session);
      expect((await large.result()).text).toBe("Large.");
    }
    await watch.end();
  });

  it("can be resumed after its first turn was aborted at any moment", async () => {
    const children = Object.keys(MOMENTS).map((moment) => ({ name: unique(moment) }));
    await using supervisor = await Supervisor.start(children, { defaults: { env: api.env, cwd: api.cwd } });
    api.reply("never mind", { text: "too late", delayMs: 60_000 });
    const moments = Object.values(MOMENTS);
    const giveUp = async (session: Session, at: number): Promise<void> => {
      const abort = new AbortController();
      const turn = session.stream("never mind", { signal: abort.signal });
      const ended = turn.result().catch((error: unknown) => error);
      await moments[at]?.(turn);
      abort.abort();
      kill(session);
      expect(await ended).toMatchObject({ code: expect.stringMatching(/^TURN_(CANCELLED|INTERRUPTED)$/) });
      expect((await session.query("Hello.")).text).toBe("You said: Hello.");
      expect((await session.query("What did I just say?")).text).toBe("You just said: Hello.");
    };
    await Promise.all(children.map(({ name }, at) => giveUp(supervisor.session(name), at)));
  });

  it("keeps its name when the application ends in the first tool, before the transcript is written", async () => {
    const journal = memoryJournal();
    const name = unique();
    const called = Promise.withResolvers<void>();
    const hook = (): Promise<object> => {
      called.resolve();
      return new Promise(() => {});
    };
    const options = { journal, name: "application", defaults: { env: api.env, cwd: api.cwd } };
    const first = await Supervisor.start([{ name, hooks: { PreToolUse: [{ hooks: [hook] }] } }], options);
    api.reply("Make it.", { toolUses: [{ name: "Bash", input: { command: "true" } }] });
    const turn = failure(first.session(name).query("Make it."), "TURN_INTERRUPTED");
    await called.promise;
    await first.stop({ kill: true });
    await turn;
    await using second = await Supervisor.start([{ name }], options);
    expect((await second.query(name, "Hello.")).text).toBe("You said: Hello.");
  });
});
