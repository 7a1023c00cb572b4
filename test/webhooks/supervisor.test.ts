import { expect, test } from "vitest";
import type { SupervisorOptions } from "../../src/application/options/supervisor-options.ts";
import { Supervisor } from "../../src/application/supervisor.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { newFolder } from "../journal/sqlite-scene.ts";
import { run } from "../session-on-fake/application.ts";
import { CrashingJournal } from "../session-on-fake/crashing-journal.ts";
import { eventually, failure, ticks, unique } from "../session-on-fake/scene.ts";
import { Receiver, SECRET } from "./receiver.ts";
import { scaledClock } from "./scaled-clock.ts";

const asking = fakeScript();

function fakeScript() {
  return async (turn: Parameters<NonNullable<Parameters<typeof fakeClaude>[0]>>[0]): Promise<void> => {
    if (turn.prompt === "fail") throw new Error("unused");
    if (turn.prompt.startsWith("ask"))
      await turn.askPermission("Write", { file_path: "/tmp/a", content: "secret input" });
    await turn.text(`re: ${turn.prompt}`);
  };
}

const webhook = (receiver: Receiver, changed: object = {}): Pick<SupervisorOptions, "webhooks"> => ({
  webhooks: [{ url: receiver.url, secret: SECRET, id: "hook", ...changed }],
});

test("Supervisor `webhooks`: tells of turns and approvals, without prompts and answers", async () => {
  await using receiver = await Receiver.open();
  const [name, fake] = [unique(), fakeClaude(asking)];
  const options = webhook(receiver);
  const supervisor = await run({ fake, journal: memoryJournal() }, [{ name, approvals: true }], options);
  const asked = supervisor.query(name, "ask secret prompt");
  await eventually(() => supervisor.session(name).approvals().length > 0);
  const [approval] = supervisor.session(name).approvals();
  approval?.approve();
  const { turnId } = await asked;
  await receiver.until(() => receiver.requests.length === 3);
  expect(receiver.requests.map(({ type, data }) => ({ type, ...data }))).toEqual([
    {
      type: "approval.requested",
      session: name,
      event: expect.any(Number),
      turnId,
      approvalId: approval?.id,
      tool: "Write",
      expiresAt: new Date(approval?.expiresAt ?? 0).toISOString(),
    },
    {
      type: "approval.answered",
      session: name,
      event: expect.any(Number),
      turnId,
      approvalId: approval?.id,
      tool: "Write",
      outcome: "approved",
    },
    { type: "turn.completed", session: name, event: expect.any(Number), turnId, state: "completed" },
  ]);
  expect(receiver.requests.map(({ body }) => body).join()).not.toContain("secret");
  await supervisor.stop();
});

test('Supervisor `webhooks`: with `include: ["result"]` a completed turn has its answer', async () => {
  await using receiver = await Receiver.open();
  const [name, fake] = [unique(), fakeClaude(asking)];
  const supervisor = await run(
    { fake, journal: memoryJournal() },
    [{ name }],
    webhook(receiver, { include: ["result"] }),
  );
  await supervisor.query(name, "hello");
  await receiver.until(() => receiver.requests.length === 1);
  expect(receiver.requests[0]?.data).toMatchObject({ result: { text: "re: hello" } });
  await supervisor.stop();
});

test("Supervisor `webhooks`: what was undelivered at the end is delivered after the next start, of a session that nobody uses", async () => {
  await using receiver = await Receiver.open();
  const path = `${newFolder()}/castellan.db`;
  const [name, fake] = [unique(), fakeClaude(asking)];
  await receiver.down();
  const first = await run({ fake, journal: sqliteJournal({ sqlite: path }) }, [{ name }], webhook(receiver));
  await first.query(name, "one");
  await first.query(name, "two");
  await first.stop();
  await receiver.up();
  // The session is no longer among the children.
  const second = await run({ fake, journal: sqliteJournal({ sqlite: path }) }, [], webhook(receiver));
  await receiver.until(() => receiver.confirmed.length === 2);
  await eventually(() => second.webhooks.list()[0]?.delivered === 2);
  await second.stop();
  const third = await run({ fake, journal: sqliteJournal({ sqlite: path }) }, [{ name }], webhook(receiver));
  await third.query(name, "three");
  await receiver.until(() => receiver.confirmed.length === 3);
  await third.stop();
  expect(receiver.requests).toHaveLength(3);
});

