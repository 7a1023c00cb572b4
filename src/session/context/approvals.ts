import type { CanUseTool, PermissionResult } from "@anthropic-ai/claude-agent-sdk";
import type { Timer } from "../../clock.ts";
import { formatDuration } from "../../duration.ts";
import { withoutUndefined } from "../../fields.ts";
import { SparseMap } from "../../sparse-map.ts";
import { type Approval, type ApprovalOutcome, type ApprovalSettlement, answererOf } from "../conversation/approval.ts";
import { withdrawnBy } from "../persistence/approval-events.ts";
import { questionsIn, readAnswers } from "../record/approval-questions.ts";
import type { ApprovalWithdrawal } from "../record/session-event-types.ts";
import type { CurrentTurn } from "../streams/current-turn.ts";
import type { SessionContext } from "./session-context.ts";

export interface ApprovalEvents {
  requested(approval: Approval): void;
  settled(approval: Approval, settlement: ApprovalSettlement): void;
  /** The running turn, if any. */
  readonly running: CurrentTurn | undefined;
}

interface Pending {
  readonly approval: Approval;
  /** Whether a subagent asks, which may run in the background and outlive the turn. */
  readonly isSubagents: boolean;
  readonly withdraw: (cause: ApprovalWithdrawal) => void;
}

const NONE: readonly never[] = [];

/**
 * The pending permission requests of a session's process. Each is answered once, by any caller, or expires as denied.
 */
export class Approvals {
  readonly #context: SessionContext;
  readonly #events: ApprovalEvents;
  readonly #pending = new SparseMap<string, Pending>();
  /**
   * Ends requests that the SDK has aborted. It does so when Claude Code takes one back, and also when the process ends,
   * before that is known here.
   */
  #aborted: readonly ((cause: ApprovalWithdrawal) => void)[] = NONE;

  constructor(context: SessionContext, events: ApprovalEvents) {
    this.#context = context;
    this.#events = events;
  }

  /** The unanswered requests, oldest first. */
  get pending(): readonly Approval[] {
    return [...this.#pending.values()].map(({ approval }) => approval);
  }

  /** Creates an approval and waits for its answer. */
  canUseTool(...[tool, input, asked]: Parameters<CanUseTool>): ReturnType<CanUseTool> {
    const { signal, title, decisionReason, suggestions = [], ...rest } = asked;
    const { clock, newId, settings, who } = this.#context;
    const timeoutMs = settings.approvals === false ? 0 : settings.approvals.timeout;
    const id = newId();
    const { promise, resolve } = Promise.withResolvers<PermissionResult>();
    const watches: Timer[] = [];
    const take = (): boolean => {
      for (const watch of watches) watch.cancel();
      return this.#pending.delete(id);
    };
    const answer = (settlement: ApprovalSettlement, result: PermissionResult): boolean => {
      if (!take()) return false;
      this.#events.settled(approval, settlement);
      resolve(result);
      return true;
    };
    const deny = (outcome: ApprovalOutcome, message: string, by?: string): boolean =>
      answer({ outcome, message, ...withoutUndefined({ by }) }, { behavior: "deny", message });
    const requestedAt = clock.now();
    const turnId = this.#events.running?.record.id;
    const what = `approval of ${who}`;
    const questions = questionsIn(tool, input);
    const approval: Approval = {
      id,
      session: settings.name,
      tool,
      input,
      ...withoutUndefined({ questions, title, reason: decisionReason, toolUseId: rest.toolUseID, turnId }),
      suggestions,
      requestedAt,
      expiresAt: requestedAt + timeoutMs,
      approve: (changes = {}) => {
        const { input: changed, rules } = changes;
        const given = withoutUndefined({ input: changed, rules, by: answererOf(changes, what) });
        return answer(
          { outcome: "approved", ...given },
          {
            behavior: "allow",
            updatedInput: changed ?? input,
            ...(rules === undefined ? {} : { updatedPermissions: [...rules] }),
          },
        );
      },
      answer: (given, options = {}) => {
        const answers = readAnswers(questions, given, what);
        const by = answererOf(options, what);
        return answer(
          { outcome: "approved", answers, ...withoutUndefined({ by }) },
          { behavior: "allow", updatedInput: { ...input, answers } },
        );
      },
      deny: (message = "The user does not want this.", options = {}) =>
        deny("denied", message, answererOf(options, what)),
    };
    const withdrawn = (cause: ApprovalWithdrawal): void =>
      this.#events.settled(approval, { outcome: "withdrawn", ...withdrawnBy(cause) });
    // Claude Code gets no answer: a denial would let its turn continue until the turn or the process is stopped.
    const withdraw = (cause: ApprovalWithdrawal): void => {
      if (take()) withdrawn(cause);
    };
    const abort = (): void => {
      resolve({ behavior: "deny", message: "The request was withdrawn." });
      if (this.#isTurnStopped) withdraw("turn_stopped");
      else if (take()) this.#aborted = [...this.#aborted, withdrawn];
    };
    this.#pending.set(id, { approval, isSubagents: rest.agentID !== undefined, withdraw });
    signal.addEventListener("abort", abort, { once: true });
    const expired = `Nobody answered within ${formatDuration(timeoutMs)}.`;
    watches.push(clock.schedule(timeoutMs, () => void deny("expired", expired)));
    this.#events.requested(approval);
    if (signal.aborted) abort();
    return promise;
  }

  /** Takes note of a sign of life of the process: it has taken back the aborted requests. */
  spoke(): void {
    if (this.#aborted.length > 0) this.#withdrawAborted("taken_back");
  }

  /** Withdraws the requests of a turn that is stopped, except those of its subagents. */
  withdrawTurn(turnId: string): void {
    this.spoke();
    for (const { approval, isSubagents, withdraw } of this.#pending.values()) {
      if (approval.turnId === turnId && !isSubagents) withdraw("turn_stopped");
    }
  }

  /** Withdraws all requests. */
  withdrawAll(cause: ApprovalWithdrawal): void {
    this.#withdrawAborted(cause);
    for (const { withdraw } of this.#pending.values()) withdraw(cause);
  }

  #withdrawAborted(cause: ApprovalWithdrawal): void {
    const aborted = this.#aborted;
    this.#aborted = NONE;
    for (const withdrawn of aborted) withdrawn(cause);
  }

  get #isTurnStopped(): boolean {
    const turn = this.#events.running;
    return turn !== undefined && (turn.stopping !== undefined || turn.record.ended);
  }
}
