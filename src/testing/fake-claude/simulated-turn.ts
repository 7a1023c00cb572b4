import { randomUUID } from "node:crypto";
import type { HookEvent, PermissionResult, SDKMessage, SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";
import { withoutUndefined } from "../../fields.ts";
import { FakeAnswer } from "./fake-answer.ts";
import { describeApiError } from "./fake-api-error.ts";
import { isVerbatim, promptText } from "./fake-command.ts";
import type { FakeEntry } from "./fake-conversation.ts";
import { FakeHost } from "./fake-host.ts";
import {
  apiErrorMessage,
  compactingMessage,
  type FakeEcho,
  interruptedMessage,
  interruptedText,
  lifecycleMessage,
  notCompactedMessage,
  requestingMessage,
  retryMessage,
} from "./fake-messages.ts";
import type { FakeUnprompted } from "./fake-owner.ts";
import { type FakeResult, resultMessage } from "./fake-result.ts";
import { FakeToolUses, planTool, toolUseId } from "./fake-tool-use.ts";
import type { FakeApiError, FakeCrash, FakeProcess, FakeTextOptions, FakeToolOutcome, FakeTurn } from "./fake-turn.ts";
import type { WireObject } from "./fake-wire.ts";
import type { TurnContext } from "./turn-context.ts";

/** Thrown to a script that uses a turn after its end. */
export class FakeTurnOver extends Error {
  override readonly name = "FakeTurnOver";
}

/** The default length of a piece, in characters. */
const PIECE = 20;

interface Ending {
  readonly stopReason: string | null;
  /** The steps that an interrupt adds. */
  readonly moreSteps?: number;
  readonly apiError?: WireObject;
}

export class SimulatedTurn implements FakeTurn {
  readonly prompt: string;
  readonly verbatim: boolean;
  readonly message: SDKUserMessage;
  readonly index: number;
  readonly process: FakeProcess;
  readonly history: readonly FakeEntry[];
  readonly joined: string[] = [];
  /** The prompts with which the turn began. */
  readonly promptUuids: readonly string[];
  /** The prompts of callers, which the turn's messages name. */
  readonly callerUuids: readonly string[];
  /** The callbacks passed to `afterResult`. */
  readonly late: (() => void | Promise<void>)[] = [];
  readonly #claude: TurnContext;
  readonly #origin: FakeUnprompted["origin"] | undefined;
  readonly #host: FakeHost;
  readonly #answer: FakeAnswer;
  readonly #echo: FakeEcho;
  /** All prompts that the turn answers. */
  readonly #answered: string[];
  readonly #abort = new AbortController();
  readonly #startedAt = performance.now();
  readonly #tools: FakeToolUses;
  #over = false;

  /** `origin` is set for an unprompted turn. */
  constructor(
    claude: TurnContext,
    messages: readonly SDKUserMessage[],
    last: SDKUserMessage,
    index: number,
    origin?: FakeUnprompted["origin"],
  ) {
    this.#claude = claude;
    this.#origin = origin;
    this.process = claude.process;
    this.message = last;
    this.index = index;
    this.prompt = messages.map(promptText).join("\n");
    this.verbatim = messages.every(isVerbatim);
    this.history = claude.conversation.entries.slice();
    this.promptUuids = messages.map((message) => message.uuid ?? randomUUID());
    this.callerUuids = origin === undefined ? this.promptUuids : [];
    this.#answered = [...this.callerUuids];
    this.#echo =
      origin === undefined
        ? { user_message_uuid: this.promptUuids.at(-1) ?? "", user_message_uuids: this.#answered }
        : {};
    this.#host = new FakeHost(claude, this.signal);
    this.#answer = new FakeAnswer(
      {
        model: claude.settings.model,
        partialMessages: claude.settings.partialMessages,
        send: (message) => claude.send(message),
        onText: (uuid, text) => claude.conversation.append({ uuid, role: "assistant", text }),
      },
      this.#echo,
    );
    this.#tools = new FakeToolUses(claude, this.#host, this.#answer, this.signal, () => {
      this.interrupt(() => {});
      throw this.signal.reason;
    });
    messages.forEach((message, at) => {
      this.#appendPrompt(this.promptUuids[at] ?? "", message);
    });
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get over(): boolean {
    return this.#over;
  }

  /** Runs the part before the script: hooks, the `init` message, the first request to the model. */
  async begin(): Promise<void> {
    await this.hook("UserPromptSubmit", { prompt: this.prompt });
    this.#claude.send(this.#claude.settings.init(this.callerUuids));
    this.#announceRequest();
  }

  /** Sends the result after the script has returned, unless it has sent one. */
  async finish(): Promise<void> {
    if (!this.#over) await this.result();
  }

  /** Interrupts the turn. Calls `acknowledge` when the real process does: after it has withdrawn its requests, before it sends a message. */
  interrupt(acknowledge: () => void): void {
    if (this.#over) {
      acknowledge();
      return;
    }
    this.#over = true;
    const inTool = this.#tools.busy;
    const begun = this.#answer.apiMessageIds.length > 0;
    this.#abort.abort(new FakeTurnOver("the turn was interrupted"));
    acknowledge();
    const blockOpen = this.#answer.abort();
    this.#tools.interrupted();
    const uuid = this.#claude.send(interruptedMessage(inTool));
    this.#claude.conversation.append({ uuid, role: "user", text: interruptedText(inTool) });
    this.#answer.abandon(blockOpen);
    const stopReason = inTool ? "tool_use" : null;
    this.#end(
      {
        subtype: "error_during_execution",
        terminalReason: inTool ? "aborted_tools" : "aborted_streaming",
        errors: [`[ede_diagnostic] result_type=user last_content_type=n/a stop_reason=${stopReason}`],
        costUsd: begun ? this.#claude.costPerTurnUsd : 0,
      },
      { stopReason, moreSteps: inTool ? 2 : 1 },
    );
  }

  /** Ends the turn because the process has ended. */
  abandon(): void {
    this.#over = true;
    this.#abort.abort(new FakeTurnOver("the process has ended"));
  }

  text(text: string, options: FakeTextOptions = {}): Promise<void> {
    return this.#whileLive(() => this.#sendText("text", text, options.partials ?? true));
  }

  thinking(text: string): Promise<void> {
    return this.#whileLive(() => this.#sendText("thinking", text, true));
  }

  partial(text: string): Promise<void> {
    return this.#whileLive(async () => this.#answer.piece("text", text));
  }

  toolUse(name: string, input: WireObject, outcome: FakeToolOutcome = {}): Promise<string> {
    return this.#whileLive(async () => {
      const id = toolUseId();
      const plan = planTool(name, this.#claude.settings);
      await this.#tools.use({ id, name, input }, plan?.ask ?? outcome.ask ?? false, async () => {
        if (outcome.hang === true) await this.hang();
        if (plan !== undefined) return plan.run();
        return { content: outcome.result ?? "", isError: outcome.isError ?? false };
      });
      this.#joinQueued();
      this.#announceRequest();
      return id;
    });
  }

  callTool(server: string, tool: string, args: WireObject): Promise<WireObject> {
    return this.#whileLive(async () => {
      const id = toolUseId();
      let returned: WireObject = {};
      await this.#tools.use({ id, name: `mcp__${server}__${tool}`, input: args }, false, async () => {
        const answer = await this.#host.tool(server, tool, args, id);
        returned = answer.returned;
        return answer;
      });
      this.#joinQueued();
      this.#announceRequest();
      return returned;
    });
  }

  hook(event: HookEvent, input: WireObject = {}): Promise<WireObject[]> {
    return this.#whileLive(() => this.#host.hook(event, input));
  }

  askPermission(toolName: string, input: WireObject): Promise<PermissionResult> {
    return this.#whileLive(() => this.#tools.ask({ id: toolUseId(), name: toolName, input }));
  }

  async emit(message: SDKMessage | WireObject): Promise<void> {
    this.#claude.send({ ...message });
    await this.#claude.written();
  }

  async raw(data: string | Buffer): Promise<void> {
    this.process.write(typeof data === "string" ? `${data}\n` : data);
    await this.#claude.written();
  }

  result(result: FakeResult = {}): Promise<void> {
    return this.#whileLive(async () => {
      this.#answer.closeMessage("end_turn");
      await this.hook("Stop", {
        stop_hook_active: false,
        last_assistant_message: this.#answer.lastText,
        background_tasks: [],
        session_crons: [],
      });
      this.#throwIfOver();
      this.#over = true;
      this.#end({ text: this.#answer.lastText, ...result }, { stopReason: "end_turn" });
    });
  }

  fail(error: FakeApiError): Promise<void> {
    return this.#whileLive(async () => {
      const { retries = 0, status } = error;
      const report = describeApiError(error);
      this.#answer.closeMessage(null);
      for (let attempt = 1; attempt <= retries; attempt++) {
        this.#claude.send(retryMessage(attempt, retries, status, report.retryError));
      }
      if (report.compacted && this.history.length > 0) {
        this.#claude.send(compactingMessage());
        this.#claude.send(notCompactedMessage());
      }
      const uuid = randomUUID();
      this.#claude.send({ ...apiErrorMessage(report.text, report.error, report.facts, this.#echo), uuid });
      this.#claude.conversation.note(uuid, report.text);
      this.#over = true;
      this.#end(
        { text: report.text, isError: true, terminalReason: report.terminalReason, costUsd: 0 },
        { stopReason: "stop_sequence", apiError: report.facts },
      );
    });
  }

  crash(how: FakeCrash = {}): Promise<never> {
    this.process.crash(how);
    return this.hang();
  }

  exit(code: number): Promise<never> {
    return this.crash({ code });
  }

  hang(): Promise<never> {
    return this.#whileLive(
      () =>
        new Promise<never>((_, reject) => {
          this.signal.addEventListener("abort", () => reject(this.signal.reason), { once: true });
        }),
    );
  }

  afterResult(work: () => void | Promise<void>): void {
    this.late.push(work);
  }

  async #sendText(kind: "text" | "thinking", text: string, partials: boolean | number): Promise<void> {
    if (partials === false || text === "") this.#answer.appendUnstreamed(kind, text);
    else {
      const size = partials === true ? PIECE : Math.max(1, Math.ceil(text.length / partials));
      for (let at = 0; at < text.length; at += size) {
        this.#answer.piece(kind, text.slice(at, at + size));
        if (!this.#claude.full) continue;
        await this.#claude.written();
        this.#throwIfOver();
      }
    }
    this.#answer.closeBlock();
  }

  /** Joins prompts that arrived during a tool use to the turn, like the real process: they get no result of their own. */
  #joinQueued(): void {
    for (const message of this.#claude.takeQueued(({ priority }) => priority !== "later")) {
      const uuid = message.uuid ?? randomUUID();
      this.joined.push(promptText(message));
      this.#answered.push(uuid);
      this.#appendPrompt(uuid, message);
    }
  }

  #appendPrompt(uuid: string, message: SDKUserMessage): void {
    const asked = this.#origin === undefined;
    this.#claude.conversation.append({ uuid, role: "user", text: promptText(message), asked });
  }

  /** Announces a request to the model, like the real process only to a session that streams. */
  #announceRequest(): void {
    if (this.#claude.settings.partialMessages) this.#claude.send(requestingMessage(this.#answered));
  }

  #end(result: FakeResult, ending: Ending): void {
    const claude = this.#claude;
    const { costs } = claude.conversation;
    const said = this.history.reduce((sum, { text }) => sum + text.length, this.prompt.length);
    const usage = {
      inputTokens: result.usage?.inputTokens ?? Math.ceil(said / 4),
      outputTokens: result.usage?.outputTokens ?? Math.ceil(this.#answer.characters / 4),
      costUsd: result.costUsd ?? claude.costPerTurnUsd,
    };
    for (const uuid of this.#answered.slice(this.callerUuids.length)) claude.send(lifecycleMessage(uuid, "completed"));
    const isError = result.isError ?? (result.subtype ?? "success") !== "success";
    const turnUsage = isError && usage.costUsd === 0 ? {} : costs.add(claude.settings.model, usage);
    claude.send(
      resultMessage(result, {
        stopReason: ending.stopReason,
        steps: 1 + this.#tools.count + (ending.moreSteps ?? 0),
        ...withoutUndefined({ apiError: ending.apiError }),
        ...(this.#origin === "task" ? { origin: { kind: "task-notification", producer: "session-task" } } : {}),
        echo: this.#echo,
        startedAt: this.#startedAt,
        partialMessages: claude.settings.partialMessages,
        apiMessageIds: this.#answer.apiMessageIds,
        usage,
        totalCostUsd: costs.totalCostUsd,
        modelUsage: costs.modelUsage,
        turnUsage,
        denials: this.#tools.denials,
        queued: claude.queuedUuids.length,
        resultIndex: claude.nextResultIndex(),
      }),
    );
    claude.turnEnded(this, { isError, cancelled: isError && result.subtype !== "error_max_turns" });
  }

  #throwIfOver(): void {
    this.signal.throwIfAborted();
    if (this.#over) throw new FakeTurnOver("the turn is over");
  }

  /** Runs `work` in a live turn. A script may not await the promise, so its rejection counts as handled. */
  #whileLive<T>(work: () => Promise<T>): Promise<T> {
    const done = (async () => {
      this.#throwIfOver();
      const value = await work();
      await this.#claude.written();
      return value;
    })();
    done.catch(() => {});
    return done;
  }
}
