import { DefaultChatTransport, readUIMessageStream, type UIMessage } from "ai";
import { stream as askStream, query, Supervisor } from "castellan";
import { createParser } from "eventsource-parser";
import { expect, test, vi } from "vitest";
import { createApp, firstSentence, print, steer } from "../../examples/streaming.ts";
import { onFake } from "./on-fake.ts";

const ASSISTANT = [{ name: "assistant" }];

test("streaming.ts: writes pieces as they arrive", async () => {
  const { options } = onFake(async (turn) => {
    await turn.thinking("hm");
    await turn.text("An answer in several pieces, since it is long.", { partials: 4 });
  });
  await using _supervisor = await Supervisor.start(ASSISTANT, options);
  const pieces: string[] = [];
  expect(await print("?", (text) => pieces.push(text))).toBe(0.01);
  expect(pieces.join("")).toBe("(hm)An answer in several pieces, since it is long.");
  expect(pieces.length).toBeGreaterThan(4);
});

test("streaming.ts: stops a turn, and leaves nothing of it in the next one", async () => {
  const { options } = onFake(async (turn) => {
    if (turn.prompt === "next") return await turn.text("fresh");
    await turn.partial("First. Second. ");
    await turn.hang();
  });
  await using _supervisor = await Supervisor.start(ASSISTANT, options);
  expect(await firstSentence("talk")).toBe("First");
  expect(await query("assistant", "next")).toMatchObject({ text: "fresh" });
});

test("streaming.ts: gives a message to a running turn, and asks it after the turn's end", async () => {
  const rest = Promise.withResolvers<void>();
  const { options, fake } = onFake(async (turn) => {
    if (turn.prompt === "talk") await turn.partial("First, ");
    if (turn.prompt === "talk") await rest.promise;
    await turn.text(`re: ${turn.prompt}`);
  });
  await using _supervisor = await Supervisor.start(ASSISTANT, options);
  const turn = askStream("assistant", "talk");
  await vi.waitUntil(() => turn.state === "running");
  expect((await steer(turn.id, "be brief", "ann"))?.id).toBe(turn.id);
  await vi.waitUntil(() => fake.processes[0]?.prompts.length === 2);
  rest.resolve();
  expect((await turn.result()).text).toBe("re: be brief");
  const next = await steer(turn.id, "and now?", "ann");
  expect(next?.id).not.toBe(turn.id);
  expect((await next?.result())?.text).toBe("re: and now?");
});

test("streaming.ts: serves a turn by server-sent events, and resumes after the last event id", async () => {
  const { options } = onFake();
  await using _supervisor = await Supervisor.start(ASSISTANT, options);
  const app = createApp();
  const asked = await app.request("/turns", { method: "POST", body: "hello" });
  const { id } = (await asked.json()) as { id: string };
  const events = await eventsOf(await app.request(`/turns/${id}`));
  expect(events.map(({ event }) => event)).toEqual(["text", "result"]);
  const [first] = events;
  const rest = await eventsOf(await app.request(`/turns/${id}`, { headers: { "last-event-id": first?.id ?? "" } }));
  expect(rest.map(({ event }) => event)).toEqual(["result"]);
  expect((await app.request(`/turns/${id}`, { method: "DELETE" })).status).toBe(204);
  expect((await app.request("/turns/unknown")).status).toBe(404);
});

test("streaming.ts: serves a turn as a message to useChat", async () => {
  const { options } = onFake();
  await using _supervisor = await Supervisor.start(ASSISTANT, options);
  const app = createApp();
  const fetch = async (url: string | URL | Request, init?: RequestInit) => await app.request(String(url), init);
  const transport = new DefaultChatTransport<UIMessage>({ api: "/api/chat", fetch });
  const stream = await transport.sendMessages({
    trigger: "submit-message",
    chatId: "chat",
    messageId: undefined,
    messages: [{ id: "1", role: "user", parts: [{ type: "text", text: "hello" }] }],
    abortSignal: undefined,
  });
  let last: UIMessage | undefined;
  for await (const message of readUIMessageStream({ stream })) last = message;
  expect(last?.parts).toContainEqual({ type: "text", text: "You said: hello", state: "done" });
});

async function eventsOf(response: Response): Promise<{ event?: string; id?: string }[]> {
  const events: { event?: string; id?: string }[] = [];
  const parser = createParser({
    onEvent: ({ event, id }) =>
      events.push({ ...(event === undefined ? {} : { event }), ...(id === undefined ? {} : { id }) }),
  });
  parser.feed(await response.text());
  return events;
}
