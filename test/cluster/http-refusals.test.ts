import { request as httpRequest } from "node:http";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { Refused } from "../../src/cluster/http/http-refusal.ts";
import { digestOf } from "../../src/cluster/http/signature.ts";
import type { RequestHandler } from "../../src/cluster/protocol/transport.ts";
import { ahead, at, BOOT, CALL, HttpScene, SECRET, signedRequest, TURN } from "./http-scene.ts";

const never = new AbortController().signal;
const OTHER = "another secret that only tests know of";

async function refusal(promise: Promise<unknown>): Promise<Refused> {
  const error: unknown = await promise.then(
    (value) => new Error(`resolved with ${JSON.stringify(value)}`),
    (error: unknown) => error,
  );
  if (!(error instanceof Refused)) throw error;
  return error;
}

/** A handler that records calls that must not happen. */
function untouched(): Partial<RequestHandler> & { readonly asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    async *turn() {
      asked.push("turn");
      yield { type: "unknown" };
    },
    async call() {
      asked.push("call");
      return { type: "answer", value: null };
    },
  };
}

async function raw(port: number, init: RequestInit, path = "/castellan/v1/turn"): Promise<[number, unknown]> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
  const text = await response.text();
  return [response.status, response.status === 200 ? text : JSON.parse(text)];
}

