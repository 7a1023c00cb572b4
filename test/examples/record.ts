import { query, type SessionEvent, Supervisor, session } from "castellan";
import { expect, test } from "vitest";
import { answerOf, commandsOf, follow, questionsOf, saidIn } from "../../examples/record.ts";
import { onFake } from "./on-fake.ts";

test("record.ts: follows a session from any number, and reads a turn and the tools of the past", async () => {
  const { options } = onFake(async (turn) => {
    await turn.toolUse("Bash", { command: "ls" });
    await turn.text("two files");
  });
  const supervisor = await Supervisor.start([{ name: "assistant" }], options);
  const seen: SessionEvent[] = [];
  const following = follow("assistant", 0, (event) => void seen.push(event));
  const { turnId } = await query("assistant", "What is here?");
  expect(await answerOf(session("assistant"), turnId)).toBe("two files");
  expect(await commandsOf("assistant")).toEqual([expect.stringMatching(/^\d{4}-.*Z Bash$/)]);
  await supervisor.stop();
  const last = await following;
  expect(seen.findLast(({ number }) => number !== undefined)?.number).toBe(last);
  expect(seen.map(({ type }) => type)).toEqual(
    expect.arrayContaining(["turn_accepted", "tool_use", "turn_ended", "exit"]),
  );
});

test("record.ts: lists the questions of a user", async () => {
  const { options } = onFake(async (turn) => {
    await turn.text("yes");
  });
  await using supervisor = await Supervisor.start([{ name: "shared" }], options);
  const shared = supervisor.session("shared");
  for (const user of ["ann", "bob", "ann"]) await shared.query(`Question of ${user}?`, { by: user });
  expect(await questionsOf(shared, "ann")).toEqual([
    "Question of ann?: completed, $0.01",
    "Question of ann?: completed, $0.01",
  ]);
});

test("record.ts: returns what was said over several pages", async () => {
  const { options } = onFake(async (turn) => {
    if (turn.prompt === "fail") return await turn.fail({ status: 500, message: "boom" });
    await turn.text(`re: ${turn.prompt}`);
  });
  await using supervisor = await Supervisor.start([{ name: "shared" }], options);
  const shared = supervisor.session("shared");
  await shared.query("one");
  await shared.query("fail").catch(() => {});
  await shared.clear();
  const said = (await saidIn(shared, 3)).filter((line) => !line.endsWith("_changed)"));
  expect(said).toEqual([
    "User: one",
    "Claude: re: one",
    "User: fail",
    expect.stringMatching(/^failed: .*boom/),
    "(conversation)",
  ]);
});
