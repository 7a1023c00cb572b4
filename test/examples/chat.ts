import { DefaultChatTransport, readUIMessageStream, type UIMessage } from "ai";
import { session } from "castellan";
import { expect, test, vi } from "vitest";
import { createApp, startChats } from "../../examples/web/chat/server.ts";
import { onFake } from "./on-fake.ts";

// test/soak/chat.test.ts runs it with its page in a browser.

const USER: UIMessage = { id: "message-1", role: "user", parts: [{ type: "text", text: "hello" }] };

function client(app = createApp()) {
  const fetch = async (url: string | URL | Request, init?: RequestInit) => await app.request(String(url), init);
  const transport = new DefaultChatTransport<UIMessage>({ fetch });
  const send = () =>
    transport.sendMessages({
      trigger: "submit-message",
      chatId: "one",
      messageId: undefined,
      messages: [USER],
      abortSignal: undefined,
    });
  return { app, send, resume: () => transport.reconnectToStream({ chatId: "one" }) };
}

async function last(stream: Awaited<ReturnType<ReturnType<typeof client>["resume"]>>): Promise<UIMessage | undefined> {
  let message: UIMessage | undefined;
  if (stream !== null) for await (const state of readUIMessageStream({ stream })) message = state;
  return message;
}

test("web/chat: streams an answer, resumes it while it is written, and has the messages afterwards", async () => {
  const rest = Promise.withResolvers<void>();
  const { options } = onFake(async (turn) => {
    await turn.partial("a beginning");
    await rest.promise;
    await turn.text(" and an end");
  });
  await using _supervisor = await startChats(options);
  const { app, send, resume } = client();
  expect(await resume()).toBeNull();
  const sent = await send();
  // Sent again, it is the same turn.
  const again = await send();
  const resumed = await resume();
  expect(await (await app.request("/api/chat/one/messages")).json()).toMatchObject([{ role: "user" }]);
  rest.resolve();
  const answers = await Promise.all([sent, again, resumed].map(last));
  expect(answers[0]?.parts.filter(({ type }) => type === "text")).toMatchObject([{ text: "a beginning and an end" }]);
  expect(answers.slice(1)).toEqual([answers[0], answers[0]]);
  expect(await resume()).toBeNull();
  const messages = await (await app.request("/api/chat/one/messages")).json();
  expect(messages).toMatchObject([{ role: "user", parts: USER.parts }, JSON.parse(JSON.stringify(answers[0]))]);
  // A page that read the messages right before the end gets the answer all the same; one that has it does not.
  const ended = await app.request("/api/chat/one/stream?answered=");
  expect(await ended.text()).toContain("a beginning");
  const answered = (answers[0]?.metadata as { readonly turnId: string } | undefined)?.turnId;
  expect((await app.request(`/api/chat/one/stream?answered=${answered}`)).status).toBe(204);
});

test("web/chat: stops an answer, and passes on the answer to an approval once", async () => {
  const { options } = onFake(async (turn) => {
    await turn.toolUse("Bash", { command: "ls" }, { ask: true });
    await turn.hang();
  });
  await using _supervisor = await startChats(options);
  const { app, send } = client();
  const answer = last(await send());
  const approvals = () => session(["chat", "guest", "one"]).approvals();
  await vi.waitUntil(() => approvals().length === 1);
  const url = `/api/chat/one/approvals/${approvals()[0]?.id}`;
  const yes = { method: "POST", body: JSON.stringify({ approved: true }) };
  expect((await app.request(url, yes)).status).toBe(204);
  expect((await app.request(url, yes)).status).toBe(409);
  expect((await app.request("/api/chat/one/stream", { method: "DELETE" })).status).toBe(204);
  const parts = (await answer)?.parts;
  expect(parts?.find(({ type }) => type === "dynamic-tool")).toMatchObject({ state: "output-available" });
  expect(parts?.find(({ type }) => type === "data-approval")).toMatchObject({ data: { outcome: "approved" } });
});

test("web/chat: refuses a request that ends with no message of the user", async () => {
  const { options } = onFake();
  await using _supervisor = await startChats(options);
  const body = JSON.stringify({ id: "one", messages: [] });
  expect((await createApp().request("/api/chat", { method: "POST", body })).status).toBe(400);
});

test("web/chat: sends the files of a message to Claude, and refuses those that Claude cannot read", async () => {
  const { options } = onFake(async (turn) => turn.text(turn.prompt));
  await using _supervisor = await startChats(options);
  const app = createApp();
  const send = async (id: string, mediaType: string, url: string) => {
    const parts = [
      { type: "text", text: "see" },
      { type: "file", mediaType, url },
    ];
    const body = JSON.stringify({ id: "one", messages: [{ id, role: "user", parts }] });
    return await app.request("/api/chat", { method: "POST", body, headers: { "x-user": "ann" } });
  };
  const note = `data:text/plain;base64,${Buffer.from("a note").toString("base64")}`;
  expect(await (await send("a", "text/plain", note)).text()).toContain("see");
  const refused = await send("b", "video/mp4", "https://example.com/film.mp4");
  expect([refused.status, await refused.json()]).toEqual([
    400,
    { code: "INVALID_OPTIONS", message: "The request is not valid." },
  ]);
  const [turn] = await session(["chat", "ann", "one"]).turns();
  expect(turn).toMatchObject({ by: "ann", state: "completed" });
  const page = await app.request("/api/chat/one/messages", { headers: { "x-user": "ann" } });
  const messages = (await page.json()) as readonly UIMessage[];
  expect(messages[0]?.parts).toMatchObject([{ text: "see" }, { type: "file", mediaType: "text/plain", url: note }]);
});
