import { expect, it } from "vitest";
import { query, Supervisor } from "../../src/index.ts";
import { mockApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

it.each([
  { maxConcurrentTurns: 1, most: 1 },
  { maxConcurrentTurns: 2, most: 2 },
  { maxConcurrentTurns: 4, most: 4 },
])(
  "capacity.maxConcurrentTurns $maxConcurrentTurns: limits the model's requests of four real sessions, and all answer",
  async ({ maxConcurrentTurns, most }) => {
    await using api = await mockApi();
    const names = Array.from({ length: 4 }, () => unique());
    const asked = new Set<string>();
    let mostAsked = 0;
    api.reply(
      () => true,
      ({ prompt }) => {
        asked.add(prompt);
        mostAsked = Math.max(mostAsked, asked.size);
        return { text: `${prompt}: ${"and so on ".repeat(8)}`, tokensPerSecond: 60 };
      },
    );
    await using supervisor = await Supervisor.start(
      names.map((name) => ({ name })),
      { journal: "memory", capacity: { maxConcurrentTurns }, defaults: { env: api.env, cwd: api.cwd } },
    );
    const replies = names.flatMap((name) =>
      [1, 2].map(async (turn) => {
        const prompt = `${name} ${turn}`;
        const { text } = await query(name, prompt);
        asked.delete(prompt);
        return text.startsWith(prompt);
      }),
    );
    expect(await Promise.all(replies)).toEqual(replies.map(() => true));
    expect(mostAsked).toBe(most);
    expect(supervisor.capacity().turns).toMatchObject({ running: 0, waiting: 0 });
  },
);
