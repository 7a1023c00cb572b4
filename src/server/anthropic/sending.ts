import type { SessionInfo } from "../../application/finding.ts";
import type { Clock } from "../../clock.ts";
import { withDeadline } from "../../deadline.ts";
import { CastellanError } from "../../errors.ts";
import { withoutUndefined } from "../../fields.ts";
import { formatName } from "../../names.ts";
import type { PromptBlock } from "../../session/options/prompt-block.ts";
import type { RecordedEvent } from "../../session/record/session-event-types.ts";
import { RequestError } from "../http/request-error.ts";
import { dollarsOf } from "./budget.ts";
import { customToolName, inputWith } from "./client-tools.ts";
import { toolUseOf } from "./event-state.ts";
import { EventIds } from "./ids.ts";
import { noteOf } from "./notes.ts";
import type { ClientEvent, ClientMessage } from "./requests.ts";
import { type EventMark, hasMark, isMark, markedMetadata, type RequestIdentity, retrySince } from "./retries.ts";
import type { PortApproval, SessionPort } from "./session-port.ts";
import { storedIn } from "./stored-session.ts";

/** A request that sends events to a session. */
export interface Sending {
  readonly port: SessionPort;
  readonly info: SessionInfo;
  readonly clock: Clock;
  readonly identity: RequestIdentity;
  /** Who sends. */
  readonly by: string;
  /** Returns what the session has spent, in US dollars. */
  readonly spent: () => Promise<number>;
}

/** How many of the latest turns, notes and answers to search for those of an earlier request. */
const LOOK_BACK = 100;

/** How long a request waits for the end of a turn that it interrupts. The turn is stopped in any case. */
const INTERRUPT_MS = 10_000;

type Answer = Extract<ClientEvent, { type: "user.tool_confirmation" | "user.custom_tool_result" }>;

/**
 * Carries out the events of a request in order, and returns them with their ids. What an earlier, identical request has done is
 * not done again. Checks all answers before it does anything.
 *
 * @throws RequestError `UNSUPPORTED`, `MALFORMED_REQUEST`; CastellanError what `Session.enqueue` throws
 */
export async function sendEvents(sending: Sending, events: readonly ClientEvent[]): Promise<object[]> {
  const answers = new Answers(sending);
  for (const event of events) if (isAnswer(event)) await answers.check(event);
  const sent: object[] = [];
  for (const [index, event] of events.entries()) sent.push(await sendEvent(sending, answers, event, index));
  return sent;
}

async function sendEvent(sending: Sending, answers: Answers, event: ClientEvent, index: number): Promise<object> {
  const { identity, clock } = sending;
  const mark = { request: identity.digest, index };
  switch (event.type) {
    case "user.message":
      return { id: await sendMessage(sending, event, mark), ...event, processed_at: null };
    case "user.interrupt":
      return { id: await interrupt(sending, event, mark), type: event.type, processed_at: null };
    default:
      return { id: await answers.give(event), ...event, processed_at: new Date(clock.now()).toISOString() };
  }
}

function isAnswer(event: ClientEvent): event is Answer {
  return event.type === "user.tool_confirmation" || event.type === "user.custom_tool_result";
}

/** Begins a turn, unless an earlier request has. Returns the id of the message. */
async function sendMessage(sending: Sending, message: ClientMessage, mark: EventMark): Promise<string> {
  const { port, identity, by, clock } = sending;
  const { session } = port;
  const ids = new EventIds(port.name);
  if (identity.isRetry && identity.key === undefined) {
    const earlier = (await session.turns({ limit: LOOK_BACK })).find(
      ({ metadata, acceptedAt }) => acceptedAt >= retrySince(clock) && hasMark(metadata, mark),
    );
    if (earlier !== undefined) return ids.message(earlier.id);
  }
  await refuseOverBudget(sending);
  const turnId = await session.enqueue(promptOf(message), {
    // A session that steers or replaces turns would begin none.
    whenBusy: "enqueue",
    by,
    metadata: markedMetadata(mark),
    ...(identity.key !== undefined && { idempotencyKey: `managed_agents:${identity.key}:${mark.index}` }),
  });
  if (identity.key !== undefined) {
    const turn = await session.turn(turnId);
    if (turn !== undefined && !hasMark(turn.metadata, mark)) {
      throw new RequestError("UNSUPPORTED", "The `Idempotency-Key` was used before, for a request with another body.");
    }
  }
  return ids.message(turnId);
}

/** @throws CastellanError `BUDGET_EXCEEDED` */
async function refuseOverBudget({ info, spent }: Sending): Promise<void> {
  const { budget } = storedIn(info.metadata);
  if (budget === undefined) return;
  const [limitUsd, spentUsd] = [dollarsOf(budget), await spent()];
  if (spentUsd < limitUsd) return;
  const message = `Session ${formatName(info.name)} has a budget of $${limitUsd} and has spent $${spentUsd.toFixed(4)}. Raise the budget to go on.`;
  throw new CastellanError("BUDGET_EXCEEDED", message, { details: { scope: "session", limitUsd, spentUsd } });
}

