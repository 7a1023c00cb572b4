import { expect, test } from "vitest";
import type { Caller } from "../../src/server/http/caller.ts";
import { served } from "../cli/served.ts";
import { Receiver, SECRET } from "../webhooks/receiver.ts";
import { NativeScene, OPERATOR } from "./native-scene.ts";

const webhooks = (receiver: Receiver) => [{ url: receiver.url, secret: SECRET, id: "hook" }];

test("CastellanClient: lists, tests and retries webhooks, and shows neither secrets nor paths", async () => {
  await using receiver = await Receiver.open();
  const callers: Readonly<Record<string, Caller>> = {
    operator: OPERATOR,
    reader: { ...OPERATOR, id: "reader", scopes: new Set(["read"]) },
    some: { ...OPERATOR, id: "some", prefix: ["assistant"] },
  };
  await using scene = await NativeScene.start({ callers, supervisor: { webhooks: webhooks(receiver) } });
  const client = scene.client();
  expect(await client.testWebhook("hook")).toEqual({ delivered: true, status: 204, durationMs: expect.any(Number) });
  await client.session("assistant").query("hello");
  await receiver.until(() => receiver.confirmed.length === 2);
  receiver.answer = () => 410;
  expect(await client.testWebhook("hook")).toMatchObject({ delivered: false, status: 410 });
  expect(await client.retryWebhook("hook")).toMatchObject([{ id: "hook", state: "ready", dropped: 0 }]);
  const list = await client.webhooks();
  expect(list).toMatchObject([{ id: "hook", origin: new URL(receiver.url).origin }]);
  expect(JSON.stringify([list, await client.tree(), scene.supervisor.inspect()])).not.toMatch(/whsec|in-the-query/);
  await expect(client.testWebhook("hok")).rejects.toMatchObject({
    code: "INVALID_OPTIONS",
    message: expect.stringContaining("hook"),
  });
  expect(await scene.client("reader").webhooks()).toHaveLength(1);
  await expect(scene.client("reader").testWebhook("hook")).rejects.toMatchObject({ code: "FORBIDDEN" });
  await expect(scene.client("some").webhooks()).rejects.toMatchObject({ code: "FORBIDDEN" });
  await expect(scene.client("some").retryWebhook("hook")).rejects.toMatchObject({ code: "FORBIDDEN" });
  expect(scene.wrong).toEqual([]);
});

test("castellan webhooks: lists, tests and retries, and exits by the result", async () => {
  await using receiver = await Receiver.open();
  const { run } = await served([{ name: "assistant" }], { webhooks: webhooks(receiver) });
  const list = await run("webhooks");
  expect(list.stdout).toMatch(
    /^WEBHOOK +STATE +PENDING +DELIVERED +DROPPED +LAST FAILURE +ORIGIN\nhook +ready +0 +0 +0 +- +http:/,
  );
  expect(await run("webhooks", "test", "hook")).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^delivered: status 204/),
  });
  receiver.answer = () => 404;
  expect(await run("webhooks", "test", "hook")).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/^not delivered: status 404/),
  });
  await receiver.down();
  expect((await run("webhooks", "test", "hook")).stdout).toMatch(/^not delivered: ECONN(REFUSED|RESET)/);
  await receiver.up();
  expect(JSON.parse((await run("webhooks", "retry", "hook", "--json")).stdout)).toMatchObject([{ id: "hook" }]);
  expect(await run("webhooks", "test")).toMatchObject({ code: 2 });
  expect(await run("webhooks", "test", "other")).toMatchObject({ code: 2 });
  expect(await run("webhooks", "remove", "hook")).toMatchObject({ code: 2 });
});

test("castellan webhooks: says that there are none", async () => {
  const { run } = await served([{ name: "assistant" }]);
  expect(await run("webhooks")).toMatchObject({ code: 0, stdout: "", stderr: "The server has no webhooks.\n" });
});
