import { AsyncLocalStorage } from "node:async_hooks";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pool, query, Supervisor, stream, template } from "../../src/index.ts";
import { type ClaudeStubs, claudeStubs, crashes, expectNoLeaks, says, uses } from "../../src/testing/index.ts";
import { failure, unique } from "../session-on-fake/scene.ts";

describe("claudeStubs in an unchanged application", () => {
  const names = { reviewer: unique("reviewer"), support: unique("support"), writers: unique("writers") };
  let claude: ClaudeStubs;
  let supervisor: Supervisor;

  beforeAll(async () => {
    claude = claudeStubs();
    claude.install();
    supervisor = await Supervisor.start(
      [{ name: names.reviewer }, template(names.support), pool(names.writers, { size: 2 })],
      { journal: "memory", defaults: { timeout: "1m" } },
    );
  });

  afterAll(async () => {
    await supervisor.stop();
    claude[Symbol.dispose]();
    await expectNoLeaks({ fake: claude.fake });
  });

  test.concurrent.each(Array.from({ length: 12 }, (_, number) => [number]))(
    "give test %i of many concurrent tests its own answers from a shared session",
    async (number) => {
      await claude.run(async () => {
        claude.stub(names.reviewer, `answer ${number}`);
        for (let turn = 0; turn < 3; turn++) {
          expect((await query(names.reviewer, `question ${number}`)).text).toBe(`answer ${number}`);
        }
      });
    },
  );

  test.concurrent("answer for sessions of templates and members of pools, by family or by name", async () => {
    await claude.run(async () => {
      claude.stub(names.support, (prompt) => `support on ${prompt}`);
      claude.stub([names.support, "vip"], "at once");
      claude.stub(names.writers, "written");
      expect((await query([names.support, "any"], "a")).text).toBe("support on a");
      expect((await query([names.support, "vip"], "a")).text).toBe("at once");
      expect((await query(names.writers, "a")).text).toBe("written");
    });
  });

  test.concurrent("play streams, tools and crashes, also for calls bound by AsyncLocalStorage.snapshot", async () => {
    await claude.run(async () => {
      claude.stub(names.support, [uses("Read", { file_path: "a" }, { result: "…" }), says("Hello there, reader")]);
      let text = "";
      for await (const piece of stream([names.support, "stream"], "a").text()) text += piece;
      expect(text).toBe("Hello there, reader");
      claude.stub([names.support, "dead"], [says("I beg"), crashes()]);
      const error = await failure(query([names.support, "dead"], "a"), "TURN_INTERRUPTED");
      expect(error.details.partialText).toBe("I beg");
      // As a server that started earlier would call it, once it knows the request's test.
      const asTest = AsyncLocalStorage.snapshot();
      const server = new AsyncLocalStorage<string>();
      claude.stub(names.reviewer, "mine");
      expect((await server.run("elsewhere", () => asTest(() => query(names.reviewer, "a")))).text).toBe("mine");
    });
  });

  test.concurrent("fail a turn of a session without a stub, and name the session", async () => {
    const error = await claude.run(() => failure(query([names.support, "nobody"], "a"), "TURN_FAILED"));
    expect(error.message).toContain(`no stub for session ["${names.support}","nobody"]`);
  });
});

test("claudeStubs: bind a session that a test starts to that test, for every caller", async () => {
  using claude = claudeStubs();
  claude.install();
  const name = unique();
  const supervisor = await claude.run(async () => {
    claude.stub(name, "from within");
    return await Supervisor.start([{ name }], { journal: "memory" });
  });
  expect((await query(name, "a")).text).toBe("from within");
  claude.stub(name, "for everybody");
  expect((await claude.run(() => query(name, "a"))).text).toBe("for everybody");
  await supervisor.stop();
});

test("claudeStubs: yield to the supervisor's own options, and are uninstalled by dispose", async () => {
  const [own, other] = [claudeStubs(), claudeStubs()];
  other.install();
  const name = unique();
  own.stub(name, "own");
  const children = [{ name }];
  const first = await Supervisor.start(children, {
    journal: "memory",
    defaults: { spawnClaudeCodeProcess: own.fake.spawn },
  });
  expect((await query(name, "a")).text).toBe("own");
  const [shown] = first.inspect().children;
  expect(shown).toMatchObject({ options: { spawnClaudeCodeProcess: { origin: { from: "supervisor" } } } });
  await first.stop();
  other.stub(name, "installed");
  const second = await Supervisor.start(children, { journal: "memory" });
  expect((await query(name, "a")).text).toBe("installed");
  expect(second.inspect().children).toMatchObject([
    { options: { spawnClaudeCodeProcess: { origin: { from: "process" } } } },
  ]);
  await second.stop();
  for (const stubs of [own, other]) stubs[Symbol.dispose]();
});
