import { expect, it } from "vitest";
import { checkout, pool, query, Supervisor } from "../../src/index.ts";
import { mockApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

it("Pool: starts a member afresh before the next borrower on the real Claude Code", async () => {
  await using api = await mockApi();
  const name = unique("pool");
  await using supervisor = await Supervisor.start([pool(name, { size: 1 })], {
    journal: "memory",
    defaults: { env: api.env, cwd: api.cwd },
  });
  const pids = new Set<number | undefined>();
  for (let round = 0; round < 3; round++) {
    await using loan = await checkout(name);
    if (round > 0) expect(loan.session.status().state).toBe("idle");
    expect((await loan.session.query("What did I just say?")).text).not.toContain("secret");
    await loan.session.query("a secret");
    expect((await loan.session.query("What did I just say?")).text).toBe("You just said: a secret");
    pids.add(loan.session.status().pid);
  }
  expect(pids.size).toBe(3);
  expect((await query(name, "What did I just say?")).text).not.toContain("secret");
  expect((await query(name, "What did I just say?")).text).not.toContain("What did I just say");
  expect(api.lastRequest?.messages).toEqual([{ role: "user", text: "What did I just say?" }]);
  expect(supervisor.pool(name).status().members).toHaveLength(1);
});
