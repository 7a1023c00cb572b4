import { expect, test } from "vitest";
import { uiMessages } from "../../src/session/streams/ui-messages.ts";
import { image } from "../session/prompt-contents.ts";
import { readUI } from "../session/ui-messages.ts";
import { Scene } from "./scene.ts";

test("uiMessages(): has each answer as a page reads it from the turn's stream, with the prompts", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "fail") {
        await turn.text("a part");
        return await turn.fail({ status: 500, message: "boom" });
      }
      await turn.thinking("hm");
      await turn.text("I look.");
      await turn.toolUse("Bash", { command: "ls" }, { result: "a" });
      await turn.toolUse("Bash", { command: "rm" }, { result: "no", isError: true });
      await turn.text("x".repeat(70_000));
    },
  });
  const { session } = scene;
  const { turnId } = await session.query("go");
  const failed = session.stream("fail");
  await failed.result().catch(() => {});
  const { messages, next } = await uiMessages(session);
  expect(next).toBeUndefined();
  expect(messages.map(({ id, role }) => [id, role])).toEqual([
    [`${turnId}-prompt`, "user"],
    [turnId, "assistant"],
    [`${failed.id}-prompt`, "user"],
    [failed.id, "assistant"],
  ]);
  expect(messages[0]?.parts).toEqual([{ type: "text", text: "go", state: "done" }]);
  for (const [id, index] of [
    [turnId, 1],
    [failed.id, 3],
  ] as const) {
    const turn = await session.turn(id);
    const { message } = await readUI(turn?.toUIMessageStreamResponse() ?? new Response());
    expect(JSON.parse(JSON.stringify(message))).toMatchObject(messages[index] ?? {});
    expect(message?.parts).toHaveLength(messages[index]?.parts.length ?? 0);
  }
  const page = await uiMessages(session, { limit: 1 });
  expect(page.messages.map(({ id }) => id)).toEqual([`${failed.id}-prompt`, failed.id]);
  const before = await uiMessages(session, { limit: 1, before: page.next });
  expect(before.messages.map(({ id }) => id)).toEqual([`${turnId}-prompt`, turnId]);
});

test("uiMessages(): has the costs for operators only", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.text("yes") });
  const { costUsd, usage } = await scene.session.query("go");
  const [, forUsers] = (await uiMessages(scene.session)).messages;
  expect(Object.keys(forUsers?.metadata ?? {}).toSorted()).toEqual(["session", "stopReason", "turnId"]);
  const [, forOperators] = (await uiMessages(scene.session, { view: "operator" })).messages;
  expect(forOperators?.metadata).toMatchObject({ costUsd, usage });
});

test("uiMessages(): has the files of a prompt, and no answer of a turn that runs", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.hang() });
  const { session } = scene;
  const turn = session.stream([
    { type: "text", text: "What is this?" },
    image,
    { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
    { type: "document", title: "notes", source: { type: "text", media_type: "text/plain", data: "hä" } },
  ]);
  for await (const _ of session.events({ after: 0, types: ["turn_started"] })) break;
  const { messages } = await uiMessages(session);
  expect(messages.map(({ parts }) => parts)).toMatchObject([
    [
      { type: "text", text: "What is this?" },
      { type: "file", mediaType: "image/png", url: expect.stringMatching(/^data:image\/png;base64,[\w+/]+=*$/) },
      { type: "file", mediaType: "image", url: "https://example.com/a.png" },
      { type: "file", filename: "notes", url: `data:text/plain;base64,${Buffer.from("hä").toString("base64")}` },
    ],
  ]);
  await turn.interrupt();
});
