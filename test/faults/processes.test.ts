import { createSdkMcpServer, tool } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import type { SessionOptions } from "../../src/session/options/options.ts";
import type { FakeProcess, FakeTurn } from "../../src/testing/index.ts";
import { failure, Scene, type Setting, ticks } from "../session-on-fake/scene.ts";

/** Returns `value` once the test releases it. */
type Later = <Value>(value: Value) => Promise<Value>;

/** A callback of the application, and how a process comes to call it. */
interface Callback {
  readonly options: (later: Later) => Omit<SessionOptions, "name">;
  readonly use: (turn: FakeTurn) => Promise<unknown>;
}

const hook: Callback = {
  options: (later) => ({ hooks: { PreToolUse: [{ hooks: [() => later({})] }] } }),
  use: (turn) => turn.toolUse("Bash", { command: "ls" }),
};

const permission: Callback = {
  options: (later) => ({ canUseTool: () => later({ behavior: "allow" }) }),
  use: (turn) => turn.toolUse("Bash", { command: "ls" }, { ask: true }),
};

const inProcessTool: Callback = {
  options: (later) => {
    const slow = tool("slow", "Takes its time", {}, () => later({ content: [{ type: "text", text: "done" }] }));
    return { mcpServers: { own: createSdkMcpServer({ name: "own", tools: [slow] }) } };
  },
  use: (turn) => turn.callTool("own", "slow", {}),
};

test.each([
  { what: "a hook", callback: hook },
  { what: "a permission", callback: permission },
  { what: "an in-process tool", callback: inProcessTool },
])(
  "$what that settles after its process has died: writes to no process and affects no other turn",
  async ({ callback }) => {
    for (const end of [() => {}, () => Promise.reject(new Error("too late anyway"))]) {
      const [called, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const later: Later = async (value) => {
        called.resolve();
        await gate.promise;
        return value;
      };
      await using scene = await Scene.open({
        session: callback.options(later),
        script: async (turn) => {
          if (turn.prompt === "one") await callback.use(turn);
          await turn.text("fine");
        },
      });
      const turn = stream(scene.name, "one");
      await called.promise;
      scene.fake.processes[0]?.crash({ signal: "SIGKILL" });
      await failure(turn.result(), "TURN_INTERRUPTED");
      gate.resolve(end());
      expect((await query(scene.name, "two")).text).toBe("fine");
      expect(scene.fake.processes).toHaveLength(2);
    }
  },
);

// Otherwise a turn that was sent to a slowly ending process would be lost.
const orderly: Setting = { session: { onInterruptedTurn: "fail", shutdown: 20 }, fake: { endOfInput: "ignore" } };

test.each([
  { how: "a restart by hand", setting: orderly, end: (scene: Scene) => scene.session.restart() },
  { how: "hibernation", setting: orderly, end: (scene: Scene) => scene.session.hibernate() },
  { how: "SIGKILL", setting: {}, end: async ({ fake }: Scene) => fake.running[0]?.crash({ signal: "SIGKILL" }) },
  { how: "code 0", setting: {}, end: async ({ fake }: Scene) => fake.running[0]?.crash({ code: 0 }) },
])(
  "turns queued at any moment of the end of a process by $how: reach only the next process",
  async ({ setting, end }) => {
    for (let moment = 0; moment < 5; moment++) {
      await using scene = await Scene.open(setting);
      await query(scene.name, "warm");
      const ended = end(scene);
      await ticks(moment);
      const replies = await Promise.all(["one", "two"].map((prompt) => query(scene.name, prompt)));
      expect(replies.map(({ text }) => text)).toEqual(["You said: one", "You said: two"]);
      await ended;
    }
  },
);

test("SessionProcess: never runs two processes on one transcript, whatever is called at once and however slowly they end", async () => {
  const asks: ((scene: Scene) => Promise<unknown>)[] = [
    ({ session }) => session.restart(),
    ({ session }) => session.hibernate(),
    ({ session }) => session.query("between"),
    async ({ fake }) => fake.running[0]?.crash({ signal: "SIGKILL" }),
  ];
  for (const first of asks) {
    for (const second of asks) {
      const started: FakeProcess[] = [];
      await using scene = await Scene.open({
        session: { shutdown: 10 },
        fake: {
          endOfInput: "ignore",
          ignoreSigterm: true,
          startup: (process) => {
            expect(started.filter(({ state }) => state === "running")).toEqual([]);
            started.push(process);
          },
        },
      });
      await query(scene.name, "before");
      await Promise.allSettled([first(scene), second(scene), scene.session.wake(), scene.session.restart()]);
      const { sessionId } = await query(scene.name, "after");
      expect(scene.fake.processes.map((process) => process.sessionId)).toEqual(started.map(() => sessionId));
      expect(started.length).toBeGreaterThan(1);
    }
  }
});
