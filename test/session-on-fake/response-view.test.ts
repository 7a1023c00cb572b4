import { expect, test } from "vitest";
import { query, session, stream } from "../../src/castellan.ts";
import { CastellanError, type ErrorCode } from "../../src/errors.ts";
import { publicError, shownError } from "../../src/session/streams/response-view.ts";
import type { Turn } from "../../src/session/streams/turn.ts";
import { Scene } from "./scene.ts";

/** Expects that neither stream has costs or these secrets. Returns both. */
async function expectNoSecret(turn: Turn, ...secrets: readonly string[]): Promise<readonly string[]> {
  const pages = await Promise.all([turn.toResponse().text(), turn.toUIMessageStreamResponse().text()]);
  for (const page of pages) {
    for (const secret of [...secrets, "costUsd", "usage", "inputTokens"]) expect(page).not.toContain(secret);
  }
  return pages;
}

test("toResponse() and toUIMessageStreamResponse(): send users the answer without costs and Claude's id", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.text("castle") });
  const turn = stream(scene.name, "go");
  const { sessionId } = await turn.result();
  const [sse, ui] = await expectNoSecret(turn, sessionId);
  expect(sse).toMatch(/event: result\ndata: \{"text":"castle",/);
  expect(ui).toContain('"delta":"castle"');
  expect(ui).toContain('"stopReason":"end_turn"');

  const [all, allUI] = [turn.toResponse({ view: "operator" }), turn.toUIMessageStreamResponse({ view: "operator" })];
  expect(await all.text()).toContain(sessionId);
  expect(await allUI.text()).toMatch(/"usage":.*"costUsd":/);
});

test("toResponse() and toUIMessageStreamResponse(): send users a code and a sentence for a failed turn", async () => {
  await using scene = await Scene.open({
    script: (turn) => turn.fail({ status: 400, text: "API Error: 400 /srv/secret is not a file" }),
  });
  const turn = stream(scene.name, "go");
  await turn.result().catch(() => {});
  const [sse, ui] = await expectNoSecret(turn, "/srv/secret");
  expect(sse).toContain('{"code":"TURN_FAILED","message":"The assistant cannot process this request."}');
  expect(ui).toContain('{"type":"error","errorText":"The assistant cannot process this request."}');
  expect(await turn.toResponse({ view: "operator" }).text()).toContain("/srv/secret");
});

test("toUIMessageStreamResponse(): sends users a sentence when a caller stops the turn", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.partial("so far");
      await turn.hang();
    },
  });
  const turn = stream(scene.name, "go");
  const page = turn.toUIMessageStreamResponse().text();
  const waiting = stream(scene.name, "next");
  await turn.text().next();
  await Promise.all([waiting.interrupt(), turn.interrupt()]);
  expect(await page).toContain('{"type":"abort","reason":"The answer was stopped."}');
  const cancelled = await waiting.toUIMessageStreamResponse().text();
  expect(cancelled).toContain('{"type":"abort","reason":"The request was cancelled."}');
});

test("toResponse(): sends users a sentence when the session loses its process in the turn", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "crash") {
        await turn.partial("so far");
        await turn.crash();
      }
      await turn.text("fine");
    },
  });
  const page = await stream(scene.name, "crash").toResponse().text();
  expect(page).toContain('{"text":"so far"}');
  expect(page).toContain('"message":"The assistant could not complete its answer. Please try again."');
  expect((await query(scene.name, "next")).text).toBe("fine");
  expect(session(scene.name).status().restarts).toBe(1);
});

test("toResponse(): shows no more than users see for a view that it does not know", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.text("castle") });
  const turn = stream(scene.name, "go");
  // @ts-expect-error: input of an untyped caller
  const page = await turn.toResponse({ view: "admin" }).text();
  expect(page).toContain('"text":"castle"');
  expect(page).not.toMatch(/costUsd|sessionId|usage/);
});

test("publicError(): says nothing of an error that is not Castellan's", () => {
  const error = new Error("password: castle");
  const expected = { code: "INTERNAL", message: "Something went wrong. Please try again later." };
  expect(publicError(error)).toEqual(expected);
  expect(shownError(error, "operator")).toEqual(expected);
  expect(publicError(undefined)).toEqual(expected);
});

test("publicError(): has a sentence without the error's words for every code", () => {
  const codes: readonly ErrorCode[] = ["MAILBOX_FULL", "SESSION_QUARANTINED", "JOURNAL_UNAVAILABLE", "NOT_OWNER"];
  for (const code of codes) {
    const error = Object.assign(new CastellanError("SESSION_BUSY", "the words"), { code });
    const { message, ...rest } = publicError(error);
    expect(rest).toEqual({ code });
    expect(message).toMatch(/^[A-Z][^"`]+\.$/);
    expect(message).not.toContain("the words");
  }
});
