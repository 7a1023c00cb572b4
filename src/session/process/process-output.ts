import type { PermissionUpdate, SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { Activation } from "../../claude/activation.ts";
import { backgroundTasksOf } from "../../claude/messages/background-tasks.ts";
import { initOf } from "../../claude/messages/init.ts";
import { isProgressReport } from "../../claude/messages/lifecycle.ts";
import { answerIdOf } from "../../claude/messages/tools.ts";
import { turnResultOf } from "../../claude/messages/turn-result.ts";
import { type Wakeup, Wakeups } from "../../claude/messages/wakeups.ts";
import { transcriptLoss } from "../../claude/messages/write-loss.ts";
import { scheduleDeadline } from "../../claude/patience.ts";
import { reportedModeOf } from "../../claude/permission-mode.ts";
import type { TranscriptSource } from "../../claude/transcripts.ts";
import { formatDuration } from "../../duration.ts";
import type { SessionContext } from "../context/session-context.ts";
import type { SessionConversation } from "../context/session-conversation.ts";
import type { SessionView } from "../context/session-view.ts";
import { hasLess } from "../conversation/granted.ts";
import type { SessionSettings } from "../options/session-settings.ts";
import type { RunningTask } from "../status/session-event.ts";
import { wakeupsLost } from "../status/session-fault.ts";
import { BackgroundTasks } from "./background-tasks.ts";
import { McpWatch } from "./mcp-watch.ts";
import { environmentOf } from "./process-starter.ts";
import { TranscriptWatch } from "./transcript-watch.ts";

/** How long a background task may take to end after it was told to. */
const TASK_END_MS = 5_000;

/**
 * What a process tells besides its turns: background tasks, scheduled turns, the permission mode, MCP servers; and whether its
 * transcript has what it tells.
 */
export class ProcessOutput {
  readonly #context: SessionContext;
  readonly #conversation: SessionConversation;
  readonly #view: SessionView;
  readonly #tasks: BackgroundTasks;
  readonly #transcript: TranscriptWatch;
  /** The turns that Claude has scheduled for itself. */
  readonly #wakeups: Wakeups;
  #activation: Activation | undefined;
  #servers: McpWatch | undefined;
  #lastSignOfLife: number | undefined;

  constructor(context: SessionContext, conversation: SessionConversation, view: SessionView) {
    this.#context = context;
    this.#conversation = conversation;
    this.#view = view;
    this.#wakeups = new Wakeups(context.clock);
    this.#tasks = new BackgroundTasks(context, (task) => void this.#stopTask(task));
    this.#transcript = new TranscriptWatch(context.clock, {
      source: () => this.#transcriptSource,
      conversationId: () => conversation.now.id,
      lost: (why) => {
        conversation.take({ type: "unwritten" });
        view.fault({ ...transcriptLoss(why), at: context.clock.now() });
      },
    });
  }

  /** When a process last said anything. */
  get lastSignOfLife(): number | undefined {
    return this.#lastSignOfLife;
  }

  /** The background tasks that run. */
  get tasks(): readonly RunningTask[] {
    return this.#tasks.all;
  }

  /** The turns that Claude has scheduled for itself, and for which its process has to stay. */
  get wakeups(): readonly Wakeup[] {
    return this.#wakeups.armed;
  }

  /** The process is up. What it said in its handshake has been received before. */
  attach(activation: Activation): void {
    this.#activation = activation;
    this.#servers = new McpWatch(
      () => activation.mcpServers(),
      this.#context.clock,
      (servers) => this.#view.sees(servers),
    );
    if (mayHaveServers(this.#context.settings.sdk) || this.#view.faults.length > 0) this.lookAtServers();
  }

  /** The process is gone, and with it what it worked on and kept. */
  detach(): void {
    this.#servers?.stop();
    this.#servers = undefined;
    this.#activation = undefined;
    this.#tasks.changed([]);
    this.#transcript.stop();
    this.#view.processGone();
    this.#wakeups.lost();
  }

  /** Goes on with changed settings. */
  relimit(): void {
    this.#tasks.relimit();
  }

  /** Whether the message belongs to nothing that callers see besides what is told of it here. */
  receive(message: SDKMessage): boolean {
    this.#lastSignOfLife = this.#context.clock.now();
    const tasks = backgroundTasksOf(message);
    if (tasks !== undefined) this.#tasks.changed(tasks);
    const uuid = answerIdOf(message);
    if (uuid !== undefined) this.#transcript.said(uuid);
    if (this.#tellsOfServers(message)) this.lookAtServers();
    const mode = reportedModeOf(message);
    if (mode !== undefined) this.#conversation.reportMode(mode);
    if (this.#wakeups.receive(message)) {
      this.#conversation.wakeups = this.wakeups;
      this.#conversation.save();
    }
    return isProgressReport(message);
  }

  /** A turn has ended with this message, which has to be in the transcript. */
  turnKept(lastUuid: string): void {
    this.#transcript.ended(lastUuid);
  }

  /** The process that kept the scheduled turns of the conversation is gone. */
  wakeupsLost(): void {
    const { wakeups } = this.#conversation;
    if (wakeups.length === 0) return;
    this.#conversation.wakeups = [];
    this.#conversation.save();
    this.#view.fault(wakeupsLost(wakeups, this.#context.clock.now()));
  }

  /** The MCP servers may do otherwise than before. */
  lookAtServers(): void {
    void this.askServers().catch(ignore);
  }

  /** @throws CastellanError `CONTROL_TIMEOUT`, `CONTROL_FAILED` */
  async askServers(): Promise<void> {
    await this.#servers?.look();
  }

  /** Keeps what an answer to the process grants. A process that holds what that takes back is told so first. */
  async granted(updates: readonly PermissionUpdate[]): Promise<void> {
    const before = this.#conversation.granted;
    this.#conversation.grant({ type: "approved", updates });
    const { granted } = this.#conversation;
    if (!hasLess(before, granted)) return;
    try {
      await this.#activation?.permit(granted);
    } catch {
      const message = "it did not take back a permission that it had been given";
      void this.#activation?.kill({ class: "crash", message });
    }
  }

  /** Ends a background task that has run for too long. A process that does not get it to end goes with it. */
  async #stopTask(task: RunningTask): Promise<void> {
    const activation = this.#activation;
    if (activation === undefined) return;
    this.#view.tell({ type: "background_task_stopped", task });
    await activation.request("stopTask", task.id).catch(() => {});
    scheduleDeadline(
      this.#context.clock,
      TASK_END_MS,
      () => {
        const message = `a background task did not end within ${formatDuration(TASK_END_MS)} of being told to`;
        if (this.#activation === activation && this.#tasks.has(task.id))
          void activation.kill({ class: "stalled", message });
      },
      { background: true },
    );
  }

  /** Where the process writes its transcript, if there is one and that is on this machine. */
  get #transcriptSource(): TranscriptSource | undefined {
    const { settings } = this.#context;
    const { sessionStore, spawnClaudeCodeProcess } = settings.sdk;
    const isHere = sessionStore === undefined && spawnClaudeCodeProcess === undefined;
    const writes = isHere && this.#activation?.ending === false;
    return writes ? { sdk: settings.sdk, environment: environmentOf(settings) } : undefined;
  }

  /** Whether `message` names an unknown server, or ends a turn, which may have used one. */
  #tellsOfServers(message: SDKMessage): boolean {
    const known = this.#view.servers;
    if (turnResultOf(message) !== undefined) return known.length > 0;
    const named = initOf(message)?.servers ?? [];
    return named.some((name) => known.every((server) => server.name !== name));
  }
}

/** Whether a process with these options can have MCP servers before its first turn tells of them. */
function mayHaveServers({ mcpServers = {}, settingSources = [], plugins = [] }: SessionSettings["sdk"]): boolean {
  return Object.keys(mcpServers).length > 0 || settingSources.length > 0 || plugins.length > 0;
}

/** A process that does not answer is found out by others. */
function ignore(): void {}
