import { Supervisor } from "castellan";
import { expect, test } from "vitest";
import { askAll, enlist, review, speaking, start, waitForReviewer } from "../../examples/registry.ts";
import { onFake } from "./on-fake.ts";

test("registry.ts: finds sessions by their keys while their supervisor runs", async () => {
  const { options } = onFake();
  const waiting = waitForReviewer();
  const supervisor = await start(options);
  expect(supervisor.listSessions().map(({ name }) => name)).toEqual([
    ["assistants", "reviewer"],
    ["assistants", "de", 7],
  ]);
  expect((await waiting).name).toEqual(["assistants", "reviewer"]);
  expect(await review("x")).toMatchObject({ text: "You said: Review this:\nx" });
  await supervisor.stop();
  await expect(review("x")).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
});

test("registry.ts: keeps several sessions under one key, and drops each when it ends", async () => {
  const { options } = onFake(async (turn) => turn.text(`${turn.process.model}: ${turn.prompt}`));
  const children = [
    { name: "a", model: "m1" },
    { name: "b", model: "m2" },
  ];
  await using supervisor = await Supervisor.start(children, options);
  using _first = enlist(supervisor.session("a"), "law", ["de", "fr"]);
  using _second = enlist(supervisor.session("b"), "law", ["fr"]);
  expect(await askAll("law", "?")).toEqual(["m1: ?", "m2: ?"]);
  expect(speaking("de").map(({ name }) => name)).toEqual(["a"]);
  await supervisor.terminateSession("a");
  expect(await askAll("law", "?")).toEqual(["m2: ?"]);
});
