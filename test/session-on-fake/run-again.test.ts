import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import { collect, failure, Scene } from "./scene.ts";

/** Opens a session that retries every cut turn, and whose first process dies after it has said `first`. */
function openRetrying(first = "half a") {
  return Scene.open({
    session: { onInterruptedTurn: "retry" },
    script: async (turn) => {
      if (turn.index === 0) {
        await turn.partial(first);
        await turn.toolUse("Bash", { command: "first" }, { result: "x" });
        await gate.promise;
        await turn.crash();
      }
      await turn.text("whole");
    },
  });
}

let gate = Promise.withResolvers<void>();

test("turn.text(): rejects with TURN_RETRIED after text of an attempt that is void, and then yields the last attempt", async () => {
  gate = Promise.withResolvers();
  await using scene = await openRetrying();
  const turn = stream(scene.name, "go");
  const read: string[] = [];
  const reading = (async () => {
    for await (const text of turn.text()) {
      read.push(text);
      gate.resolve();
    }
  })();
  const error = await failure(reading, "TURN_RETRIED");
  expect(error.details).toEqual({ turnId: turn.id, attempt: 2 });
  expect(read).toEqual(["half a"]);
  expect((await turn.result()).text).toBe("whole");
  expect(await collect(turn.text())).toEqual(["whole"]);
});

test("turn.messages() and turn.deltas(): carry the attempt's number", async () => {
  gate = Promise.withResolvers();
  gate.resolve();
  await using scene = await openRetrying();
  const turn = stream(scene.name, "go");
  await turn.result();
  const deltas = await collect(turn.deltas());
  expect(deltas.map(({ text, attempt }) => [text, attempt])).toEqual([
    ["half a", 1],
    ["whole", 2],
  ]);
  const attempts = (await collect(turn.messages())).map(({ attempt }) => attempt);
  expect(attempts).toEqual(attempts.toSorted());
  expect(new Set(attempts)).toEqual(new Set([1, 2]));
  // Tool uses of every attempt are listed, because the tools ran.
  expect((await collect(turn.toolUses())).map(({ name }) => name)).toEqual(["Bash"]);
});

test("turn.toResponse(): sends `retry` between two attempts, once", async () => {
  gate = Promise.withResolvers();
  gate.resolve();
  await using scene = await openRetrying();
  const turn = stream(scene.name, "go");
  const page = await turn.toResponse().text();
  expect([...page.matchAll(/^event: (\w+)/gm)].map(([, name]) => name)).toEqual([
    "text",
    "tool_use",
    "retry",
    "text",
    "result",
  ]);
  expect(page).toContain('event: retry\ndata: {"attempt":2}');
});

test("turn.toResponse(): sends `retry` to a page that reconnects with an id of the first attempt", async () => {
  gate = Promise.withResolvers();
  gate.resolve();
  await using scene = await openRetrying();
  const turn = stream(scene.name, "go");
  const page = await turn.toResponse().text();
  const [first = ""] = [...page.matchAll(/^id: (.+)$/gm)].map(([, id]) => id ?? "");
  const rest = await turn.toResponse({ lastEventId: first }).text();
  expect(page).toContain(rest);
  expect(rest.match(/event: retry/g)).toHaveLength(1);
});

test("turn.text(): hides a retried attempt that has shown nothing", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.index === 0) await turn.crash();
      await turn.text("whole");
    },
  });
  const turn = stream(scene.name, "go");
  expect(await collect(turn.text())).toEqual(["whole"]);
  expect(await turn.toResponse().text()).not.toContain("event: retry");
});

test("turn.text(): yields all that arrived before the death to a slow reader, and then rejects", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "next") return turn.text("fine");
      for (const text of ["one ", "two ", "three "]) await turn.partial(text);
      await turn.crash({ signal: "SIGKILL" });
    },
  });
  const turn = stream(scene.name, "go");
  const read: string[] = [];
  const reading = (async () => {
    for await (const text of turn.text()) {
      read.push(text);
      // The reader stays busy until the next process has started.
      if (read.length === 1) await scene.fake.started(2);
    }
  })();
  const error = await failure(reading, "TURN_INTERRUPTED");
  expect(read).toEqual(["one ", "two ", "three "]);
  expect(error.details.partialText).toBe("one two three ");
  expect((await query(scene.name, "next")).text).toBe("fine");
});
