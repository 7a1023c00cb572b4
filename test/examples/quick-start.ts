import { Supervisor } from "castellan";
import { expect, test, vi } from "vitest";
import { main, remembers } from "../../examples/quick-start.ts";
import { onFake } from "./on-fake.ts";

test("quick-start.ts: queries two sessions by name", async () => {
  const { fake, options } = onFake();
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  const written: string[] = [];
  const write = vi.spyOn(process.stdout, "write").mockImplementation((text) => written.push(String(text)) > 0);
  try {
    await main(options);
    expect(log).toHaveBeenCalledWith("You said: Review this: const half = (n) => n / 3;", 0.01, expect.anything());
  } finally {
    write.mockRestore();
    log.mockRestore();
  }
  expect(written.join("")).toContain("You said: Name three rivers of France");
  expect(fake.processes).toHaveLength(2);
});

test("quick-start.ts: remembers earlier turns", async () => {
  const { options } = onFake(async (turn) => {
    const name = turn.history.map(({ text }) => /My name is (\w+)/.exec(text)?.[1]).find(Boolean);
    await turn.text(name ?? "I see.");
  });
  await using _supervisor = await Supervisor.start([{ name: "assistant" }], options);
  expect(await remembers()).toBe("Ada");
});
