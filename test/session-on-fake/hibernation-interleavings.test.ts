import fc from "fast-check";
import { expect, test } from "vitest";
import { query, session } from "../../src/castellan.ts";
import { CastellanError } from "../../src/errors.ts";
import { Scene, ticks, unique } from "./scene.ts";

/** The only error with which a turn may end while processes crash, wake and hibernate. */
const ENDS = new Set(["TURN_INTERRUPTED"]);

const action = fc.record({
  does: fc.constantFrom("ask", "ask", "ask", "hibernate", "wake", "restart", "status", "crash"),
  who: fc.nat(2),
  ticks: fc.nat(12),
});

test("Hibernation: in any order of queries, hibernate, wake, restart and crashes, each turn ends once within maxProcesses", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 24 }), fc.integer({ min: 1, max: 2 }), async (actions, most) => {
      const names = Array.from({ length: 3 }, () => unique());
      let [seen, fake]: [number, Scene["fake"] | undefined] = [0, undefined];
      await using scene = await Scene.open({
        children: names.map((name) => ({ name, idleTimeout: name === names[0] ? 0 : "1h" })),
        script: (turn) => turn.text(`re: ${turn.prompt}`),
        fake: {
          startup: () => {
            seen = Math.max(seen, fake?.running.length ?? 0);
          },
        },
        options: { capacity: { maxProcesses: most }, maxRestarts: 1_000 },
      });
      fake = scene.fake;
      const asked = new Set<string>();
      const done: Promise<unknown>[] = [];
      for (const [number, { does, who, ticks: pause }] of actions.entries()) {
        const name = names[who] ?? "";
        if (does === "ask") {
          const prompt = `${number}`;
          asked.add(prompt);
          done.push(
            query(name, prompt).then(
              ({ text }) => expect(text).toBe(`re: ${prompt}`),
              (error: unknown) => expect(CastellanError.is(error) && ENDS.has(error.code)).toBe(true),
            ),
          );
        }
        if (does === "hibernate") done.push(session(name).hibernate().catch(busy));
        if (does === "wake") done.push(session(name).wake());
        if (does === "restart") done.push(session(name).restart());
        if (does === "status") done.push(session(name).health());
        if (does === "crash") fake.running[0]?.crash();
        await ticks(pause);
      }
      await Promise.all(done);
      expect(seen).toBeLessThanOrEqual(most);
      const prompts = fake.processes.flatMap((process) => process.prompts);
      // Every prompt reached a process.
      for (const prompt of asked) expect(prompts).toContain(prompt);
    }),
    { numRuns: 40 },
  );
}, 60_000);

function busy(error: unknown): void {
  expect(CastellanError.is(error, "SESSION_BUSY")).toBe(true);
}