describe("a request between nodes", () => {
  it("is refused when the secrets differ, with advice", async () => {
    await using scene = new HttpScene();
    const handler = untouched();
    const { port } = await scene.serve(handler, { secret: OTHER });
    const error = await refusal(scene.transport().call(at(port), CALL, never));
    expect(error).toMatchObject({ reason: "unauthentic", unsent: false });
    expect(error.message).toBe(
      `Node ${BOOT} at http://127.0.0.1:${port} has another secret than this machine. Give \`cluster.secret\` the same value on ` +
        "every machine. To rotate it, give every machine the old and the new one; put the new one first only when all " +
        "machines have it.",
    );
    expect(handler.asked).toEqual([]);
  });

  it("is refused when the new secret comes first before every machine has it", async () => {
    await using scene = new HttpScene();
    const { port } = await scene.serve({}, { secret: SECRET });
    const error = await refusal(scene.transport({ secret: [OTHER, SECRET] }).call(at(port), CALL, never));
    expect(error).toMatchObject({
      reason: "unauthentic",
      message: expect.stringContaining("first only when all machines have it"),
    });
  });

  it.each([
    [[SECRET], [SECRET, OTHER]],
    [
      [SECRET, OTHER],
      [SECRET, OTHER],
    ],
    [
      [SECRET, OTHER],
      [OTHER, SECRET],
    ],
    [
      [OTHER, SECRET],
      [SECRET, OTHER],
    ],
    [[OTHER], [OTHER, SECRET]],
  ])("is accepted during a rotation of secrets: %s asks %s", async (asker, node) => {
    await using scene = new HttpScene();
    const { port } = await scene.serve({}, { secret: node });
    const transport = scene.transport({ secret: asker });
    expect(await transport.call(at(port), CALL, never)).toEqual({ type: "answer", value: null });
  });

  it.each([
    [40_000, "the clock of this machine is", "ahead of"],
    [-40_000, "the clock of this machine is", "behind"],
  ])("is refused when the clocks are %d ms apart, with the difference", async (ms, said, direction) => {
    await using scene = new HttpScene();
    const handler = untouched();
    const { port } = await scene.serve(handler);
    const error = await refusal(scene.transport({ clock: ahead(ms) }).call(at(port), CALL, never));
    expect(error.reason).toBe("skewed");
    expect(error.message).toContain(said);
    expect(error.message).toMatch(new RegExp(`is (40s|\\d{5}ms) ${direction}`));
    expect(error.message).toContain("30s are allowed. Synchronise both clocks by NTP.");
    expect(handler.asked).toEqual([]);
  });

  it("is accepted when the clocks are 20 s apart", async () => {
    await using scene = new HttpScene();
    const { port } = await scene.serve({});
    for (const ms of [20_000, -20_000]) {
      const transport = scene.transport({ clock: ahead(ms) });
      expect(await transport.call(at(port), CALL, never)).toEqual({ type: "answer", value: null });
    }
  });

  it("is refused when it was sent before", async () => {
    await using scene = new HttpScene();
    const handler = untouched();
    const { port } = await scene.serve(handler);
    const request = signedRequest(JSON.stringify(TURN));
    expect((await raw(port, request))[0]).toBe(200);
    expect(await raw(port, request)).toEqual([401, { reason: "replayed" }]);
    expect(handler.asked).toEqual(["turn"]);
  });

  it("is refused when it is meant for another run at the same address", async () => {
    await using scene = new HttpScene();
    const handler = untouched();
    let boot = BOOT;
    const { port } = await scene.serve(handler, { boot: () => boot });
    const transport = scene.transport();
    await transport.call(at(port), CALL, never);
    boot = "the next run";
    expect(await refusal(transport.call(at(port), CALL, never))).toMatchObject({ reason: "elsewhere", unsent: true });
    expect(handler.asked).toEqual(["call"]);
  });

  it.each([
    ["path", { path: "/castellan/v1/call" }],
    ["secret", { secret: OTHER }],
  ] as const)("is refused when its %s is not what was signed", async (_, changes) => {
    await using scene = new HttpScene();
    const handler = untouched();
    const { port } = await scene.serve(handler);
    const [status, refused] = await raw(port, signedRequest(JSON.stringify(TURN), changes));
    expect([status, refused]).toEqual([401, { reason: "unauthentic", problem: "signature" }]);
    expect(handler.asked).toEqual([]);
  });

  it.each(["at", "nonce", "to", "protocol", "digest", "signature"])(
    "is refused when its %s was changed on the way",
    async (name) => {
      await using scene = new HttpScene();
      const handler = untouched();
      const { port } = await scene.serve(handler);
      const request = signedRequest(JSON.stringify(TURN));
      const changed = name === "at" ? String(Date.now() + 1) : `${request.headers[`castellan-${name}`]}1`;
      const headers = { ...request.headers, [`castellan-${name}`]: changed };
      expect((await raw(port, { ...request, headers }))[0]).toBe(401);
      expect(handler.asked).toEqual([]);
    },
  );

  it("is refused when its body was changed on the way", async () => {
    await using scene = new HttpScene();
    const handler = untouched();
    const { port } = await scene.serve(handler);
    const request = signedRequest(JSON.stringify(TURN));
    expect((await raw(port, { ...request, body: JSON.stringify({ ...TURN, claim: true }) }))[0]).toBe(401);
    expect(handler.asked).toEqual([]);
  });

  it("is refused when it is too large, with the limit", async () => {
    await using scene = new HttpScene();
    const handler = untouched();
    const { port } = await scene.serve(handler, { maxRequestBytes: 10_000 });
    const args = ["x".repeat(3_000_000)];
    const error = await refusal(scene.transport().call(at(port), { ...CALL, args }, never));
    expect(error).toMatchObject({ reason: "too_large", unsent: true });
    expect(error.message).toContain("it takes at most 10000 bytes");
    expect(handler.asked).toEqual([]);
  });

  it("is refused while it is sent as soon as it is too large", async () => {
    await using scene = new HttpScene();
    const { port } = await scene.serve({}, { maxRequestBytes: 10_000 });
    const { headers } = signedRequest("", { digest: digestOf("whatever") });
    const { promise, resolve } = Promise.withResolvers<number | undefined>();
    const request = httpRequest({ port, host: "127.0.0.1", path: "/castellan/v1/turn", method: "POST", headers });
    request.on("response", (response) => resolve(response.resume().statusCode)).on("error", () => {});
    const piece = Buffer.alloc(8_000);
    request.write(piece);
    request.write(piece);
    expect(await promise).toBe(413);
    request.destroy();
  });

  it.each([
    ["no JSON", "{", "its body is not JSON"],
    ["no request", '{"key":1}', "key: Invalid input"],
  ])("is refused when it is %s", async (_, body, problem) => {
    await using scene = new HttpScene();
    const { port } = await scene.serve({});
    const [status, refused] = await raw(port, signedRequest(body));
    expect([status, refused]).toEqual([400, { reason: "malformed", problem: expect.stringContaining(problem) }]);
  });

  it("is refused when the node does not speak its protocol", async () => {
    await using scene = new HttpScene();
    const { port } = await scene.serve({});
    const answer = await raw(port, signedRequest(JSON.stringify(TURN), { protocol: "2" }));
    expect(answer).toEqual([426, { reason: "protocol", protocols: [1, 1], release: "1.2.3" }]);
    const error = await refusal(scene.transport().call(at(port, { protocol: 2 }), CALL, never));
    expect(error).toMatchObject({ reason: "protocol", unsent: true });
    expect(error.message).toContain("is asked in protocol 2, but this machine speaks protocol 1. Update the older");
  });
});