/** Returns the prompt of a message: a text, if it is nothing else. */
function promptOf({ content }: ClientMessage): string | readonly PromptBlock[] {
  const [first] = content;
  if (content.length === 1 && first?.type === "text") return first.text;
  // The library checks the media types.
  return content.map((block) => withoutUndefined(block)) as readonly PromptBlock[];
}

/** Interrupts the running turn, unless an earlier request has. Returns the id of the event. */
async function interrupt(
  { port, identity, by, clock }: Sending,
  { session_thread_id: thread }: Extract<ClientEvent, { type: "user.interrupt" }>,
  mark: EventMark,
): Promise<string> {
  const ids = new EventIds(port.name);
  if (thread !== null && thread !== undefined && thread !== ids.thread()) {
    throw new RequestError("UNSUPPORTED", "A single thread cannot be interrupted; interrupt the session.");
  }
  const { session } = port;
  if (identity.isRetry || identity.key !== undefined) {
    const notes = await session.pastEvents({ types: ["noted"], limit: LOOK_BACK });
    const earlier = notes.find(
      (event) => event.at >= retrySince(clock) && event.type === "noted" && isMark(event.data, mark),
    );
    if (earlier?.type === "noted") return ids.note(earlier.id);
  }
  const id = await session.note(noteOf({ kind: "interrupt" }, by, { ...mark }));
  await withDeadline(clock, INTERRUPT_MS, session.interrupt());
  return ids.note(id);
}

/** Gives the answers of a request to permission requests and custom tools. */
class Answers {
  readonly #sending: Sending;
  readonly #ids: EventIds;
  #pending: Promise<readonly PortApproval[]> | undefined;

  constructor(sending: Sending) {
    this.#sending = sending;
    this.#ids = new EventIds(sending.port.name);
  }

  /** @throws RequestError `UNSUPPORTED` if nothing waits for the answer, and an earlier request has not given it */
  async check(answer: Answer): Promise<void> {
    await this.#find(answer);
  }

  /** Gives an answer, unless an earlier request has. Returns the id of the event. */
  async give(answer: Answer): Promise<string> {
    const { by } = this.#sending;
    const found = await this.#find(answer);
    if (!("approve" in found)) return this.#ids.answer(found.id);
    const isFirst =
      answer.type === "user.custom_tool_result"
        ? await found.approve({
            by,
            input: inputWith({ content: jsonOf(answer.content), is_error: answer.is_error ?? false }),
          })
        : answer.result === "allow"
          ? await found.approve({ by })
          : await found.deny(answer.deny_message ?? undefined, { by });
    if (isFirst) return this.#ids.answer(found.id);
    throw new RequestError("UNSUPPORTED", `\`${idOf(answer)}\` has been answered.`);
  }

  /** Returns what waits for the answer, or the record of the same answer of an earlier request. */
  async #find(answer: Answer): Promise<PortApproval | { readonly id: string }> {
    const { port, identity } = this.#sending;
    const eventId = idOf(answer);
    const toolUseId = this.#ids.toolUseOf(eventId);
    if (toolUseId !== undefined) {
      this.#pending ??= port.approvals();
      const pending = (await this.#pending).find((one) => toolUseOf(one) === toolUseId);
      if (pending !== undefined) return fitting(pending, answer);
      const settled =
        identity.isRetry || identity.key !== undefined ? await this.#settled(toolUseId, answer) : undefined;
      if (settled !== undefined) return settled;
    }
    const message = `Nothing waits for an answer to \`${eventId.slice(0, 200)}\`. It may have been answered, or withdrawn with its turn.`;
    throw new RequestError("UNSUPPORTED", message);
  }

  async #settled(toolUseId: string, answer: Answer): Promise<{ readonly id: string } | undefined> {
    const past = await this.#sending.port.session.pastEvents({ types: ["approval_settled"], limit: LOOK_BACK });
    const outcome = answer.type === "user.tool_confirmation" && answer.result === "deny" ? "denied" : "approved";
    const isSame = (event: RecordedEvent): event is Extract<RecordedEvent, { type: "approval_settled" }> =>
      event.type === "approval_settled" && toolUseOf(event) === toolUseId && event.outcome === outcome;
    return past.find(isSame);
  }
}

function idOf(answer: Answer): string {
  return answer.type === "user.tool_confirmation" ? answer.tool_use_id : answer.custom_tool_use_id;
}

/** @throws RequestError `UNSUPPORTED` if the answer is of the wrong type */
function fitting(approval: PortApproval, { type }: Answer): PortApproval {
  const isCustom = customToolName(approval.tool) !== undefined;
  if (isCustom === (type === "user.custom_tool_result")) return approval;
  const wanted = isCustom ? "`user.custom_tool_result`" : "`user.tool_confirmation`";
  throw new RequestError("UNSUPPORTED", `The tool call waits for ${wanted}.`);
}

function jsonOf(content: readonly object[]): ReturnType<typeof JSON.parse> {
  return JSON.parse(JSON.stringify(content));
}
