import type { PermissionUpdate } from "@anthropic-ai/claude-agent-sdk";
import { type Approval, type ApprovalQuestion, type SessionOptions, session } from "castellan";

// #region options
export const OPTIONS: Omit<SessionOptions, "name"> = { approvals: { timeout: "1h" }, permissionMode: "default" };
// #endregion

// #region answer
type Answer = "once" | "for the session" | "no";

/** Passes each approval that a session asks for to `decide`, until the session ends. */
export async function decideOn(name: string, decide: (approval: Approval) => Promise<Answer>): Promise<void> {
  const asking = session(name);
  for await (const { id } of asking.events({ types: ["approval_requested"] })) {
    const approval = asking.approvals().find((pending) => pending.id === id);
    // Not awaited: other approvals may arrive meanwhile, and be answered sooner.
    if (approval !== undefined) void decide(approval).then((how) => answer(approval, how));
  }
}

function answer(approval: Approval, how: Answer): boolean {
  if (how === "no") return approval.deny("The user does not want this.");
  return how === "once" ? approval.approve() : approval.approve({ rules: forSession(approval.suggestions) });
}

/** Claude Code suggests rules for a settings file, which a session reads only if its options say so; these hold for the session. */
function forSession(suggestions: readonly PermissionUpdate[]): PermissionUpdate[] {
  return suggestions
    .filter(({ type }) => type === "addRules" || type === "addDirectories")
    .map((update) => ({ ...update, destination: "session" }));
}
// #endregion

// #region questions
/** Passes the questions of an approval to `ask` one by one, and Claude the answers. */
export async function answerQuestions(
  approval: Approval,
  ask: (question: ApprovalQuestion) => Promise<string | readonly string[]>,
): Promise<boolean> {
  const answers: Record<string, string | readonly string[]> = {};
  for (const question of approval.questions ?? []) answers[question.question] = await ask(question);
  return approval.answer(answers, { by: "ann@example.com" });
}
// #endregion

// #region plan
/** Approves the plan that a session proposes, and all edits that follow from it. */
export function approvePlan(name: string): boolean {
  const plan = session(name)
    .approvals()
    .find(({ tool }) => tool === "ExitPlanMode");
  return plan?.approve({ rules: [{ type: "setMode", mode: "acceptEdits", destination: "session" }] }) ?? false;
}
// #endregion
