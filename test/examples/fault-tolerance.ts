import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { query, Supervisor, session } from "castellan";
import { expect, onTestFinished, test, vi } from "vitest";
import {
  ask,
  bill,
  bringBack,
  invoice,
  quarantined,
  rotate,
  startCareful,
  startInvoices,
} from "../../examples/fault-tolerance.ts";
import { onFake } from "./on-fake.ts";

test("fault-tolerance.ts: reports what is known of a cut turn, and continues the conversation in another process", async () => {
  const { fake, options } = onFake(async (turn) => {
    if (turn.prompt !== "die") return await turn.text(`${turn.history.length / 2} before`);
    await turn.toolUse("Read", { file_path: "/x" });
    await turn.partial("I beg");
    await turn.crash({ signal: "SIGKILL" });
  });
  await using _supervisor = await startCareful(options);
  expect(await ask("one")).toBe("0 before");
  expect(await ask("die")).toBe('Cut off after "I beg", tools: Read');
  expect(await ask("two")).toMatch(/^[12] before$/);
  expect(session("assistant").status()).toMatchObject({ restarts: 1, lastExit: { class: "crash", signal: "SIGKILL" } });
  expect(fake.processes).toHaveLength(4);
});

test("fault-tolerance.ts: handles the turn of a dead process as the session's options say", async () => {
  const seen = new Set<string>();
  const { options } = onFake(async (turn) => {
    const first = !seen.has(turn.prompt);
    seen.add(turn.prompt);
    if (first && turn.prompt === "touched") await turn.partial("half of it");
    if (first) await turn.crash();
    await turn.text("done");
  });
  await using _supervisor = await startCareful(options);
  expect(await query("assistant", "a")).toMatchObject({ text: "done" });
  await expect(query("payments", "b")).rejects.toMatchObject({ code: "TURN_INTERRUPTED" });
  expect(await query("summaries", "touched")).toMatchObject({ text: "done" });
});

test("fault-tolerance.ts: quarantines a session that keeps crashing, with the reason, and brings it back", async () => {
  let broken = true;
  const { options } = onFake(async (turn) => {
    if (broken) await turn.crash({ stderr: "no memory left" });
    await turn.text("well again");
  });
  await using supervisor = await Supervisor.start([{ name: "assistant" }, { name: "other" }], {
    ...options,
    maxRestarts: 0,
  });
  expect(await ask("hi")).toBe("Quarantined: crash");
  expect(quarantined(supervisor)).toEqual([{ name: "assistant", why: expect.stringContaining("no memory left") }]);
  expect(supervisor.session("other").status()).toMatchObject({ state: "idle", restarts: 0 });
  broken = false;
  await bringBack(supervisor);
  expect(await ask("hi")).toBe("well again");
});

test("fault-tolerance.ts: rotates a key while a session works with the old one", async () => {
  onTestFinished(() => void vi.unstubAllEnvs());
  vi.stubEnv("ANTHROPIC_API_KEY", "old");
  const gate = Promise.withResolvers<void>();
  const { fake, options } = onFake(async (turn) => {
    if (turn.prompt === "slowly") await gate.promise;
    await turn.text(`with ${turn.process.env["ANTHROPIC_API_KEY"]}`);
  });
  await using supervisor = await Supervisor.start([{ name: "assistant" }, { name: "other" }], options);
  const slow = query("assistant", "slowly");
  await fake.prompted(1);
  const rotated = rotate(supervisor, "new");
  expect((await query("other", "hi")).text).toBe("with new");
  gate.resolve();
  expect((await slow).text).toBe("with old");
  expect(await rotated).toEqual([]);
  expect((await query("assistant", "hi")).text).toBe("with new");
});

test("fault-tolerance.ts: returns the same turn for the same idempotency key, also after a restart of the application", async () => {
  const folder = await mkdtemp(join(tmpdir(), "castellan-guide-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const { fake, options } = onFake();
  const file = join(folder, "castellan.db");
  const order = { id: "order-7", text: "two chairs" };
  const first = await startInvoices(file, options);
  const id = await bill(order);
  expect(await invoice(id)).toBe("You said: Write the invoice for: two chairs");
  await first.stop();
  await using _second = await startInvoices(file, options);
  expect(await bill(order)).toBe(id);
  expect(await invoice(id)).toBe("You said: Write the invoice for: two chairs");
  expect(fake.processes.flatMap(({ prompts }) => prompts)).toHaveLength(1);
});
