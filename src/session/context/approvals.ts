import type { CanUseTool, PermissionResult } from "@anthropic-ai/claude-agent-sdk";
import type { Timer } from "../../clock.ts";
import { formatDuration } from "../../duration.ts";
import { withoutUndefined } from "../../fields.ts";
import type { Approval, ApprovalOutcome } from "../conversation/approval.ts";
import type { SessionContext } from "./session-context.ts";

export interface ApprovalEvents {
  requested(approval: Approval): void;
  /** `message` is what Claude is told of a denial. */
  settled(approval: Approval, outcome: ApprovalOutcome, message: string | undefined): void;
  /** Returns the id of the running turn, if any. */
  turn(): string | undefined;
}

/**
 * The pending permission requests of a session's process. Each is answered once, by any caller, or expires as denied.
 */
export class Approvals {
  readonly #context: SessionContext;
  readonly #events: ApprovalEvents;
  readonly #pending = new Map<string, { readonly approval: Approval; readonly withdraw: () => void }>();

  constructor(context: SessionContext, events: ApprovalEvents) {
    this.#context = context;
    this.#events = events;
  }

  /** The unanswered requests, oldest first. */
  get pending(): readonly Approval[] {
    return [...this.#pending.values()].map(({ approval }) => approval);
  }

  /** Creates an approval and waits for its answer. */
  readonly canUseTool: CanUseTool = (tool, input, { signal, title, decisionReason, suggestions = [], toolUseID }) => {
    const { clock, newId, settings } = this.#context;
    const timeoutMs = settings.approvals === false ? 0 : settings.approvals.timeout;
    const id = newId();
    const { promise, resolve } = Promise.withResolvers<PermissionResult>();
    const watches: Timer[] = [];
    const settle = (outcome: ApprovalOutcome, result: PermissionResult): boolean => {
      if (!this.#pending.delete(id)) return false;
      for (const watch of watches) watch.cancel();
      resolve(result);
      this.#events.settled(approval, outcome, "message" in result ? result.message : undefined);
      return true;
    };
    const deny = (outcome: ApprovalOutcome, message: string): boolean => settle(outcome, { behavior: "deny", message });
    const requestedAt = clock.now();
    const approval: Approval = {
      id,
      session: settings.name,
      tool,
      input,
      ...withoutUndefined({ title, reason: decisionReason, toolUseId: toolUseID, turnId: this.#events.turn() }),
      suggestions,
      requestedAt,
      expiresAt: requestedAt + timeoutMs,
      approve: ({ input: updatedInput = input, rules } = {}) =>
        settle("approved", {
          behavior: "allow",
          updatedInput,
          ...(rules === undefined ? {} : { updatedPermissions: [...rules] }),
        }),
      deny: (message = "The user does not want this.") => deny("denied", message),
    };
    const withdraw = (): void => void deny("withdrawn", "The request was withdrawn.");
    this.#pending.set(id, { approval, withdraw });
    signal.addEventListener("abort", withdraw, { once: true });
    watches.push({ cancel: () => signal.removeEventListener("abort", withdraw) });
    const expired = `Nobody answered within ${formatDuration(timeoutMs)}.`;
    watches.push(clock.schedule(timeoutMs, () => void deny("expired", expired)));
    this.#events.requested(approval);
    if (signal.aborted) withdraw();
    return promise;
  };

  /** Withdraws all requests, because the process that made them is gone. */
  withdrawAll(): void {
    for (const { withdraw } of this.#pending.values()) withdraw();
  }
}
