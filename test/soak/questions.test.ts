import { expect, test } from "vitest";
import { Supervisor } from "../../src/index.ts";
import { messagesApi } from "../../src/testing/mock-api/messages-api.ts";
import { unique } from "../session-on-fake/scene.ts";

const questions = [
  {
    question: "Which library?",
    header: "Library",
    options: [
      { label: "date-fns", description: "small" },
      { label: "luxon", description: "complete", preview: "DateTime.now()" },
    ],
    multiSelect: false,
  },
  {
    question: "Which tests?",
    header: "Tests",
    options: [
      { label: "unit", description: "fast" },
      { label: "end to end", description: "slow" },
    ],
    multiSelect: true,
  },
];

test("the real Claude Code tells the model the answers of approval.answer(), and nobody's after approve()", async () => {
  await using api = await messagesApi(({ body }) => {
    const isAnswered = JSON.stringify(body.messages.at(-1)).includes("tool_result");
    return isAnswered ? { text: "Thanks." } : { toolUses: [{ name: "AskUserQuestion", input: { questions } }] };
  });
  const name = unique();
  await using supervisor = await Supervisor.start([{ name, env: api.env, cwd: api.cwd, approvals: true }], {
    journal: "memory",
  });
  const session = supervisor.session(name);
  const asked = async (
    answer: (approval: ReturnType<typeof session.approvals>[number]) => boolean,
  ): Promise<string> => {
    const turn = session.stream("hi");
    for await (const { type } of turn.events()) if (type === "approval_requested") break;
    const [approval] = session.approvals();
    if (approval === undefined) throw new Error("none");
    expect(approval.questions).toEqual(questions);
    expect(answer(approval)).toBe(true);
    await turn.result();
    return JSON.stringify(api.lastRequest?.body.messages.at(-1));
  };
  const both = await asked((approval) =>
    approval.answer({ "Which library?": "moment", "Which tests?": ["unit", "end to end"] }),
  );
  expect(both).toContain('\\"Which library?\\"=\\"moment\\", \\"Which tests?\\"=\\"unit, end to end\\"');
  const one = await asked((approval) => approval.answer({ "Which tests?": "unit" }));
  expect(one).toContain('\\"Which tests?\\"=\\"unit\\"');
  expect(one).not.toContain("Which library?");
  expect(await asked((approval) => approval.approve())).toContain("did not answer");
  expect(await asked((approval) => approval.deny("not now"))).toContain("not now");
  expect(api.errors).toEqual([]);
});
