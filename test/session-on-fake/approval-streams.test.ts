import { createParser, type EventSourceMessage } from "eventsource-parser";
import { expect, test } from "vitest";
import { stream } from "../../src/castellan.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Approval } from "../../src/session/conversation/approval.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { image } from "../session/prompt-contents.ts";
import { readUI } from "../session/ui-messages.ts";
import { run } from "./application.ts";
import { eventually, Scene, ticks, unique } from "./scene.ts";

const QUESTIONS = [
  { question: "Which?", header: "Which", options: [{ label: "a", description: "" }], multiSelect: false },
];

const script: FakeScript = async (turn) => {
  await turn.text("I look.");
  await turn.toolUse("Bash", { command: "ls" }, { ask: true, result: "a file" });
  await turn.toolUse("Bash", { command: "rm" }, { ask: true });
  await turn.askPermission("AskUserQuestion", { questions: QUESTIONS });
  await turn.text("done");
};

/** Answers the turn's three approvals. */
async function answerAll(scene: Scene): Promise<Approval[]> {
  const answers: ((approval: Approval) => boolean)[] = [
    (approval) => approval.approve({ by: "ann" }),
    (approval) => approval.deny("not that", { by: "bob" }),
    (approval) => approval.answer({ "Which?": "a" }),
  ];
  const answered: Approval[] = [];
  for (const answer of answers) {
    await eventually(() => scene.session.approvals().length > 0);
    const [approval] = scene.session.approvals();
    if (approval === undefined) throw new Error("none");
    for await (const event of scene.session.events({ after: 0, types: ["approval_requested"] })) {
      if (event.id === approval.id) break;
    }
    // A page reads it now, too.
    await ticks(5);
    expect(answer(approval)).toBe(true);
    answered.push(approval);
  }
  return answered;
}

async function receive(response: Response): Promise<EventSourceMessage[]> {
  const events: EventSourceMessage[] = [];
  createParser({ onEvent: (event) => void events.push(event) }).feed(await response.text());
  return events;
}

const approvalsIn = (events: readonly EventSourceMessage[]): unknown[] =>
  events.flatMap(({ event, data, id }) =>
    event?.startsWith("approval_") === true ? [{ event, id, ...JSON.parse(data) }] : [],
  );

test("turn.toResponse(): sends approvals and their answers, and again to a page that reconnects", async () => {
  await using scene = await Scene.open({ script, session: { approvals: true } });
  const turn = stream(scene.name, "go");
  const received = receive(turn.toResponse());
  const [first, second, third] = await answerAll(scene);
  await turn.result();
  const events = await received;
  const { expiresAt, suggestions, toolUseId } = first ?? {};
  const told = [
    {
      event: "approval_requested",
      id: first?.id,
      tool: "Bash",
      input: { command: "ls" },
      toolUseId,
      expiresAt,
      suggestions,
    },
    { event: "approval_settled", id: first?.id, outcome: "approved", by: "ann" },
    { event: "approval_requested", id: second?.id },
    { event: "approval_settled", id: second?.id, outcome: "denied", by: "bob", message: "not that" },
    { event: "approval_requested", id: third?.id, questions: QUESTIONS },
    { event: "approval_settled", id: third?.id, outcome: "approved", answers: { "Which?": "a" } },
  ];
  expect(approvalsIn(events)).toMatchObject(told);
  expect(events.at(-1)?.event).toBe("result");
  const lastEventId = events.findLast(({ id }) => id !== undefined)?.id ?? "";
  const again = await receive(turn.toResponse({ lastEventId }));
  expect(approvalsIn(again)).toMatchObject(told);
  expect(again.map(({ event }) => event)).not.toContain("text");
});

