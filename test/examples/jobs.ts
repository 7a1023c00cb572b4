import { expect, test } from "vitest";
import { failed, startSummaries, summariseAll, summaryOf } from "../../examples/jobs.ts";
import { onFake } from "./on-fake.ts";

const documents = new Map(["a", "b", "c", "d", "e", "f"].map((text) => [`document ${text}`, text]));

test("jobs.ts: answers each document once, however often it is enqueued", async () => {
  const asked: string[] = [];
  const { options } = onFake(async (turn) => {
    asked.push(turn.prompt);
    await turn.text(`${turn.prompt.split("\n")[1]}, ${turn.history.length} before`);
  });
  await using supervisor = await startSummaries({ ...options, journal: "memory" });
  const ids = await summariseAll(supervisor, documents);
  expect(await summariseAll(supervisor, documents)).toEqual(ids);
  const summaries = await Promise.all(ids.map((id) => summaryOf(supervisor, id)));
  expect(summaries).toEqual([...documents.values()].map((text) => `${text}, 0 before`));
  expect(asked).toHaveLength(6);
  expect(await summaryOf(supervisor, "unknown")).toBeUndefined();
  expect(await failed(supervisor)).toEqual([]);
});

test("jobs.ts: lists the documents whose jobs have failed", async () => {
  const { options } = onFake(async (turn) => {
    if (turn.prompt.endsWith("c")) await turn.fail({ status: 400 });
    await turn.text("short");
  });
  await using supervisor = await startSummaries({ ...options, journal: "memory" });
  const ids = await summariseAll(supervisor, documents);
  const ends = await Promise.allSettled(ids.map((id) => summaryOf(supervisor, id)));
  expect(ends.filter(({ status }) => status === "rejected")).toHaveLength(1);
  expect(await failed(supervisor)).toEqual([{ document: "document c", why: "TURN_FAILED" }]);
});
