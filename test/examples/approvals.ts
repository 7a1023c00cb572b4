import { query, Supervisor, session } from "castellan";
import { expect, test, vi } from "vitest";
import { answerQuestions, approvePlan, decideOn, OPTIONS } from "../../examples/approvals.ts";
import { onFake } from "./on-fake.ts";

test("approvals.ts: keeps an approval for its scope, and the mode after an approved plan", async () => {
  const { options } = onFake(async (turn) => {
    if (turn.prompt === "plan") await turn.toolUse("EnterPlanMode", {});
    if (turn.prompt === "plan") await turn.toolUse("ExitPlanMode", { plan: "First this, then that." });
    if (turn.prompt.startsWith("run")) await turn.toolUse("Bash", { command: turn.prompt.slice(4) }, { ask: true });
    await turn.text(turn.process.permissionMode);
  });
  await using _supervisor = await Supervisor.start([{ name: "worker", ...OPTIONS }], options);
  const asked: string[] = [];
  void decideOn("worker", async ({ tool, input }) => {
    if (tool === "ExitPlanMode") return await new Promise(() => {});
    asked.push(String(input["command"]));
    return input["command"] === "ls" ? "for the session" : input["command"] === "date" ? "once" : "no";
  });
  for (const command of ["ls", "date", "rm"]) await query("worker", `run ${command}`);
  const planned = query("worker", "plan");
  await vi.waitUntil(() => approvePlan("worker"));
  await planned;
  await session("worker").hibernate();
  asked.splice(0);
  for (const command of ["ls", "date", "rm"]) await query("worker", `run ${command}`);
  expect(asked).toEqual(["date", "rm"]);
  expect(session("worker").status().permissionMode).toBe("acceptEdits");
});

test("approvals.ts: answers Claude's questions", async () => {
  const options = [
    { label: "unit", description: "fast" },
    { label: "end to end", description: "slow" },
  ];
  const questions = [{ question: "Which tests?", header: "Tests", options, multiSelect: true }];
  const { options: onFakeOptions } = onFake(async (turn) => {
    const answer = await turn.askPermission("AskUserQuestion", { questions });
    await turn.text(JSON.stringify(answer.behavior === "allow" ? answer.updatedInput?.["answers"] : answer));
  });
  await using _supervisor = await Supervisor.start([{ name: "asker", ...OPTIONS }], onFakeOptions);
  const asked = query("asker", "test it");
  await vi.waitUntil(() => session("asker").approvals().length > 0);
  const [approval] = session("asker").approvals();
  if (approval === undefined) throw new Error("none");
  await answerQuestions(approval, async (question) => question.options.map(({ label }) => label));
  expect((await asked).text).toBe('{"Which tests?":"unit, end to end"}');
});
