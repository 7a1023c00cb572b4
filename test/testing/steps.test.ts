import { expect, test } from "vitest";
import { query, session, stream } from "../../src/castellan.ts";
import {
  crashes,
  fails,
  hitsLimit,
  inOrder,
  results,
  SimulatedClock,
  says,
  stalls,
  streams,
  thinks,
  turnByTurn,
  uses,
} from "../../src/testing/index.ts";
import { eventually, failure, Scene } from "../session-on-fake/scene.ts";

test("turnByTurn: plays its steps turn by turn, and repeats the last one", async () => {
  const script = turnByTurn(
    inOrder(thinks("hm"), uses("Read", { file_path: "a" }, { result: "text" }), says("read")),
    inOrder(says("I beg"), crashes()),
    inOrder(fails({ status: 400, message: "bad request" })),
    inOrder(results({ text: "dear", costUsd: 2 })),
  );
  await using scene = await Scene.open({ script });
  const { name } = scene;
  const turn = stream(name, "1");
  const tools = [];
  for await (const tool of turn.toolUses()) tools.push(tool.name);
  expect([tools, (await turn.result()).text]).toEqual([["Read"], "read"]);
  expect((await failure(query(name, "2"), "TURN_INTERRUPTED")).details.partialText).toBe("I beg");
  expect((await failure(query(name, "3"), "TURN_FAILED")).message).toContain("bad request");
  for (const prompt of ["4", "5"]) expect(await query(name, prompt)).toMatchObject({ text: "dear", costUsd: 2 });
});

test("hitsLimit and stalls: hold turns until the limit ends, and get a silent process replaced", async () => {
  const clock = new SimulatedClock();
  const script = turnByTurn(
    inOrder(says("before")),
    inOrder(hitsLimit(300_000)),
    inOrder(says("again")),
    inOrder(stalls()),
    inOrder(says("up")),
  );
  await using scene = await Scene.open({ clock, script, session: { stallTimeout: "1m", onInterruptedTurn: "retry" } });
  const { name } = scene;
  await query(name, "0");
  await failure(query(name, "1"), "TURN_FAILED");
  const next = query(name, "2");
  await eventually(() => session(name).status().waitingFor?.for === "quota");
  expect(session(name).status().waitingFor).toMatchObject({ until: 300_000 });
  await clock.advance(300_000);
  expect((await next).text).toBe("again");
  const stalled = query(name, "3");
  await scene.fake.prompted(4);
  await clock.advance(120_000);
  expect((await stalled).text).toBe("up");
});

test("streams: yields each piece when its gate opens", async () => {
  const gate = Promise.withResolvers<void>();
  await using scene = await Scene.open({ script: inOrder(streams(["one ", "two"], () => gate.promise)) });
  const pieces = stream(scene.name, "hi").text()[Symbol.asyncIterator]();
  expect((await pieces.next()).value).toBe("one ");
  gate.resolve();
  expect((await pieces.next()).value).toBe("two");
  expect((await pieces.next()).done).toBe(true);
});
