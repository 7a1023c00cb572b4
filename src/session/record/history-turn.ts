import { withoutUndefined } from "../../fields.ts";
import { questionsIn } from "./approval-questions.ts";
import type {
  HistoryApproval,
  HistoryApprovalPart,
  HistoryGap,
  HistoryPart,
  HistorySteer,
  HistoryText,
  HistoryTool,
  HistoryTurn,
} from "./history-entry.ts";
import type { RecordedEvent } from "./session-event-types.ts";

type EventOf<Type extends RecordedEvent["type"]> = Extract<RecordedEvent, { readonly type: Type }>;
type Writable<Part> = { -readonly [Field in keyof Part]: Part[Field] };
type Approval = Writable<HistoryApproval>;
interface Tool extends Omit<Writable<HistoryTool>, "approvals" | "parts"> {
  readonly approvals: Approval[];
  readonly parts: Part[];
}
type Part = HistoryText | Tool | HistoryApprovalPart | Writable<HistorySteer> | HistoryGap;

/**
 * Folds the events of a turn, in order, into what a person reads. Events of an attempt that was retried leave nothing but the messages to
 * the turn. Gaps stand where events are known to be missing.
 */
export function foldTurn(
  id: string,
  events: readonly (RecordedEvent | HistoryGap)[],
  { thinking }: { readonly thinking: boolean },
): HistoryTurn {
  const fold = new TurnFold(thinking);
  for (const event of events) fold.take(event);
  return fold.turn(id);
}

class TurnFold {
  readonly #thinking: boolean;
  #accepted: EventOf<"turn_accepted"> | undefined;
  #startedAt: number | undefined;
  #attempts = 0;
  #ended: EventOf<"turn_ended"> | undefined;
  #isRunning = false;
  readonly #retries: HistoryTurn["retries"][number][] = [];
  #parts: Part[] = [];
  #tools = new Map<string, Tool>();
  #approvals = new Map<string, Approval>();

  constructor(thinking: boolean) {
    this.#thinking = thinking;
  }

  take(event: RecordedEvent | HistoryGap): void {
    switch (event.type) {
      case "turn_accepted":
        this.#accepted = event;
        return;
      case "turn_started":
        this.#isRunning = true;
        this.#attempts = event.attempt;
        this.#startedAt ??= event.at;
        return;
      case "turn_retried":
        this.#isRunning = false;
        this.#retries.push({ reason: event.reason, at: event.at });
        this.#parts = this.#parts.filter(({ type }) => type === "steered");
        this.#tools = new Map();
        this.#approvals = new Map();
        return;
      case "turn_ended":
        this.#ended = event;
        if (event.cut === true) this.#miss({ type: "missing", reason: "not_kept" });
        return;
      case "missing":
        this.#miss(event);
        return;
      case "lost":
        this.#miss({ type: "missing", reason: "not_kept" });
        return;
      case "text":
      case "thinking":
        if (event.type === "thinking" && !this.#thinking) return;
        this.#write(event);
        return;
      case "tool_use":
        this.#call(event);
        return;
      case "tool_result": {
        const { output, failed, at } = event;
        const tool = this.#tools.get(event.toolUseId);
        if (tool === undefined) this.#begin();
        else tool.result = { output, failed, at };
        return;
      }
      case "approval_requested":
        this.#ask(event);
        return;
      case "approval_settled":
        this.#settle(event);
        return;
      case "steered": {
        const { id, text, by, at } = event;
        this.#parts.push({ type: "steered", id, text, at, ...withoutUndefined({ by }) });
        return;
      }
      case "steer_settled":
        for (const part of this.#parts)
          if (part.type === "steered" && part.id === event.id) part.outcome = event.outcome;
        return;
      default:
        return;
    }
  }

  turn(id: string): HistoryTurn {
    const { origin, prompt, blocks, promptKind, by, metadata } = this.#accepted ?? {};
    const { error, stopReason, command, structured, usage, costUsd, durationMs, model, conversation } =
      this.#ended ?? {};
    const parts: HistoryPart[] = this.#accepted === undefined ? [NOT_KEPT, ...this.#parts] : this.#parts;
    return {
      type: "turn",
      id,
      state: this.#ended?.state ?? (this.#isRunning ? "running" : "queued"),
      ...withoutUndefined({ origin, prompt, blocks, promptKind, by, metadata }),
      ...withoutUndefined({ acceptedAt: this.#accepted?.at, startedAt: this.#startedAt, endedAt: this.#ended?.at }),
      attempts: this.#attempts,
      retries: this.#retries,
      parts: parts.filter((part, index) => part.type !== "missing" || parts[index - 1]?.type !== "missing"),
      ...withoutUndefined({ error, stopReason, command, structured, usage, costUsd, durationMs, model, conversation }),
    };
  }

  /** Output without the start of its attempt is what remains of it. */
  #begin(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#miss(NOT_KEPT);
  }

  #miss(gap: HistoryGap): void {
    this.#parts.push(gap);
  }

  /** Adds a part to the subagent that it is of, or to the turn. The call of a subagent may be missing. */
  #add({ parent, at }: { readonly parent?: string; readonly at: number }, part: Part): void {
    this.#begin();
    const parts = parent === undefined ? this.#parts : (this.#tools.get(parent) ?? this.#missing(parent, at)).parts;
    parts.push(part);
  }

  /** Returns a call in the place of one that is missing. */
  #missing(id: string, at: number): Tool {
    const tool: Tool = { type: "tool", id, name: "", input: null, at, approvals: [], parts: [] };
    this.#tools.set(id, tool);
    this.#parts.push(tool);
    return tool;
  }

