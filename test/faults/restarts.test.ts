import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { expectNothingLeft, run, said } from "../session-on-fake/application.ts";
import { eventually, failure, Scene, ticks, unique } from "../session-on-fake/scene.ts";

const count: FakeScript = (turn) => turn.text(`${turn.history.length}`);

test("a session whose transcript is missing: resumes once it is back, or starts empty after a clear", async () => {
  let lost = true;
  await using scene = await Scene.open({
    script: count,
    fake: {
      startup: (process) => {
        const resumes = process.args.some((arg) => arg.startsWith("--resume"));
        if (resumes && lost) process.failStart("No conversation found with session ID: 0");
      },
    },
  });
  const { sessionId } = await query(scene.name, "one");
  const aside = async (): Promise<void> => {
    scene.fake.running[0]?.crash();
    await eventually(() => scene.session.status().state === "quarantined");
  };
  await aside();
  expect((await failure(scene.session.restart(), "SESSION_QUARANTINED")).message).toContain(
    "no transcript of this conversation",
  );
  lost = false;
  await scene.session.restart();
  expect(await query(scene.name, "two")).toMatchObject({ text: "2", sessionId });
  lost = true;
  await aside();
  await scene.session.restart({ conversation: "clear" });
  const fresh = await query(scene.name, "three");
  expect(fresh.text).toBe("0");
  expect(fresh.sessionId).not.toBe(sessionId);
  // The new conversation survives a crash like any other.
  lost = false;
  scene.fake.running[0]?.crash();
  expect(await query(scene.name, "four")).toMatchObject({ text: "2", sessionId: fresh.sessionId });
});

test.each(["its process is killed", "the application is restarted"])(
  "a first turn aborted before Claude Code has read it: leaves no conversation to resume, when %s",
  async (what) => {
    const both = { fake: fakeClaude(count), journal: memoryJournal() };
    const name = unique();
    const first = await run(both, [{ name }]);
    const [process] = both.fake.processes;
    // The prompt never arrives, so that there is no transcript.
    process?.freeze();
    const abort = new AbortController();
    const turn = stream(name, "never heard", { signal: abort.signal });
    await eventually(() => turn.state === "running");
    abort.abort();
    await failure(turn.result(), "TURN_INTERRUPTED");
    process?.kill("SIGKILL");
    if (what !== "its process is killed") await first.stop();
    const second = what === "its process is killed" ? first : await run(both, [{ name }]);
    const reply = await second.query(name, "hello");
    expect(said(both.fake, reply.sessionId)).toEqual(["user: hello", "assistant: 0"]);
    expect(second.session(name).status().state).toBe("idle");
    await second.stop();
    expectNothingLeft(both.fake);
  },
);

test.each([true, false])(
  "a first turn cut before its transcript was written: does not quarantine the session (fork: %s)",
  async (forks) => {
    let killed = "";
    await using scene = await Scene.open({
      script: async (turn) => {
        if (turn.prompt !== "cut") return count(turn);
        await turn.partial("so far");
        killed = turn.process.sessionId;
        await turn.crash({ signal: "SIGKILL" });
      },
      fake: {
        // Claude Code writes its transcript a moment after it has spoken. This process died before that.
        startup: (process) => {
          const [at] = process.args.flatMap((arg, n) => (arg.startsWith("--resume") ? [n] : []));
          const resumed = at === undefined ? "" : `${process.args[at]} ${process.args[at + 1]}`;
          if (killed !== "" && resumed.includes(killed)) process.failStart("No conversation found with session ID: 0");
        },
      },
    });
    await query(scene.name, "before");
    const resume = scene.session.status().conversationId;
    const options = { name: unique(), ...(forks ? { resume, forkSession: true } : {}) };
    const session = await scene.supervisor.startSession(options);
    const error = await failure(session.query("cut"), "TURN_INTERRUPTED");
    expect(error.details.partialText).toBe("so far");
    expect((await session.query("next")).text).toBe(forks ? "2" : "0");
    expect(session.status().conversationId).not.toBe(killed);
    // Since it has completed a turn, its conversation must exist from now on.
    killed = session.status().conversationId;
    scene.fake.running.at(-1)?.crash();
    await eventually(() => session.status().state === "quarantined");
    expect(session.status().lastExit?.class).toBe("conversation_missing");
  },
);

test("a session stopped at any moment of its start: starts again by its name, with its conversation", async () => {
  const both = { fake: fakeClaude(count), journal: memoryJournal() };
  const name = unique();
  await using application = await run(both, []);
  for (let moment = 0; moment < 12; moment++) {
    const starting = application.startSession({ name }).catch((error: unknown) => error);
    await ticks(moment);
    await application.session(name).stop();
    await starting;
  }
  const session = await application.startSession({ name });
  const { sessionId, text } = await session.query("one");
  expect(text).toBe("0");
  await session.stop();
  const again = await application.startSession({ name });
  expect(await again.query("two")).toMatchObject({ sessionId, text: "2" });
});
