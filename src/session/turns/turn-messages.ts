import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { apiFaultOf } from "../../claude/messages/api-fault.ts";
import type { TurnFailure } from "../../claude/messages/failure.ts";
import { initOf } from "../../claude/messages/init.ts";
import { isAbout, isAboutOtherPrompt, lifecycleOf } from "../../claude/messages/lifecycle.ts";
import { type TurnResult, turnResultOf } from "../../claude/messages/turn-result.ts";
import type { ConversationFate } from "../../errors.ts";
import { publish } from "../../events.ts";
import { byModel, type ModelSpending, sumOf } from "../../journal/model/spending.ts";
import { factsOf, type SessionContext } from "../context/session-context.ts";
import type { SessionConversation } from "../context/session-conversation.ts";
import type { Signal } from "../context/session-signal.ts";
import { withoutStop } from "../context/turn-errors.ts";
import { readOutput } from "../options/output-schema.ts";
import { recordedMessage } from "../record/recorded-message.ts";
import type { CurrentTurn } from "../streams/current-turn.ts";
import { replyOf } from "../streams/reply.ts";
import type { TurnRecord } from "../streams/turn-record.ts";
import type { Hold } from "./hold.ts";
import type { Mailbox } from "./mailbox.ts";
import type { Steering } from "./steering.ts";
import type { TurnFailures } from "./turn-failures.ts";
import type { TurnStopping } from "./turn-stopping.ts";
import { decide, type Outcome, type TurnUndoing } from "./turn-undoing.ts";
import type { TurnWatches } from "./turn-watches.ts";
import type { TurnsAtWork } from "./turns-at-work.ts";

/** What reading messages needs besides the process's current turns. */
export interface TurnMessagesParts {
  readonly conversation: SessionConversation;
  readonly hold: Hold;
  readonly work: TurnsAtWork;
  readonly failures: TurnFailures;
  readonly stopping: TurnStopping;
  readonly undoing: TurnUndoing;
  readonly mailbox: Mailbox;
  readonly watches: TurnWatches;
  readonly steering: Steering;
}

/** Assigns the messages of a process to its turn, and ends the turn when its result arrives. */
export class TurnMessages {
  readonly #context: SessionContext;
  readonly #parts: TurnMessagesParts;
  readonly #signal: Signal;

  constructor(context: SessionContext, parts: TurnMessagesParts, signal: Signal) {
    this.#context = context;
    this.#parts = parts;
    this.#signal = signal;
  }

