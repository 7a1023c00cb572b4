import { expect, test } from "vitest";
import { type Batch, memoryJournal } from "../../src/index.ts";
import { serverOf } from "../../src/session/session.ts";
import { failure, Scene } from "./scene.ts";

test("SessionServer.handOver(): resolves only after the pending turn-begun write and the requeue are written", async () => {
  const journal = memoryJournal();
  const [begins, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const written: string[] = [];
  const slow = {
    location: journal.location,
    open: journal.open.bind(journal),
    close: journal.close.bind(journal),
    sessions: journal.sessions.bind(journal),
    unfinishedBeginning: journal.unfinishedBeginning.bind(journal),
    turn: journal.turn.bind(journal),
    listSessions: journal.listSessions.bind(journal),
    turns: journal.turns.bind(journal),
    unfinishedTurns: journal.unfinishedTurns.bind(journal),
    approvals: journal.approvals.bind(journal),
    conversations: journal.conversations.bind(journal),
    records: journal.records.bind(journal),
    job: journal.job.bind(journal),
    jobs: journal.jobs.bind(journal),
    dueBeginning: journal.dueBeginning.bind(journal),
    deliveries: journal.deliveries.bind(journal),
    extent: journal.extent.bind(journal),
    usage: journal.usage.bind(journal),
    events: journal.events.bind(journal),
    eventExtent: journal.eventExtent.bind(journal),
    content: journal.content.bind(journal),
    prune: journal.prune.bind(journal),
    write: async (batch: Batch) => {
      if (batch.changes.some(({ type }) => type === "turn_begun")) {
        begins.resolve();
        await answer.promise;
      }
      await journal.write(batch);
      written.push(...batch.changes.map(({ type }) => type));
    },
  };
  await using scene = await Scene.open({ options: { journal: slow } });
  const session = scene.supervisor.session(scene.name);
  // The first turn of a conversation begins after its acceptance.
  const turn = session.stream("hi", { idempotencyKey: "mine" });
  await begins.promise;
  const server = serverOf(session);
  let over = false;
  const handed = server?.handOver(0).then(() => {
    over = true;
  });
  await failure(turn.result(), "SUPERVISOR_STOPPED");
  expect(over).toBe(false);
  answer.resolve();
  await handed;
  await server?.saveConversation();
  expect(written.filter((type) => type.startsWith("turn_"))).toEqual(["turn_accepted", "turn_begun", "turn_requeued"]);
  expect(await journal.turn(turn.id)).toMatchObject({ state: "queued" });
});