test("turn.toUIMessageStreamResponse(): marks a tool that waits for an approval, and sends its details as data", async () => {
  await using scene = await Scene.open({ script, session: { approvals: true } });
  const turn = stream(scene.name, "go");
  const reading = readUI(turn.toUIMessageStreamResponse());
  const [first, second, third] = await answerAll(scene);
  const { message, states, errors } = await reading;
  expect(errors).toEqual([]);
  const waiting = states.flatMap(({ parts }) =>
    parts.flatMap((part) => (part.type === "dynamic-tool" && part.state === "approval-requested" ? [part] : [])),
  );
  expect(new Set(waiting.map(({ approval }) => approval.id))).toEqual(new Set([first?.id, second?.id]));
  expect(message?.parts.filter(({ type }) => type === "dynamic-tool")).toMatchObject([
    { state: "output-available", input: { command: "ls" }, output: "a file", approval: { id: first?.id } },
    { state: "output-error", input: { command: "rm" }, approval: { id: second?.id } },
  ]);
  expect(message?.parts.filter(({ type }) => type === "data-approval")).toMatchObject([
    { id: first?.id, data: { tool: "Bash", toolUseId: first?.toolUseId, outcome: "approved", by: "ann" } },
    { id: second?.id, data: { outcome: "denied", by: "bob" } },
    { id: third?.id, data: { questions: QUESTIONS, outcome: "approved", answers: { "Which?": "a" } } },
  ]);
  // A page that comes later gets the whole message, with the answers.
  const later = await readUI(turn.toUIMessageStreamResponse());
  expect(later.errors).toEqual([]);
  expect(later.message?.parts.filter(({ type }) => type === "data-approval")).toHaveLength(3);
});

test("turn.toResponse(): has the approvals of a turn from before a restart of the application", async () => {
  const both = { fake: fakeClaude(script), journal: memoryJournal() };
  const name = unique();
  const first = await run(both, [{ name, approvals: true }]);
  const id = await first.session(name).enqueue("go", { idempotencyKey: "k" });
  await eventually(() => first.session(name).approvals().length > 0);
  const [approval] = first.session(name).approvals();
  await first.stop();
  await using second = await run(both, [{ name, approvals: true, onInterruptedTurn: "fail" }]);
  const turn = await second.session(name).turn(id);
  if (turn === undefined) throw new Error("none");
  expect(approvalsIn(await receive(turn.toResponse()))).toMatchObject([
    { event: "approval_requested", id: approval?.id },
    { event: "approval_settled", id: approval?.id, outcome: "withdrawn", cause: "session_stopped" },
  ]);
});

test("turn.toResponse(): a page gets approvals, messages and blocks of a turn whole and once after a restart", async () => {
  const both = {
    fake: fakeClaude(async (turn) => {
      await turn.text("I look.");
      await turn.toolUse("Bash", { command: "ls" }, { ask: true, result: "a file" });
      await turn.text(["done", ...turn.joined].join(" + "));
    }),
    journal: memoryJournal(),
  };
  const name = unique();
  const first = await run(both, [{ name, approvals: true }]);
  const session = first.session(name);
  const id = await session.enqueue([{ type: "text", text: "go" }, image]);
  const turn = await session.turn(id);
  if (turn === undefined) throw new Error("there is no such turn");
  const page = receive(turn.toResponse());
  const chat = readUI(turn.toUIMessageStreamResponse());
  await eventually(() => session.approvals().length === 1);
  await turn.steer("more", { by: "bob" });
  await eventually(() => both.fake.processes[0]?.prompts.length === 2);
  session.approvals()[0]?.approve({ by: "ann" });
  expect((await turn.result()).text).toBe("done + more");
  const [before, beforeChat] = [await page, await chat];
  await first.stop();

  for (const approvals of [true, false]) {
    await using second = await run(both, [{ name, approvals }]);
    const again = await second.session(name).turn(id);
    if (again === undefined) throw new Error("there is no such turn");
    expect(again.recalled).toBe(true);
    const after = await receive(again.toResponse());
    const output = (events: readonly EventSourceMessage[]): unknown[] =>
      events.filter(({ event }) => event?.startsWith("approval_") === false).map(({ event, data }) => [event, data]);
    expect(output(after)).toEqual(output(before));
    // A session that asks for no approvals has no reader of them.
    expect(approvalsIn(after)).toEqual(approvals ? approvalsIn(before) : []);
    const { message, errors } = await readUI(again.toUIMessageStreamResponse());
    expect(errors).toEqual([]);
    // The mark of a tool that waited for its approval is gone with the wait.
    const outputIn = (parts: readonly object[] = []): object[] =>
      parts.flatMap((part) =>
        "type" in part && part.type === "data-approval" ? [] : [{ ...part, approval: undefined }],
      );
    expect(outputIn(message?.parts)).toEqual(outputIn(beforeChat.message?.parts));
  }
  expect(both.fake.running).toEqual([]);
});