describe("an answer is rejected", () => {
  it.each([200, 302, 401, 404, 421, 502])("if a stranger sends it with status %d", async (status) => {
    await using scene = new HttpScene();
    const port = await scene.serveForeign((_, response) => {
      response.writeHead(status, { location: "/elsewhere" });
      response.end('{"type":"answer","value":"of a stranger"}\n{"type":"over"}\n');
    });
    const error = await refusal(scene.transport().call(at(port), CALL, never));
    expect(error).toMatchObject({ reason: "foreign", unsent: false });
    expect(error.message).toContain(
      `The server at http://127.0.0.1:${port} (status ${status}) is not a node of this cluster`,
    );
  });

  it("if it belongs to another request", async () => {
    await using scene = new HttpScene();
    const { port } = await scene.serve({});
    let seal: string | undefined;
    const between = await scene.serveForeign(async (request, response) => {
      const headers = Object.entries(request.headersDistinct).map(([name, values]) => [name, values?.join() ?? ""]);
      const body = Buffer.concat(await request.toArray());
      const answer = await fetch(`http://127.0.0.1:${port}${request.url}`, {
        method: "POST",
        body,
        headers: headers.filter(([name]) => name?.startsWith("castellan-")) as [string, string][],
      });
      seal ??= answer.headers.get("castellan-seal") ?? "";
      response.writeHead(answer.status, { "castellan-seal": seal }).end(await answer.text());
    });
    const transport = scene.transport();
    expect(await transport.call(at(between), CALL, never)).toEqual({ type: "answer", value: null });
    expect((await refusal(transport.call(at(between), CALL, never))).reason).toBe("foreign");
  });

  it("if one of its lines is too long", async () => {
    await using scene = new HttpScene();
    const port = await scene.serveRaw((response) => void response.end("x".repeat(2_000)));
    const call = scene.transport({ maxLineBytes: 1_000 }).call(at(port), CALL, never);
    await expect(call).rejects.toThrow("sent a line of more than 1000 bytes");
  });

  it("if it is not understood", async () => {
    await using scene = new HttpScene();
    const port = await scene.serveRaw((response) => void response.end('{"type":"later"}\n{"type":"over"}\n'));
    await expect(scene.transport().call(at(port), CALL, never)).rejects.toThrow("sent an answer that");
  });
});

describe("two releases side by side", () => {
  it("ignore unknown frames, fields and events of answers", async () => {
    await using scene = new HttpScene();
    const frames = ['{"type":"later","x":1}', '{"type":"accepted","extra":{"a":[1]}}', '{"type":"over"}'];
    const port = await scene.serveRaw((response) => void response.end(`${frames.join("\n")}\n`));
    const read = await Array.fromAsync(scene.transport().turn(at(port), TURN, never));
    expect(read).toEqual([{ type: "accepted", extra: { a: [1] } }]);
    const events = ['{"type":"later"}', '{"type":"event","event":1}', '{"type":"over"}'];
    const other = await scene.serveRaw((response) => void response.end(`${events.join("\n")}\n`));
    expect(await Array.fromAsync(scene.transport().events(at(other), { key: "key", options: {} }, never))).toEqual([
      { type: "event", event: 1 },
    ]);
  });

  it("ignore unknown fields of requests", async () => {
    await using scene = new HttpScene();
    const handler = untouched();
    const { port } = await scene.serve(handler);
    expect((await raw(port, signedRequest(JSON.stringify({ ...TURN, later: [1] }))))[0]).toBe(200);
    expect(handler.asked).toEqual(["turn"]);
  });

  it("answer an unknown method with a failure, not with a broken connection", async () => {
    await using scene = new HttpScene();
    const handler = untouched();
    const { port } = await scene.serve(handler);
    const path = "/castellan/v1/call";
    const [status, text] = await raw(port, signedRequest(JSON.stringify({ ...CALL, method: "later" }), { path }), path);
    expect([status, handler.asked]).toEqual([200, []]);
    expect(text).toContain('"failed"');
    expect(text).toContain("its node runs release 1.2.3, which does not know `later`. Update that node.");
  });
});

describe("the secret of a cluster", () => {
  it.each([["short"], [[]], [[SECRET, "short"]]])("is refused when it is %j, without being shown", async (secret) => {
    await using scene = new HttpScene();
    expect(() => scene.transport({ secret })).toThrow(/^The secret of the cluster: (give|one has 5 characters)/);
    await expect(scene.serve({}, { secret, clock: systemClock })).rejects.toThrow("The secret of the cluster");
  });
});
