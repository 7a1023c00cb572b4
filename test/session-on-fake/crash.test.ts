import { expect, test } from "vitest";
import { formatInspection } from "../../src/application/inspection/inspection-text.ts";
import { query, stream } from "../../src/castellan.ts";
import { collect, eventually, failure, Scene } from "./scene.ts";

test("Crash: a turn that is cut untouched runs again, and the model sees its prompt once", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "die" && scene.fake.processes.length === 1) await turn.crash({ signal: "SIGKILL" });
      await turn.text(`re: ${turn.prompt}`);
    },
  });
  await query(scene.name, "before");
  expect((await query(scene.name, "die")).text).toBe("re: die");
  expect(scene.transcript()).toEqual(["user: before", "assistant: re: before", "user: die", "assistant: re: die"]);
  expect(scene.fake.processes.map(({ prompts }) => prompts)).toEqual([["before", "die"], ["die"]]);
  expect(scene.session.status()).toMatchObject({ restarts: 1, starts: 2, lastExit: { signal: "SIGKILL" } });
});

test("Crash: a session's first turn that is cut untouched runs again in an empty conversation", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.index === 0) await turn.crash();
      await turn.text(`${turn.history.length}`);
    },
  });
  expect((await query(scene.name, "first")).text).toBe("0");
  expect(scene.transcript()).toEqual(["user: first", "assistant: 0"]);
  expect((await query(scene.name, "second")).text).toBe("2");
});

test("Crash: a retried turn has one stream with one result", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.index === 0) await turn.crash();
      await turn.text("whole", { partials: 3 });
    },
  });
  const turn = stream(scene.name, "go");
  const [text, messages] = await Promise.all([collect(turn.text()), collect(turn)]);
  expect(text.join("")).toBe("whole");
  expect(messages.filter(({ type }) => type === "result")).toHaveLength(1);
});

test("Crash: a touched turn rejects with TURN_INTERRUPTED, its partial text and tools, and the session continues", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt !== "one") return turn.text("two's answer");
      await turn.toolUse("Write", { file_path: "/tmp/x" }, { result: "written" });
      await turn.partial("I have wri");
      await turn.crash({ code: 134, stderr: "out of something" });
    },
  });
  const turn = stream(scene.name, "one");
  const readers = [failure(collect(turn.text()), "TURN_INTERRUPTED"), failure(collect(turn), "TURN_INTERRUPTED")];
  const error = await failure(turn.result(), "TURN_INTERRUPTED");
  expect(error.details).toMatchObject({
    turnId: turn.id,
    partialText: "I have wri",
    toolUses: [{ name: "Write" }],
    exit: { class: "crash", code: 134, stderr: "out of something", pid: scene.fake.processes[0]?.pid },
  });
  await Promise.all(readers);
  expect(turn.state).toBe("interrupted");
  expect((await query(scene.name, "two")).text).toBe("two's answer");
  // The prompt and its tool use stay in the conversation, because the tool ran.
  expect(scene.transcript()).toContain("user: one");
});

test.each([
  ["retry_if_untouched", false, "answered"],
  ["retry_if_untouched", true, "interrupted"],
  ["fail", false, "interrupted"],
  ["fail", true, "interrupted"],
  ["retry", false, "answered"],
  ["retry", true, "answered"],
] as const)("onInterruptedTurn: with %s, touched %s, the turn is %s", async (onInterruptedTurn, touched, outcome) => {
  await using scene = await Scene.open({
    session: { onInterruptedTurn },
    script: async (turn) => {
      if (turn.prompt === "cut" && scene.fake.processes.length === 1) {
        if (touched) await turn.text("something");
        await turn.crash();
      }
      await turn.text("whole");
    },
  });
  await query(scene.name, "before");
  const turn = stream(scene.name, "cut");
  if (outcome === "answered") expect((await turn.result()).text).toBe("whole");
  else expect((await failure(turn.result(), "TURN_INTERRUPTED")).details.partialText).toBe(touched ? "something" : "");
  await query(scene.name, "after");
  const seen = scene.transcript().filter((line) => line === "user: cut").length;
  expect(seen).toBe(outcome === "interrupted" && !touched ? 0 : 1);
});