test("Supervisor `webhooks`: a crash at any batch loses no end of a turn that the journal has", async () => {
  const fake = fakeClaude(asking);
  // A closing journal is waited for.
  const clock = scaledClock(20);
  let most = 1;
  // The first run tells how many batches there are.
  for (let batches = Number.POSITIVE_INFINITY, cut = 0; cut <= most; batches = cut++) {
    await using receiver = await Receiver.open();
    const name = unique();
    const crashing = new CrashingJournal(batches);
    const starting = run({ fake, journal: crashing.journal, clock }, [{ name }], webhook(receiver));
    const first = await starting;
    for (const prompt of ["one", "two"])
      void first
        .session(name)
        .enqueue(prompt, { idempotencyKey: prompt })
        .catch(() => {});
    const ended = (): number =>
      crashing.taken.flatMap(({ changes }) => changes).filter(({ type }) => type === "turn_ended").length;
    await eventually(() => crashing.lost.length > 0 || ended() === 2);
    await ticks(3);
    crashing.crash();
    most = Math.max(most, crashing.taken.length);
    await first.stop({ kill: true });
    const journal = await crashing.left();
    const second = await run({ fake, journal, clock }, [{ name }], webhook(receiver));
    const turns = await Promise.all(
      ["one", "two"].map((key) => second.query(name, key, { idempotencyKey: key }).catch(() => {})),
    );
    expect(turns).toHaveLength(2);
    await eventually(() => receiver.events.length >= 2 && second.webhooks.list()[0]?.pendingSessions === 0);
    const recorded = await Array.fromAsync(second.session(name).events({ live: false }));
    const ends = recorded.flatMap((event) => (event.type === "turn_ended" ? [event.turnId] : []));
    expect(
      receiver.events.map(({ data }) => data["turnId"]),
      `crash at ${batches}`,
    ).toEqual(ends);
    await second.stop();
  }
  expect(most).toBeGreaterThan(3);
});

test("Supervisor `webhooks`: an erased session has nothing undelivered, and its export has what is kept", async () => {
  await using receiver = await Receiver.open();
  const [name, fake, journal] = [unique(), fakeClaude(asking), memoryJournal()];
  await receiver.down();
  const supervisor = await run({ fake, journal }, [{ name }], webhook(receiver));
  await supervisor.query(name, "one");
  const lines = (await Array.fromAsync(supervisor.exportSession(name))).map((line) => JSON.parse(line));
  expect(lines.filter(({ type }) => type === "delivery")).toEqual([
    { type: "delivery", endpoint: "hook", after: expect.any(Number), at: expect.any(Number) },
  ]);
  await supervisor.eraseSession(name, {});
  expect(await journal.deliveries({ limit: 9 })).toEqual([]);
  await receiver.up();
  supervisor.webhooks.retry("hook");
  await supervisor.startSession({ name });
  await supervisor.query(name, "two");
  await receiver.until(() => receiver.confirmed.length === 1);
  await supervisor.stop();
  // The turn of the erased session is not among them.
  expect(receiver.ids).toHaveLength(1);
});

test.each([
  [{ url: "http://example.com/hook" }, "`http:` shows everybody"],
  [{ url: "ftp://example.com" }, "expected a URL of HTTPS"],
  [{ url: "https://user:password@example.com" }, "a URL with a user or a password"],
  [{ url: "https://10.0.0.1/hook" }, "the address is private"],
  [{ url: "https://[fe80::1]/hook" }, "the address is private"],
  [{ url: "https://169.254.169.254/latest" }, "the address is private"],
  [{ url: "https://2130706434/" }, "a secret"],
  [{ secret: "whsec_short" }, "24 to 64 bytes in base64"],
  [{ secret: [] }, "secret"],
  [{ types: ["turn.ended"] }, "types"],
  [{ timeout: 0 }, "up to 5 minutes"],
  [{ headers: {} }, "`webhooks[0].headers`: is not an option"],
])("Supervisor `webhooks`: refuses %j", async (changed, words) => {
  const secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  const given = [{ url: "https://example.com/hook", secret, ...changed }] as SupervisorOptions["webhooks"];
  if (words === "a secret") {
    // The loopback address in another form is allowed, as itself.
    const supervisor = await Supervisor.start([], { journal: "memory", ...(given && { webhooks: given }) });
    await supervisor.stop();
    return;
  }
  const error = await failure(
    Supervisor.start([], { journal: "memory", ...(given && { webhooks: given }) }),
    "INVALID_OPTIONS",
  );
  expect(error).toMatchObject({ code: "INVALID_OPTIONS", message: expect.stringContaining(words) });
  expect(error.message).not.toContain(secret);
  expect(error.message).not.toContain("password@");
  expect(error.message).not.toContain("/hook");
});

test("Supervisor `webhooks`: two endpoints of one id are refused, and an application without any has none", async () => {
  const one = { url: "https://example.com/hook", secret: SECRET };
  const error = await failure(Supervisor.start([], { journal: "memory", webhooks: [one, one] }), "INVALID_OPTIONS");
  expect(error.message).toContain("another webhook has the same id");
  const supervisor = await Supervisor.start([], { journal: "memory" });
  expect(supervisor.webhooks.list()).toEqual([]);
  expect((await failure(supervisor.webhooks.test("hook"), "INVALID_OPTIONS")).code).toBe("INVALID_OPTIONS");
  await supervisor.stop();
});
