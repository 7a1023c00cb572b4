import { describe, expect, it } from "vitest";
import { readJson, withBoundedBody } from "../../src/server/http/body.ts";

function request(body: string | ReadableStream<Uint8Array> | null, contentType = "application/json"): Request {
  return new Request("http://localhost/", {
    method: "POST",
    body,
    headers: { "content-type": contentType },
    duplex: "half",
  });
}

/** A body that arrives in pieces, and counts how many were taken. */
function pieces(count: number, size: number): { readonly body: ReadableStream<Uint8Array>; taken: number } {
  const state = {
    taken: 0,
    body: new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          if (state.taken === count) controller.close();
          else {
            state.taken++;
            controller.enqueue(new Uint8Array(size).fill(32));
          }
        },
      },
      { highWaterMark: 0 },
    ),
  };
  return state;
}

describe("readJson", () => {
  it("reads JSON of all its types, and undefined of an empty body", async () => {
    expect(await readJson(request('{"a":1}'))).toEqual({ a: 1 });
    expect(await readJson(request("1", "Application/JSON; charset=utf-8"))).toBe(1);
    expect(await readJson(request("1", "application/problem+json"))).toBe(1);
    expect(await readJson(request(""))).toBeUndefined();
    expect(await readJson(request(null, "text/plain"))).toBeUndefined();
  });

  it("refuses a type that a page can send without asking", async () => {
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "text/plain; application/json"]) {
      await expect(readJson(request('{"a":1}', type))).rejects.toMatchObject({ code: "UNSUPPORTED_MEDIA_TYPE" });
    }
  });

  it("does not quote a body that is not JSON", async () => {
    const failed = readJson(request('{"prompt": "secret'));
    await expect(failed).rejects.toMatchObject({ code: "MALFORMED_REQUEST" });
    await expect(failed).rejects.not.toThrow("secret");
  });
});

describe("withBoundedBody", () => {
  it("returns the request with all that has arrived", async () => {
    const bounded = await withBoundedBody(request(pieces(3, 10).body), 30);
    expect(bounded.headers.get("content-type")).toBe("application/json");
    expect(await bounded.text()).toBe(" ".repeat(30));
    expect((await withBoundedBody(request(pieces(0, 0).body), 30)).body).toBeNull();
  });

  it("stops as soon as too much has arrived", async () => {
    const body = pieces(1_000_000, 10);
    await expect(withBoundedBody(request(body.body), 35)).rejects.toMatchObject({ code: "REQUEST_TOO_LARGE" });
    expect(body.taken).toBe(4);
  });
});