  /** Takes a message of the process. Returns whether it belongs to the current turn. */
  receive(message: SDKMessage): boolean {
    const { work, failures, steering } = this.#parts;
    if (lifecycleOf(message) !== undefined) work.announced();
    const { current } = work;
    const isOver = steering.take(message);
    const claimed = current !== undefined && this.#isOf(current, message);
    const unprompted = claimed ? undefined : work.unprompted.take(message, work.stage);
    const turnId = claimed ? current.record.id : unprompted?.record.id;
    publish("castellan:session:message", () => ({ ...factsOf(this.#context), turnId, message }));
    const { settings, journal } = this.#context;
    if (settings.recordMessages) journal.append(...recordedMessage(message, turnId));
    const fault = apiFaultOf(message);
    if (fault?.class === "quota") failures.holdForQuota(fault.until);
    if (fault?.class === "auth") failures.giveUp(unprompted ?? current, fault);
    if (unprompted !== undefined) {
      this.#record(unprompted.record, message);
      if (unprompted.record.ended) unprompted.record.progress.add(message);
      else unprompted.record.append(message);
    }
    const result = turnResultOf(message);
    if (isOver && current?.held !== undefined) this.#finish(current, current.held);
    if (!claimed) {
      if (result !== undefined) this.#finishUnprompted(result);
      return unprompted !== undefined;
    }
    const { record } = current;
    const failure = result?.failure(record.progress);
    const rerun = failures.runsAgain(current, failure);
    if (result !== undefined && !rerun && steering.continues(current, result)) {
      current.held = result;
      current.spent.push(...this.#spent(result, record));
      this.#record(record, message);
      record.append(message);
      return true;
    }
    const waits = failures.isStillUnpaid(current, failure) || failures.isPostponed(current, failure);
    if (result !== undefined && !rerun && waits) {
      this.#putBack(current, result);
      return true;
    }
    this.#record(record, message);
    // The result of an attempt that is repeated does not belong to the turn.
    if (record.ended || rerun) record.progress.add(message);
    else record.append(message);
    if (record.progress.touched) this.#touch(current);
    if (rerun && result !== undefined) this.#spent(result, record);
    else if (result !== undefined) this.#finish(current, result);
    return true;
  }

  /**
   * Records that a tool is about to run. Resolves once that is durable, so that the turn never counts as untouched
   * after a crash.
   */
  async toolBegins(): Promise<void> {
    const { work } = this.#parts;
    const current = work.unprompted.busy ? undefined : work.current;
    work.unprompted.current?.record.progress.touch();
    if (current === undefined) return;
    current.record.progress.touch();
    this.#touch(current);
    await this.#context.journal.caughtUp(current.record);
  }

  /** Whether a message belongs to the running turn. The turn begins with its first message. */
  #isOf(current: CurrentTurn, message: SDKMessage): boolean {
    if (current.end !== undefined) return false;
    if (!current.begun) {
      const initiated = !this.#parts.work.announces && initOf(message) !== undefined;
      if (!initiated && !isAbout(message, current.uuid)) return false;
      current.begun = true;
      if (current.stopping !== undefined) this.#parts.stopping.begun(current);
      else this.#parts.steering.begun(current);
    }
    const { steers, progress } = current.record;
    return (
      !isAboutOtherPrompt(message, (id) => id === current.uuid || steers.isKnownAs(id)) && !progress.isForeign(message)
    );
  }

  /** Records the blocks that a message adds to its turn. After the turn's end, only its tools still matter. */
  #record({ id: turnId, ended, blocks }: TurnRecord, message: SDKMessage): void {
    const drafts = blocks.read(message, { withDeltas: this.#context.journal.record.readers > 0 });
    const wanted = ended ? drafts.filter(({ type }) => type === "tool_use" || type === "tool_result") : drafts;
    this.#context.journal.recordBlocks(wanted, turnId);
  }

  /** Records, once, that Claude has begun to answer or to act. */
  #touch(current: CurrentTurn): void {
    if (current.touched) return;
    current.touched = true;
    this.#context.journal.touched(current.record);
  }

  #finish(current: CurrentTurn, result: TurnResult): void {
    const { conversation, work, undoing } = this.#parts;
    const { record } = current;
    if (result !== current.held) current.spent.push(...this.#spent(result, record));
    const models = byModel(current.spent);
    record.costUsd = sumOf(models).costUsd;
    const undoneCommand = result.commandFailure(record.progress);
    const failure = result.failure(record.progress) ?? undoneCommand;
    // A stopped command reports a failure.
    const interrupted = result.interrupted || (undoneCommand !== undefined && current.stopping !== undefined);
    const outcome = { result, failure, interrupted };
    const end = (fate: ConversationFate): void => {
      record.conversation = fate;
      this.#end(current, outcome, models);
      if (fate === "cut_back") this.#signal({ type: "cut_back", why: withoutStop(failure?.message ?? "") });
    };
    const decision = decide(current, outcome);
    if (decision.fate === "kept") {
      conversation.take({ type: "turn_kept", lastUuid: record.progress.lastUuid });
      work.over(() => end("kept"));
    } else if (failure?.class === "auth") {
      // The process is ended either way.
      conversation.take({ type: "turn_undone", freshId: this.#context.newId() });
      work.retire();
      work.over(() => end(decision.fate));
    } else undoing.takeOut(current, decision, end);
  }

  /** Ends a caller's turn with its result. */
  #end(current: CurrentTurn, { result, failure, interrupted }: Outcome, models: readonly ModelSpending[]): void {
    const { hold, failures } = this.#parts;
    const { record, since } = current;
    const { answer } = result;
    if (interrupted || failure !== undefined || answer === undefined) {
      failures.end(current, { interrupted, failure });
      return;
    }
    hold.succeeded();
    const durationMs = this.#context.clock.monotonic() - since;
    // A built-in command such as `/compact` returns no structured data.
    const reader = answer.command === undefined ? record.output : undefined;
    const read = readOutput(answer.data, reader);
    if ("structured" in read) {
      const { model } = record.progress;
      record.complete(replyOf(answer, { id: record.id, model, models, durationMs, ...read }), answer.data);
    }
    if ("problem" in read)
      failures.fail(current, { class: "turn", message: `the answer does not match the schema: ${read.problem}` });
  }

  /** Handles a result that answers no caller: that of a turn Claude Code began by itself. */
  #finishUnprompted(result: TurnResult): void {
    const { conversation, hold, work, failures } = this.#parts;
    const { current } = work.unprompted;
    const models = this.#spent(result, current?.record);
    if (current === undefined) return;
    const { record, since } = current;
    record.costUsd = sumOf(models).costUsd;
    const failure = result.failure(record.progress);
    const { touched, lastUuid, compaction, model } = record.progress;
    // The event that began it stays in the conversation, even if Claude had not begun to answer, because Claude has to
    // know it.
    const { interrupted } = result;
    const cutBack = touched && decide(current, { result, failure, interrupted }).fate === "cut_back";
    if (cutBack) {
      conversation.take({ type: "turn_undone", freshId: this.#context.newId(), summary: compaction?.summary });
      work.retireStale();
      this.#signal({ type: "cut_back", why: withoutStop(failure?.message ?? "") });
    } else conversation.take({ type: "turn_kept", lastUuid });
    record.conversation = cutBack ? "cut_back" : "kept";
    const { answer } = result;
    if (interrupted || failure !== undefined || answer === undefined) {
      failures.end(current, { interrupted, failure });
    } else {
      hold.succeeded();
      const durationMs = this.#context.clock.monotonic() - since;
      record.complete(replyOf(answer, { id: record.id, model, models, durationMs, structured: undefined }));
    }
    work.unprompted.end();
  }

  /** Returns a turn to the mailbox and removes it from the conversation, as if it had never been sent. */
  #putBack(current: CurrentTurn, result: TurnResult): void {
    const { failures, undoing, mailbox, watches } = this.#parts;
    const { record } = current;
    const failure = result.failure(record.progress) ?? { class: "billing", message: "the account cannot pay" };
    this.#spent(result, record);
    undoing.takeOut(current, { fate: "undone", suspect: false }, (fate) => {
      if (fate === "kept" || record.ended) {
        record.conversation = fate;
        failures.fail(current, failure);
        return;
      }
      failures.hold(failure);
      record.putBack();
      record.refusals += 1;
      mailbox.putFirst(record);
      this.#context.journal.putBack(record, reasonOf(failure));
      watches.putBack(record);
    });
  }

  /** Returns what a result adds to the costs, and records it. */
  #spent(result: TurnResult, record: TurnRecord | undefined): readonly ModelSpending[] {
    const { conversation } = this.#parts;
    const models = result.spentSince(conversation.totals);
    conversation.totals = result.totals;
    this.#context.journal.spent(models, record?.id);
    this.#signal({ type: "spent", models });
    return models;
  }
}

/** Returns why the API refused a turn that waits again. */
function reasonOf({ class: why }: TurnFailure): "unpaid" | "quota" | "overload" {
  return why === "quota" || why === "overload" ? why : "unpaid";
}
