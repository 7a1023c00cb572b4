import { once as happens } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { Supervisor } from "castellan";
import { createParser } from "eventsource-parser";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { createApp as approvalsApp } from "../../examples/web/approvals.ts";
import { startAssistants } from "../../examples/web/assistants.ts";
import { createApp as expressApp } from "../../examples/web/express.ts";
import { createApp as fastifyApp } from "../../examples/web/fastify.ts";
import { createApp as honoApp } from "../../examples/web/hono.ts";
import { POST } from "../../examples/web/next/app/api/ask/route.ts";
import { register } from "../../examples/web/next/instrumentation.ts";
import { onFake } from "./on-fake.ts";

type Listener = Parameters<typeof createServer>[1];

/** Serves on a free port of loopback and returns the address. */
async function served(listener: Listener): Promise<string> {
  const server = createServer(listener as NonNullable<Listener>);
  server.listen(0, "127.0.0.1");
  await happens(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function fastifyServed(): Promise<string> {
  const app = fastifyApp();
  onTestFinished(async () => await app.close());
  return await app.listen({ port: 0, host: "127.0.0.1" });
}

function post(url: string, prompt: string, user = "ada"): Promise<Response> {
  const headers = { "content-type": "application/json", "x-user": user };
  return fetch(url, { method: "POST", headers, body: JSON.stringify({ prompt }) });
}

const frameworks: [string, () => Promise<string>][] = [
  ["express", async () => await served(expressApp())],
  ["fastify", fastifyServed],
  ["hono", async () => await served(getRequestListener(honoApp().fetch))],
];

describe.each(frameworks)("web/%s", (_, serve) => {
  test("answers each user in a conversation of its own", async () => {
    const { options } = onFake(async (turn) => turn.text(`${turn.prompt}, ${turn.history.length / 2} before`));
    await using _supervisor = await startAssistants(options);
    const url = `${await serve()}/assistants/reviewer`;
    expect(await (await post(url, "hi")).json()).toEqual({ text: "hi, 0 before" });
    expect(await (await post(url, "hi")).json()).toMatchObject({ text: "hi, 1 before" });
    expect(await (await post(url, "hi", "bob")).json()).toMatchObject({ text: "hi, 0 before" });
  });

  test("streams, and maps errors to HTTP statuses", async () => {
    const { options } = onFake();
    await using _supervisor = await startAssistants(options);
    const url = `${await serve()}/assistants`;
    const response = await post(`${url}/writer/stream`, "hi");
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    const body = await response.text();
    expect(body).toContain('event: text\ndata: {"text":"You said: hi"}');
    expect(body).toContain("event: result\n");
    for (const path of ["nobody", "nobody/stream"]) {
      const refused = await post(`${url}/${path}`, "hi");
      expect([refused.status, await refused.json()]).toEqual([
        404,
        { code: "SESSION_NOT_FOUND", message: "There is no such assistant." },
      ]);
    }
    expect((await post(`${url}/reviewer`, "")).status).toBe(400);
  });
});

test.each(frameworks)("web/%s: finishes the turn of a client that leaves", async (_, serve) => {
  const rest = Promise.withResolvers<void>();
  const { options } = onFake(async (turn) => {
    if (turn.prompt === "again") return await turn.text(`${turn.history.length / 2} before`);
    await turn.partial("a beginning");
    await rest.promise;
    await turn.text(" and an end");
  });
  await using _supervisor = await startAssistants(options);
  const url = `${await serve()}/assistants/writer`;
  const response = await post(`${url}/stream`, "hi");
  const reader = response.body?.getReader();
  await reader?.read();
  await reader?.cancel();
  const again = post(url, "again");
  rest.resolve();
  expect(await (await again).json()).toMatchObject({ text: "1 before" });
});

test("web/approvals.ts: a page sees approvals and questions, and answers them", async () => {
  const questions = [{ question: "Which?", header: "", options: [{ label: "a", description: "" }], multiSelect: true }];
  const { options } = onFake(async (turn) => {
    await turn.toolUse("Bash", { command: "ls" }, { ask: true });
    await turn.toolUse("Bash", { command: "rm" }, { ask: true });
    await turn.askPermission("AskUserQuestion", { questions });
    await turn.text("done");
  });
  await using _supervisor = await Supervisor.start([{ name: "worker", approvals: true }], options);
  const url = await served(getRequestListener(approvalsApp("worker").fetch));
  expect(await (await fetch(url)).text()).toContain("EventSource");
  const asked = await fetch(`${url}/turns`, { method: "POST", body: "go" });
  const { id } = (await asked.json()) as { readonly id: string };
  const answer = async (approval: string, body: object): Promise<unknown> => {
    const headers = { "x-user": "ann" };
    const request = { method: "POST", headers, body: JSON.stringify(body) };
    return await (await fetch(`${url}/approvals/${approval}`, request)).json();
  };
  const answers = [{ approve: true }, { approve: false }, { answers: { "Which?": ["a"] } }];
  const told: unknown[] = [];
  const parser = createParser({
    onEvent: ({ event, data }) => {
      if (event?.startsWith("approval_") === true) told.push(JSON.parse(data));
      if (event === "approval_requested") void answer(JSON.parse(data).id, answers.shift() ?? {});
    },
  });
  const page = await fetch(`${url}/turns/${id}`);
  for await (const piece of page.body?.pipeThrough(new TextDecoderStream()) ?? []) parser.feed(piece);
  expect(told).toMatchObject([
    { tool: "Bash", input: { command: "ls" } },
    { outcome: "approved", by: "ann" },
    { input: { command: "rm" } },
    { outcome: "denied", by: "ann" },
    { questions },
    { outcome: "approved", answers: { "Which?": "a" }, by: "ann" },
  ]);
  expect(await answer("unknown", { approve: true })).toEqual({ isFirst: false });
  expect((await fetch(`${url}/turns/unknown`)).status).toBe(404);
});

describe("web/next", () => {
  afterEach(() => void vi.unstubAllEnvs());

  // test/soak/next.test.ts runs it in Next.js itself.
  test("streams from its route handler", async () => {
    const { options } = onFake();
    await using _supervisor = await startAssistants(options);
    const url = await served(getRequestListener(POST));
    const ask = (assistant: string): Promise<Response> =>
      fetch(url, { method: "POST", body: JSON.stringify({ assistant, prompt: "hi" }) });
    expect(await (await ask("writer")).text()).toContain("event: result\n");
    expect((await ask("nobody")).status).toBe(404);
  });

  test("starts its supervisor once, on the server only", async () => {
    const start = vi.spyOn(Supervisor, "start");
    vi.stubEnv("NEXT_RUNTIME", "edge");
    await register();
    expect(start).not.toHaveBeenCalled();
    vi.stubEnv("NEXT_RUNTIME", "nodejs");
    await register();
    const supervisor = await start.mock.results[0]?.value;
    expect(process.listenerCount("SIGTERM")).toBe(1);
    await supervisor.stop();
    start.mockRestore();
  });
});