  #write(event: EventOf<"text" | "thinking">): void {
    const { type, text, block, cut, at } = event;
    this.#add(event, { type, text, block, at, ...withoutUndefined({ cut }) });
  }

  #call(event: EventOf<"tool_use">): void {
    const { id, name, input, message, at } = event;
    // A request for its permission may be recorded before it.
    const isOfCall = (part: Part): part is HistoryApprovalPart =>
      part.type === "approval" && this.#toolOf.get(part.approval) === id;
    const asked = this.#parts.filter(isOfCall);
    this.#parts = this.#parts.filter((part) => !isOfCall(part));
    const approvals = asked.map(({ approval }) => approval);
    const tool: Tool = { type: "tool", id, name, input, at, approvals, parts: [], ...withoutUndefined({ message }) };
    this.#tools.set(id, tool);
    this.#add(event, tool);
  }

  /** The tool calls of the requests that came before them. */
  readonly #toolOf = new Map<HistoryApproval, string>();

  #ask(event: EventOf<"approval_requested">): void {
    this.#begin();
    const { id, tool: name, toolUseId, input, title, reason, suggestions, expiresAt, at } = event;
    const rest = withoutUndefined({ title, reason, questions: questionsIn(name, input) });
    const approval: Approval = { id, tool: name, input, suggestions, expiresAt, at, ...rest };
    this.#approvals.set(id, approval);
    const tool = toolUseId === undefined ? undefined : this.#tools.get(toolUseId);
    if (tool !== undefined) {
      tool.approvals.push(approval);
      return;
    }
    if (toolUseId !== undefined) this.#toolOf.set(approval, toolUseId);
    this.#add(event, { type: "approval", approval });
  }

  #settle(event: EventOf<"approval_settled">): void {
    const { id, outcome, by, answers, message, cause, input: changedInput, at: settledAt } = event;
    const approval = this.#approvals.get(id);
    if (approval === undefined) return;
    Object.assign(approval, { outcome, settledAt, ...withoutUndefined({ by, answers, message, cause, changedInput }) });
  }
}

const NOT_KEPT: HistoryGap = { type: "missing", reason: "not_kept" };