test("onInterruptedTurn: ends a turn that crashes every process after three attempts, and the next turn runs", async () => {
  await using scene = await Scene.open({
    script: (turn) => (turn.prompt === "poison" ? turn.crash({ code: 11 }) : turn.text("alive")),
  });
  const poison = query(scene.name, "poison");
  const next = query(scene.name, "next");
  const error = await failure(poison, "TURN_INTERRUPTED");
  expect(error.details.exit).toMatchObject({ code: 11 });
  expect((await next).text).toBe("alive");
  expect(scene.fake.processes.map(({ prompts }) => prompts.join())).toEqual(["poison", "poison", "poison", "next"]);
  expect(scene.transcript()).toEqual(["user: next", "assistant: alive"]);
});

test("Crash: an exit with code 0 in mid-turn is a crash", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.partial("almost");
      await turn.exit(0);
    },
  });
  const error = await failure(query(scene.name, "hi"), "TURN_INTERRUPTED");
  expect(error.details).toMatchObject({ partialText: "almost", exit: { class: "crash", code: 0 } });
  await scene.fake.started(2);
});

test("Crash: between two turns it loses no turn and no conversation", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.text(`${turn.history.length}`) });
  for (const [n, expected] of ["0", "2", "4"].entries()) {
    expect((await query(scene.name, `${n}`)).text).toBe(expected);
    scene.fake.running[0]?.kill("SIGKILL");
    if (n < 2) await scene.fake.started(n + 2);
  }
});

test("Crash: turns that are asked for while the process dies are answered", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.text(`re: ${turn.prompt}`) });
  await query(scene.name, "warm");
  scene.fake.processes[0]?.kill("SIGKILL");
  const replies = await Promise.all(["a", "b"].map((prompt) => query(scene.name, prompt)));
  expect(replies.map(({ text }) => text)).toEqual(["re: a", "re: b"]);
  expect(scene.transcript().filter((line) => line === "user: a")).toHaveLength(1);
});

test("Crash: an aborted turn does not run again when its process dies", async () => {
  await using scene = await Scene.open({
    fake: { ignoreInterrupt: true },
    script: (turn) => (turn.prompt === "one" ? turn.hang() : turn.text("fine")),
  });
  const abort = new AbortController();
  const one = query(scene.name, "one", { signal: abort.signal });
  await scene.fake.prompted(1);
  abort.abort();
  await failure(one, "TURN_INTERRUPTED");
  scene.fake.processes[0]?.crash();
  expect((await query(scene.name, "two")).text).toBe("fine");
  expect(scene.fake.processes[1]?.prompts).toEqual(["two"]);
});

test("Crash: a result that the process wrote just before its death counts", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.text("done in time");
      await turn.result();
      turn.process.crash();
    },
  });
  expect((await query(scene.name, "hi")).text).toBe("done in time");
  await eventually(() => scene.session.status().restarts === 1);
});

test("Secrets: a key in a dying process's error output is hidden in errors and inspection", async () => {
  const apiKey = "sk-ant-very-secret";
  await using scene = await Scene.open({
    session: { apiKey },
    script: (turn) => turn.crash({ code: 3, stderr: `cannot use ${apiKey}` }),
  });
  const error = await query(scene.name, "hi").catch((thrown: unknown) => thrown);
  const shown = [
    String(error),
    JSON.stringify(scene.supervisor.inspect()),
    formatInspection(scene.supervisor.inspect()),
  ];
  expect(shown[2]).toContain("cannot use [hidden]");
  expect(shown.join("\n")).not.toContain(apiKey);
});
