import type { PermissionResult } from "@anthropic-ai/claude-agent-sdk";
import { isObject, listOf, objectOf, stringOf, type WireObject } from "./fake-wire.ts";

/** The ids of the host's callbacks for a hook event, those whose matcher fits the tool, in the order they were registered. */
export function hookCallbacks(initialize: WireObject, event: string, toolName: string | undefined): string[] {
  return listOf(objectOf(initialize, "hooks"), event)
    .filter(isObject)
    .filter((entry) => matches(stringOf(entry, "matcher"), toolName))
    .flatMap((entry) => listOf(entry, "hookCallbackIds"))
    .filter((id) => typeof id === "string");
}

function matches(matcher: string | undefined, toolName: string | undefined): boolean {
  if (matcher === undefined || matcher === "" || matcher === "*" || toolName === undefined) return true;
  return new RegExp(`^(?:${matcher})$`).test(toolName);
}

/** What hooks for `PermissionRequest` have decided, the first that has. */
export function hookDecision(outputs: readonly WireObject[]): PermissionResult | undefined {
  for (const output of outputs) {
    const decision = objectOf(objectOf(output, "hookSpecificOutput"), "decision");
    if (decision["behavior"] === "deny") {
      return { behavior: "deny", message: stringOf(decision, "message") ?? "Permission denied by hook" };
    }
    if (decision["behavior"] === "allow") return { ...decision, behavior: "allow" };
  }
  return undefined;
}

/** Why hooks forbid a tool, in the words of the real one, or `undefined` if none of their outputs does. */
export function hookDenial(toolName: string, outputs: readonly WireObject[]): string | undefined {
  for (const output of outputs) {
    const specific = objectOf(output, "hookSpecificOutput");
    const denied = specific["permissionDecision"] === "deny" || output["decision"] === "block";
    const reason = stringOf(specific, "permissionDecisionReason") ?? stringOf(output, "reason") ?? "Blocked by hook";
    if (denied) return `PreToolUse:${toolName} hook error: ${reason}`;
  }
  return undefined;
}
