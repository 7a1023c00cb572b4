import type { UUID } from "node:crypto";
import type { Query, SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";
import type { Clock } from "../clock.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError, type ExitClass, type ExitRecord } from "../errors.ts";
import { ConversationInUse, type ConversationLock, lockConversation } from "./conversation-lock.ts";
import { buildEnvironment } from "./environment.ts";
import { missingKey } from "./launch.ts";
import { formatMarker, thisOwner } from "./marker.ts";
import type { McpServer } from "./mcp-servers.ts";
import { makeOwnDirectory } from "./own-directory.ts";
import { classOfFault } from "./passing-fault.ts";
import { scheduleDeadline } from "./patience.ts";
import { preflight } from "./preflight.ts";
import type { EndingStages } from "./process.ts";
import { AT_ONCE, messageOf, ProcessRun, type RunRequest, startError } from "./process-run.ts";
import { type Rewound, rewind } from "./rewind.ts";
import { transcriptPlaceOf } from "./transcript-place.ts";

/** How long a control request may take. The SDK sets no limit. */
export const CONTROL_MS = 10_000;

/** How long a process may take to forget a turn, which is a matter of milliseconds. Another process can do it too. */
const REWIND_MS = 2_000;

/** A live Claude Code process whose handshake is done. It knows nothing of names, mailboxes or restarts. */
export class Activation {
  readonly pid: number | undefined;
  /** Wall-clock time at which the handshake was done, in milliseconds since the epoch. */
  readonly startedAt: number;
  /** Resolves once, when the process is gone and its last message has been delivered. */
  readonly exited: Promise<ExitRecord>;
  readonly #run: ProcessRun;
  #lock: ConversationLock;
  #gone = false;

  private constructor(run: ProcessRun, lock: ConversationLock) {
    this.#run = run;
    this.#lock = lock;
    this.pid = run.process?.pid;
    this.startedAt = run.clock.now();
    // While it is looked for what the process left behind: that writes no transcripts.
    const released = (run.process?.exited ?? run.exited).then(async () => {
      this.#gone = true;
      await this.#lock.release();
    });
    this.exited = Promise.all([run.exited, released]).then(([exit]) => exit);
  }

  /**
   * Starts a process and waits for its handshake.
   *
   * @throws CastellanError `CLAUDE_NOT_FOUND` or `START_FAILED`, with the exit and its class in `details`. No process is
   * left behind.
   */
  static async start(request: RunRequest, clock: Clock): Promise<Activation> {
    await refuseWhatCannotRun(request, clock);
    const lock = await lockOf(request, request.conversation.id).catch((error: unknown) => {
      const exit = { class: classOfLockFault(error), message: messageOf(error) };
      throw startError("START_FAILED", request.host.who, clock, exit, error);
    });
    try {
      const run = await ProcessRun.begin(request, clock);
      const up = run.handshake().then(() => run.awaitServers());
      await up.catch(async (error: unknown) => {
        throw await run.failure(error);
      });
      return new Activation(run, lock);
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** The process has gone on in another conversation, which has to be nobody else's either; otherwise it is killed. */
  async moved(id: string): Promise<void> {
    try {
      const lock = await lockOf(this.#run.request, id);
      const before = this.#lock;
      this.#lock = lock;
      await before.release();
      if (this.#gone) await lock.release();
    } catch (error) {
      const message = `Claude Code went on elsewhere: ${messageOf(error)}`;
      await this.kill({ class: classOfLockFault(error), message });
    }
  }

  /**
   * Hands a prompt to the process. `uuid` is its id in the transcript, and in the messages that answer it. A prompt that is not
   * `verbatim` is taken as typed: Claude Code reads in files that it names, and runs commands. One that comes while Claude Code works on
   * something that it began by itself waits, instead of becoming part of that.
   */
  send(uuid: string, prompt: string, verbatim: boolean): void {
    const message = { role: "user" as const, content: prompt };
    this.#run.input.push({
      type: "user",
      message,
      parent_tool_use_id: null,
      priority: "later",
      uuid: uuid as UUID,
      ...(verbatim ? { client_composed: true as const } : {}),
    } satisfies SDKUserMessage);
  }

  /** Asks the process to stop its turn; the turn's result follows as a message. */
  interrupt(): Promise<void> {
    return this.control("interrupt", async (sdk) => {
      await sdk.interrupt();
    });
  }

  /** Takes a prompt back that the process has not begun with. Whether it did so; not if it has begun, or does not answer. */
  async withdraw(uuid: string): Promise<boolean> {
    return await this.control("cancel_async_message", async (sdk) =>
      takesPromptsBack(sdk) ? await sdk.cancelAsyncMessage(uuid) : false,
    ).catch(() => false);
  }

  /** Takes a prompt, and all that followed on it, out of what the process remembers. Waits for no longer than two seconds. */
  async rewind(uuid: string): Promise<Rewound> {
    const request = this.control("rewind_conversation", (sdk) => rewind(sdk, uuid), REWIND_MS);
    return await request.catch(() => "refused" as const);
  }

  /**
   * Sends a control request.
   *
   * @throws CastellanError `CONTROL_TIMEOUT` after `limitMs`, `CONTROL_FAILED` if the process refuses or dies.
   */
  async control<Answer>(
    what: string,
    request: (sdk: Query) => Promise<Answer>,
    limitMs: number = CONTROL_MS,
  ): Promise<Answer> {
    const { query: sdk, clock, who } = this.#run;
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = scheduleDeadline(clock, limitMs, () => {
      const message = `${who}: Claude Code did not answer "${what}" within ${formatDuration(limitMs)}.`;
      reject(new CastellanError("CONTROL_TIMEOUT", message));
    });
    try {
      return await Promise.race([request(sdk), late]);
    } catch (error) {
      if (error instanceof CastellanError) throw error;
      throw new CastellanError("CONTROL_FAILED", `${who}: "${what}" failed: ${messageOf(error)}`, { cause: error });
    } finally {
      timer.cancel();
    }
  }

  /** What its process, and all that descends from it, carries in the environment. */
  get marker(): string {
    return formatMarker(thisOwner(), this.#run.request.id);
  }

  /** A digest of that with which its process authenticates. */
  get credentials(): string {
    return this.#run.credentials;
  }

  /** Whether it is being ended, or is gone; then nothing should be handed to it. */
  get ending(): boolean {
    return this.#gone || this.#run.expected || this.#run.found !== undefined;
  }

  /** How many callbacks of the application the process waits for. */
  get hostCalls(): number {
    return this.#run.hostCalls.pending;
  }

  /**
   * Asks the process for a sign of life, which costs no tokens.
   *
   * @throws CastellanError `CONTROL_TIMEOUT`, `CONTROL_FAILED`
   */
  async ping(limitMs: number): Promise<void> {
    await this.control("mcp_status", (sdk) => sdk.mcpServerStatus(), limitMs);
  }

  /**
   * Its MCP servers, and how they do.
   *
   * @throws CastellanError `CONTROL_TIMEOUT`, `CONTROL_FAILED`
   */
  async mcpServers(): Promise<McpServer[]> {
    return await this.#run.survey(await this.control("mcp_status", (sdk) => sdk.mcpServerStatus()));
  }

  /** Ends the process as asked for; resolves when it is gone. The exit is of class `done`. */
  async end(stages: EndingStages): Promise<ExitRecord> {
    this.#run.expected = true;
    await this.#run.end(stages);
    return await this.exited;
  }

  /** Ends the process at once because of a fault that it does not report itself; the exit is of that class. */
  async kill(found: { readonly class: ExitClass; readonly message: string }): Promise<ExitRecord> {
    this.#run.found ??= found;
    await this.#run.end(AT_ONCE);
    return await this.exited;
  }
}

/** The SDK's types leave it out. */
interface TakesPromptsBack {
  cancelAsyncMessage(uuid: string): Promise<boolean>;
}

function takesPromptsBack(sdk: Query): sdk is Query & TakesPromptsBack {
  return "cancelAsyncMessage" in sdk && typeof sdk.cancelAsyncMessage === "function";
}

/** A process that the application started by itself may run on another machine, with other files. */
async function lockOf(request: RunRequest, id: string): Promise<ConversationLock> {
  const { options, inheritEnv } = request;
  if (options.spawnClaudeCodeProcess !== undefined) return { release: async () => {} };
  const environment = buildEnvironment({ host: process.env, inheritEnv, env: options.env });
  const { config } = await transcriptPlaceOf(options.cwd ?? process.cwd(), environment);
  return await lockConversation(id, formatMarker(thisOwner(), request.id), config);
}

/** What another application has it keeps; whatever else keeps a conversation from being locked passes. */
function classOfLockFault(error: unknown): ExitClass {
  return error instanceof ConversationInUse ? "bad_config" : "overload";
}

async function refuseWhatCannotRun(request: RunRequest, clock: Clock): Promise<void> {
  const {
    options,
    apiKey,
    host: { who },
  } = request;
  const missing = missingKey(apiKey);
  if (missing !== undefined) throw startError("START_FAILED", who, clock, { class: "auth", message: missing });
  if (request.ownDirectory !== undefined) {
    await makeOwnDirectory(request.ownDirectory).catch((error: unknown) => {
      const message = `the directory of the session could not be made: ${messageOf(error)}`;
      throw startError("START_FAILED", who, clock, { class: classOfFault(error), message }, error);
    });
  }
  // A process of the application's own may run on another machine, with other directories and binaries.
  if (options.spawnClaudeCodeProcess !== undefined) return;
  const fault = await preflight({ cwd: options.cwd ?? process.cwd(), executable: options.pathToClaudeCodeExecutable });
  if (fault !== undefined) throw startError(fault.code, who, clock, { class: fault.class, message: fault.message });
}
