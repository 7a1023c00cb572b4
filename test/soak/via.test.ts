import { expect, it, vi } from "vitest";
import { query, Registry, Supervisor, session, via } from "../../src/index.ts";
import { mockApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

it("via: registers a session, which survives SIGKILL with its conversation, and unregisters it when it is terminated", async () => {
  await using api = await mockApi();
  const agents = new Registry({ keys: "unique", name: unique("agents") });
  const reviewer = via(agents, "reviewer");
  await using supervisor = await Supervisor.start([{ name: reviewer }], {
    journal: "memory",
    defaults: { env: api.env, cwd: api.cwd },
  });
  expect((await query(reviewer, "Remember the keep.")).text).toBe("You said: Remember the keep.");
  const before = session(reviewer).status();
  expect(before.name).toEqual([agents.name, "reviewer"]);
  expect(agents.get("reviewer")).toBe(session(reviewer));
  if (before.pid === undefined) throw new Error("no process");
  process.kill(before.pid, "SIGKILL");
  await vi.waitUntil(() => session(reviewer).status().starts === 2, { interval: 5, timeout: 30_000 });
  expect((await query(reviewer, "What did I just say?")).text).toBe("You just said: Remember the keep.");
  const after = session(reviewer).status();
  expect(after).toMatchObject({ conversationId: before.conversationId, restarts: 1, lastExit: { signal: "SIGKILL" } });
  expect(after.pid).not.toBe(before.pid);
  await supervisor.terminateSession(reviewer);
  expect(agents.get("reviewer")).toBeUndefined();
  await expect(query(reviewer, "hi")).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
  // Its key is free for the next session, which continues the conversation the journal holds under this name.
  await supervisor.startSession({ name: via(agents, "reviewer") });
  expect((await query(reviewer, "hi")).text).toBe("You said: hi");
  expect(session(reviewer).status().conversationId).toBe(before.conversationId);
});
