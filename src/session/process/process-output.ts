import type { PermissionUpdate, SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { Activation } from "../../claude/activation.ts";
import { type BackgroundTask, backgroundTasksOf } from "../../claude/messages/background-tasks.ts";
import { initOf } from "../../claude/messages/init.ts";
import { beginsSchedule, isProgressReport } from "../../claude/messages/lifecycle.ts";
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
import { hasDropped } from "../conversation/granted.ts";
import type { SessionSettings } from "../options/session-settings.ts";
import { wakeupEvents } from "../record/wakeup-events.ts";
import type { RunningTask } from "../status/running-task.ts";
import { wakeupsLost } from "../status/session-fault.ts";
import { BackgroundTasks } from "./background-tasks.ts";
import { McpWatch } from "./mcp-watch.ts";
import { environmentOf } from "./process-starter.ts";
import { TranscriptWatch } from "./transcript-watch.ts";

/** How long a background task may take to end after it was told to. */
const TASK_END_MS = 5_000;

/**
 * Follows what a process reports besides its turns: background tasks, scheduled turns, the permission mode and MCP
 * servers. Also checks that its transcript contains its output.
 */
export class ProcessOutput {
  readonly #context: SessionContext;
  readonly #conversation: SessionConversation;
  readonly #view: SessionView;
  /** Once the process has reported background tasks. */
  #tasks: BackgroundTasks | undefined;
  /** Once a message of the process was looked for. */
  #transcript: TranscriptWatch | undefined;
  /** The turns that Claude has scheduled for itself, once the process has sent a message. */
  #wakeups: Wakeups | undefined;
  #activation: Activation | undefined;
  #servers: McpWatch | undefined;
  #lastSignOfLife: number | undefined;

  constructor(context: SessionContext, conversation: SessionConversation, view: SessionView) {
    this.#context = context;
    this.#conversation = conversation;
    this.#view = view;
  }

  /** When a process last produced output. */
  get lastSignOfLife(): number | undefined {
    return this.#lastSignOfLife;
  }

  /** The running background tasks. */
  get tasks(): readonly RunningTask[] {
    return this.#tasks?.all ?? [];
  }

  /** The turns that Claude has scheduled for itself. The process has to stay for them. */
  get wakeups(): readonly Wakeup[] {
    return this.#wakeups?.armed ?? [];
  }

  /** Starts to follow a process that is up. The messages of its handshake came before. */
  attach(activation: Activation): void {
    this.#activation = activation;
    this.#servers = new McpWatch(
      () => activation.mcpServers(),
      this.#context.clock,
      (servers) => this.#view.updateServers(servers),
    );
    if (mayHaveServers(this.#context.settings.sdk) || this.#view.faults.length > 0) this.refreshServers();
  }

  /** Forgets the process's tasks and MCP servers, because it is gone. */
  detach(): void {
    this.#servers?.stop();
    this.#servers = undefined;
    this.#activation = undefined;
    this.#tasks?.changed([]);
    this.#tasks = undefined;
    this.#transcript?.stop();
    this.#transcript = undefined;
    this.#view.processGone();
    this.#wakeups = undefined;
  }

  /** Applies changed settings. */
  relimit(): void {
    this.#tasks?.relimit();
  }

  /** Takes a message. Returns whether callers see it only through what is reported here. */
  receive(message: SDKMessage): boolean {
    this.#lastSignOfLife = this.#context.clock.now();
    const tasks = backgroundTasksOf(message);
    if (tasks !== undefined) this.#changed(tasks);
    const uuid = answerIdOf(message);
    if (uuid !== undefined) this.#transcriptWatch.said(uuid);
    if (this.#tellsOfServers(message)) this.refreshServers();
    const mode = reportedModeOf(message);
    if (mode !== undefined) this.#conversation.reportMode(mode);
    this.#wakeups ??= new Wakeups(this.#context.clock);
    if (this.#wakeups.receive(message)) {
      const before = this.#conversation.wakeups;
      this.#context.journal.append(...wakeupEvents(before, this.wakeups, beginsSchedule(message)));
      this.#conversation.wakeups = this.wakeups;
      this.#conversation.save();
    }
    return isProgressReport(message);
  }

  /** Checks that the last message of a turn is in the transcript. */
  turnKept(lastUuid: string): void {
    void this.#transcriptWatch.ended(lastUuid);
  }

  /** Reports the lost wakeups of a conversation whose process is gone. */
  wakeupsLost(): void {
    const { wakeups } = this.#conversation;
    if (wakeups.length === 0) return;
    this.#conversation.wakeups = [];
    this.#context.journal.append(...wakeupEvents(wakeups, [], false));
    this.#conversation.save();
    this.#view.fault(wakeupsLost(wakeups, this.#context.clock.now()));
  }

  /** Polls the MCP servers, because their status may have changed. */
  refreshServers(): void {
    void this.pollServers().catch(ignore);
  }

  /** Polls the MCP servers. @throws CastellanError `CONTROL_TIMEOUT`, `CONTROL_FAILED` */
  async pollServers(): Promise<void> {
    await this.#servers?.poll();
  }

  /** Records what an approval grants. A process whose earlier grants that withdraws is told first. */
  async granted(updates: readonly PermissionUpdate[]): Promise<void> {
    const before = this.#conversation.granted;
    this.#conversation.grant({ type: "approved", updates });
    const { granted } = this.#conversation;
    if (!hasDropped(before, granted)) return;
    try {
      await this.#activation?.permit(granted);
    } catch {
      const message = "it did not withdraw a permission that it had been granted";
      void this.#activation?.kill({ class: "crash", message });
    }
  }

  /** Stops an overdue background task. If the process cannot end it, the process is killed. */
  async #stopTask(task: RunningTask): Promise<void> {
    const activation = this.#activation;
    if (activation === undefined) return;
    const { since: _, ...described } = task;
    this.#context.journal.append({ type: "task_overdue", task: described });
    await activation.request("stopTask", task.id).catch(() => {});
    scheduleDeadline(
      this.#context.clock,
      TASK_END_MS,
      () => {
        const message = `a background task did not end within ${formatDuration(TASK_END_MS)} of being told to`;
        if (this.#activation === activation && this.#tasks?.has(task.id) === true)
          void activation.kill({ class: "stalled", message });
      },
      { background: true },
    );
  }

  #changed(tasks: readonly BackgroundTask[]): void {
    this.#tasks ??= new BackgroundTasks(this.#context, (task) => void this.#stopTask(task));
    this.#tasks.changed(tasks);
  }

  get #transcriptWatch(): TranscriptWatch {
    this.#transcript ??= new TranscriptWatch(this.#context.clock, {
      source: () => this.#transcriptSource,
      conversationId: () => this.#conversation.now.id,
      lost: (why) => {
        this.#conversation.take({ type: "unwritten" });
        this.#view.fault({ ...transcriptLoss(why), at: this.#context.clock.now() });
      },
    });
    return this.#transcript;
  }

  /** The location of the process's transcripts, if there is a process and they are on this machine. */
  get #transcriptSource(): TranscriptSource | undefined {
    const { settings } = this.#context;
    const { sessionStore, spawnClaudeCodeProcess } = settings.sdk;
    const isHere = sessionStore === undefined && spawnClaudeCodeProcess === undefined;
    const writes = isHere && this.#activation?.ending === false;
    return writes ? { sdk: settings.sdk, environment: environmentOf(settings) } : undefined;
  }

  /** Whether `message` reports an unknown server, or ends a turn, which may have used a server. */
  #tellsOfServers(message: SDKMessage): boolean {
    const known = this.#view.servers;
    if (turnResultOf(message) !== undefined) return known.length > 0;
    const named = initOf(message)?.servers ?? [];
    return named.some((name) => known.every((server) => server.name !== name));
  }
}

/** Whether a process with these options may have MCP servers before its first turn reports them. */
function mayHaveServers({ mcpServers = {}, settingSources = [], plugins = [] }: SessionSettings["sdk"]): boolean {
  return Object.keys(mcpServers).length > 0 || settingSources.length > 0 || plugins.length > 0;
}

/** Liveness detects a process that does not answer. */
function ignore(): void {}
