import { expect, test } from "vitest";
import { Supervisor, template } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { failure, unique } from "./scene.ts";

/** A journal that never answers what a session needs to be restored, once it is told to. */
function silenced() {
  const inner: Journal = memoryJournal();
  const asked = Promise.withResolvers<void>();
  const state = { isSilent: false };
  const journal: Journal = new Proxy(inner, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== "function") return value;
      if (property !== "sessions" && property !== "unfinishedTurns") return value.bind(target);
      return async (...args: readonly unknown[]): Promise<unknown> => {
        if (state.isSilent) {
          asked.resolve();
          await new Promise(() => {});
        }
        return await Reflect.apply(value, target, args);
      };
    },
  });
  return { journal, state, asked: asked.promise };
}

test.each([
  ["a turn by its id", (supervisor: Supervisor, name: string) => supervisor.session([name, 1]).turn("lost")],
  ["its schedules", (supervisor: Supervisor, name: string) => supervisor.session([name, 1]).schedules()],
  ["its turns", (supervisor: Supervisor, name: string) => supervisor.session([name, 1]).turns()],
])(
  "Session: whoever asks for %s gets an error when the supervisor stops while the journal is silent",
  async (_, ask) => {
    const { journal, state, asked } = silenced();
    const name = unique("user");
    const fake = fakeClaude();
    const supervisor = await Supervisor.start([template(name, () => ({}))], {
      journal,
      defaults: { spawnClaudeCodeProcess: fake.spawn },
    });
    state.isSilent = true;
    const asking = failure(Promise.resolve(ask(supervisor, name)), "SUPERVISOR_STOPPED");
    await asked;
    await supervisor.stop({ kill: true });
    expect((await asking).code).toBe("SUPERVISOR_STOPPED");
  },
);
