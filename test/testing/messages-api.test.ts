import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type MessagesApi, messagesApi } from "../../src/testing/index.ts";

let api: MessagesApi;

beforeEach(async () => {
  api = await messagesApi();
});

afterEach(async () => {
  await api.stop();
});

const post = (body: object): Promise<Response> =>
  fetch(`${api.url}/v1/messages`, { method: "POST", headers: { "X-Api-Key": "k" }, body: JSON.stringify(body) });

const asking = (text: string, fields: object = {}): object => ({
  model: "m",
  max_tokens: 1,
  messages: [{ role: "user", content: [{ type: "text", text }] }],
  ...fields,
});

describe("messagesApi", () => {
  test("keeps whole requests, and echoes the user's text by default", async () => {
    const answer = await (await post(asking("<system-reminder>all</system-reminder>", { metadata: { a: 1 } }))).json();
    expect(answer).toMatchObject({
      type: "message",
      model: "m",
      stop_reason: "end_turn",
      content: [{ type: "text", text: "You said: <system-reminder>all</system-reminder>" }],
    });
    expect(api.lastRequest).toMatchObject({
      headers: { "x-api-key": "k" },
      body: { metadata: { a: 1 } },
      texts: [{ role: "user", text: "<system-reminder>all</system-reminder>" }],
    });
    expect(api.requests).toEqual([await api.requested(1)]);
  });

  test("extracts the texts of tool results", async () => {
    const content = [{ type: "tool_result", tool_use_id: "t", content: [{ type: "text", text: "found" }] }];
    await post({ model: "m", messages: [{ role: "user", content }] });
    expect(api.lastRequest?.texts).toEqual([{ role: "user", text: "found" }]);
  });

  test("streams text in pieces, and tool uses with their input", async () => {
    api.model = () => ({ text: "one two", toolUses: [{ name: "Bash", input: { command: "ls" }, id: "toolu_1" }] });
    const events = await (await post(asking("hi", { stream: true }))).text();
    const data = events.split("\n").flatMap((line) => (line.startsWith("data: ") ? [JSON.parse(line.slice(6))] : []));
    expect(data.map(({ type, index }) => [type, index])).toEqual([
      ["message_start", undefined],
      ["content_block_start", 0],
      ["content_block_delta", 0],
      ["content_block_delta", 0],
      ["content_block_stop", 0],
      ["content_block_start", 1],
      ["content_block_delta", 1],
      ["content_block_stop", 1],
      ["message_delta", undefined],
      ["message_stop", undefined],
    ]);
    expect(data[5].content_block).toEqual({ type: "tool_use", id: "toolu_1", name: "Bash", input: {} });
    expect(data[8].delta.stop_reason).toBe("tool_use");
  });

  test("answers with errors, breaks connections, and leaves requests unanswered", async () => {
    api.model = () => ({ error: { status: 529, message: "too much" }, headers: { "retry-after": "3" } });
    const refused = await post(asking("hi"));
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([529, "3"]);
    expect(await refused.json()).toMatchObject({ error: { type: "overloaded_error", message: "too much" } });
    api.model = () => "breaks";
    await expect(post(asking("hi"))).rejects.toThrow();
    api.model = () => ({ text: "one two three", breaksAfter: 3 });
    await expect(post(asking("hi", { stream: true })).then((response) => response.text())).rejects.toThrow();
    api.model = () => "hangs";
    const hanging = expect(post(asking("hi"))).rejects.toThrow();
    await api.requested(4);
    await api.stop();
    await hanging;
  });

  test("records an error that its model throws, and answers 400, which is not retried", async () => {
    api.model = () => {
      throw new Error("wrong");
    };
    expect((await post(asking("hi"))).status).toBe(400);
    expect(api.errors).toMatchObject([{ message: "wrong" }]);
  });
});
