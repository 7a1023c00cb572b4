import { Supervisor, template } from "castellan";
import { CastellanClient } from "castellan/client";
import { listen } from "castellan/server";
import { expect, test } from "vitest";
import { ask, decide, follow, invoice, order, wake } from "../../examples/http-api.ts";
import { onFake } from "./on-fake.ts";

test("http-api.ts: asks, follows, approves and handles errors over HTTP", async () => {
  const { options } = onFake(async (turn) => {
    if (turn.prompt === "tools") {
      const decisions: string[] = [];
      for (const tool of ["Read", "Write"]) {
        decisions.push(`${tool}: ${(await turn.askPermission(tool, { file_path: "/tmp/a" })).behavior}`);
      }
      await turn.text(decisions.join(" "));
    } else await turn.text(`re: ${turn.prompt}`);
  });
  const children = [template("support", {}), { name: "invoices" }, { name: "careful", approvals: true }];
  await using supervisor = await Supervisor.start(children, options);
  await using server = await listen(supervisor, { tokens: false });
  const { promise: isStreaming, resolve: streams } = Promise.withResolvers<void>();
  const client = new CastellanClient({
    url: server.url,
    fetch: async (url, init) => {
      const response = await fetch(url, init);
      if (url.includes("/events/stream")) streams();
      return response;
    },
  });
  expect(await ask(server.url, undefined, "Hello")).toBe("re: Hello");
  const id = await order(client, "7");
  expect(await order(client, "7")).toBe(id);
  expect(await invoice(client, id)).toBe("re: Write the invoice for order 7.");
  const leaving = new AbortController();
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  let written = "";
  const write = (text: string): void => {
    written += text;
    if (text === "\n") end();
  };
  const following = follow(client, "careful", write, leaving.signal);
  await isStreaming;
  const turn = client.session("careful").query("tools");
  const requested = supervisor.session("careful").events({ types: ["approval_requested"] });
  const deciding = (async () => {
    for await (const _ of requested) await decide(client);
  })();
  expect((await turn).text).toBe("Read: allow Write: deny");
  await ended;
  leaving.abort();
  await expect(following).rejects.toThrow(/abort/i);
  expect(written).toBe("Read: allow Write: deny\n");
  expect(await wake(client, "invoices")).toBe("idle");
  await expect(wake(client, "none")).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
  await requested.return();
  await deciding;
});
