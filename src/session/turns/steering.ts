import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { lifecycleOf, ownWorkOf } from "../../claude/messages/lifecycle.ts";
import type { TurnResult } from "../../claude/messages/turn-result.ts";
import { CastellanError, type SteerRefusal } from "../../errors.ts";
import type { SessionContext } from "../context/session-context.ts";
import type { PromptBlock } from "../options/prompt-block.ts";
import type { CurrentTurn } from "../streams/current-turn.ts";
import type { Steer } from "../streams/steers.ts";
import type { TurnRecord } from "../streams/turn-record.ts";
import type { Mailbox } from "./mailbox.ts";
import type { TurnsAtWork } from "./turns-at-work.ts";

/** How many messages a turn accepts. */
const MOST_STEERS = 100;

/**
 * Gives messages to turns that wait or run. Claude Code gives a message to the model together with the results of the
 * running tools. If the turn ends before that, it continues with the message, which therefore belongs to the same turn:
 * the turn ends with the result after the last message.
 */
export class Steering {
  readonly #context: SessionContext;
  readonly #work: TurnsAtWork;
  readonly #mailbox: Mailbox;

  constructor(context: SessionContext, work: TurnsAtWork, mailbox: Mailbox) {
    this.#context = context;
    this.#work = work;
    this.#mailbox = mailbox;
  }

  /** The caller's turn that runs and takes messages, if there is one. */
  get target(): TurnRecord | undefined {
    const record = this.#work.current?.record;
    return record !== undefined && this.#refusal(record) === undefined ? record : undefined;
  }

  /**
   * Gives a message to a turn; resolves once the journal has the message.
   *
   * @throws CastellanError `STEER_REFUSED`
   */
  async steer(record: TurnRecord, text: string, by: string | undefined): Promise<void> {
    const reason = this.#refusal(record);
    if (reason !== undefined) throw this.#refused(record, reason);
    const { newId, journal } = this.#context;
    const steer: Steer = { id: newId(), text, ...(by === undefined ? {} : { by }) };
    record.steers.add(steer);
    const written = journal.appendNow({ type: "steered", turnId: record.id, ...steer });
    const { current } = this.#work;
    if (current?.record === record) this.#send(current);
    await written;
  }

  /** Returns the prompt with which a turn begins: its own and the messages given to it since. */
  promptOf(record: TurnRecord, uuid: string): string | readonly PromptBlock[] {
    const { prompt, promptBlocks, promptKind, steers } = record;
    // The text of a command cannot be extended.
    if (promptKind === "command" || promptKind === "typed") return promptBlocks ?? prompt;
    const { waiting } = steers;
    for (const steer of waiting) steers.sent(steer, uuid);
    const texts = waiting.map(({ text }) => text);
    if (promptBlocks === undefined) return [prompt, ...texts].join("\n\n");
    return [...promptBlocks, ...texts.map((text): PromptBlock => ({ type: "text", text }))];
  }

  /** Takes a message of the process, before its turn does. Returns whether the held result now ends the turn. */
  take(message: SDKMessage): boolean {
    const { current } = this.#work;
    if (current === undefined || current.end !== undefined) return false;
    const { steers } = current.record;
    if (steers.count === 0) return false;
    const lifecycle = lifecycleOf(message);
    if (lifecycle !== undefined) {
      for (const { id } of steers.report(lifecycle.uuid, lifecycle.state))
        this.#context.journal.append({ type: "steer_settled", turnId: current.record.id, id, outcome: "read" });
    }
    // A process that is idle has dropped what it had taken in.
    return current.held !== undefined && steers.areTakenIn && ownWorkOf(message) === "idle";
  }

  /** Sends what waited for the turn to begin. */
  begun(current: CurrentTurn): void {
    this.#send(current);
  }

  /** Whether the process continues the turn after this result, with a message that the model has not got. */
  continues({ record, stopping }: CurrentTurn, result: TurnResult): boolean {
    return stopping === undefined && !record.ended && !result.interrupted && record.steers.outstanding.length > 0;
  }

  #send(current: CurrentTurn): void {
    if (!current.begun || current.stopping !== undefined) return;
    const { steers } = current.record;
    for (const steer of steers.waiting) {
      const uuid = this.#context.newId();
      steers.sent(steer, uuid);
      this.#work.activation?.steer(uuid, steer.text);
    }
  }

  /** Returns why a turn takes no message, or undefined. */
  #refusal(record: TurnRecord): SteerRefusal | undefined {
    if (record.ended) return "ended";
    if (record.origin !== "caller") return "unprompted";
    if (record.steers.count >= MOST_STEERS) return "too_many";
    const { current } = this.#work;
    if (current?.record !== record) return [...this.#mailbox].includes(record) ? undefined : "ended";
    if (current.stopping !== undefined || current.end !== undefined) return "stopping";
    return current.begun && !this.#work.announces ? "unsupported" : undefined;
  }

  #refused({ id }: TurnRecord, reason: SteerRefusal): CastellanError<"STEER_REFUSED"> {
    const message = `${this.#context.who}, turn ${id}: ${REFUSALS[reason]}`;
    return new CastellanError("STEER_REFUSED", message, { details: { turnId: id, reason } });
  }
}

const REFUSALS: Readonly<Record<SteerRefusal, string>> = {
  ended: 'the turn has ended. Send the message as a turn, or pass `afterEnd: "enqueue"`.',
  stopping: 'the turn is being stopped. Send the message as a turn, or pass `afterEnd: "enqueue"`.',
  unprompted: "Claude Code began the turn by itself, so it takes no messages. Send the message as a turn.",
  unsupported: "this Claude Code does not report what it reads. Update it, or send the message as a turn.",
  too_many: `the turn has got ${MOST_STEERS} messages, which is the most. Send the message as a turn.`,
};
