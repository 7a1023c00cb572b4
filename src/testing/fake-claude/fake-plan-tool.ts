import type { FakeToolResult } from "./fake-messages.ts";
import type { FakeSettings } from "./fake-settings.ts";

/** A tool that enters or leaves plan mode, as it is at this moment. */
export interface FakePlanTool {
  /** Whether the mode, rules and whoever decides have a say in it. */
  readonly ask: boolean;
  run(): FakeToolResult;
}

/** `undefined` for all other tools. */
export function planTool(name: string, { asksHost, permissions }: FakeSettings): FakePlanTool | undefined {
  if (name !== "EnterPlanMode" && name !== "ExitPlanMode") return undefined;
  if (!asksHost) {
    return failing(
      `Error: No such tool available: ${name}. ${name} is disabled for this session, in subagents as well as here.`,
    );
  }
  if (name === "EnterPlanMode") {
    return {
      ask: true,
      run: () => {
        permissions.enter("plan");
        return { content: "Entered plan mode.", isError: undefined };
      },
    };
  }
  if (permissions.mode !== "plan") return failing("You are not in plan mode.");
  return {
    ask: true,
    run: () => {
      permissions.leavePlan();
      return { content: "User has approved exiting plan mode. You can now proceed.", isError: undefined };
    },
  };
}

function failing(problem: string): FakePlanTool {
  return {
    ask: false,
    run: () => ({ content: `<tool_use_error>${problem}</tool_use_error>`, isError: true, unusable: true }),
  };
}
