import type { UUID } from "node:crypto";
import type { Query, SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";
import type { Clock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError, type ExitClass, type ExitRecord } from "../errors.ts";
import { type Activation, type ProcessRequests, REQUEST_MS } from "./activation.ts";
import { ConversationInUse, type ConversationLock, lockConversation } from "./conversation-lock.ts";
import { buildEnvironment } from "./environment.ts";
import { missingKey } from "./launch.ts";
import { formatMarker, thisOwner } from "./marker.ts";
import type { McpServer } from "./mcp-servers.ts";
import { makeOwnDirectory } from "./own-directory.ts";
import { classOfFault } from "./passing-fault.ts";
import { patient } from "./patience.ts";
import { preflight } from "./preflight.ts";
import type { EndingStages } from "./process.ts";
import { AT_ONCE, messageOf, ProcessRun, type RunRequest, startError } from "./process-run.ts";
import { type Rewound, rewind } from "./rewind.ts";
import { applyStanding, type StandingPermissions } from "./standing-permissions.ts";
import { transcriptLocationOf } from "./transcript-location.ts";

/** How long a rewind may take. It takes milliseconds, and a new process can do it instead. */
const REWIND_MS = 2_000;

/** A live Claude Code process whose handshake is done. */
export class ClaudeActivation implements Activation {
  readonly pid: number | undefined;
  readonly startedAt: number;
  readonly exited: Promise<ExitRecord>;
  readonly #run: ProcessRun;
  #lock: ConversationLock;
  #gone = false;

  private constructor(run: ProcessRun, lock: ConversationLock) {
    this.#run = run;
    this.#lock = lock;
    this.pid = run.process?.pid;
    this.startedAt = run.clock.now();
    // Release the lock before the search for remaining descendants, which write no transcripts.
    const released = (run.process?.exited ?? run.exited).then(async () => {
      this.#gone = true;
      await this.#lock.release();
    });
    this.exited = Promise.all([run.exited, released]).then(([exit]) => exit);
  }

  /** See {@link StartActivation}. */
  static async start(request: RunRequest, clock: Clock): Promise<ClaudeActivation> {
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
      return new ClaudeActivation(run, lock);
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  async moved(id: string): Promise<void> {
    try {
      const lock = await lockOf(this.#run.request, id);
      const before = this.#lock;
      this.#lock = lock;
      await before.release();
      if (this.#gone) await lock.release();
    } catch (error) {
      const message = `Claude Code switched conversations: ${messageOf(error)}`;
      await this.kill({ class: classOfLockFault(error), message });
    }
  }

  /** With the lowest priority, a prompt that arrives during Claude Code's own work waits instead of joining it. */
  send(uuid: string, prompt: string | readonly object[], verbatim: boolean): void {
    // The session has checked the blocks.
    const content = prompt as SDKUserMessage["message"]["content"];
    const message = { role: "user" as const, content };
    this.#run.input.push({
      type: "user",
      message,
      parent_tool_use_id: null,
      priority: "later",
      uuid: uuid as UUID,
      ...(verbatim ? { client_composed: true as const } : {}),
    } satisfies SDKUserMessage);
  }

  steer(uuid: string, text: string): void {
    this.#run.input.push({
      type: "user",
      message: { role: "user", content: text },
      parent_tool_use_id: null,
      priority: "next",
      uuid: uuid as UUID,
      client_composed: true,
    } satisfies SDKUserMessage);
  }

  async interrupt(): Promise<void> {
    await this.#request("interrupt", (sdk) => sdk.interrupt());
  }

  async withdraw(uuid: string): Promise<boolean> {
    return await this.#request("cancelAsyncMessage", async (sdk) =>
      takesPromptsBack(sdk) ? await sdk.cancelAsyncMessage(uuid) : false,
    ).catch(() => false);
  }

  async rewind(uuid: string): Promise<Rewound> {
    const request = this.#request("rewind", (sdk) => rewind(sdk, uuid), REWIND_MS);
    return await request.catch(() => "refused" as const);
  }

  async request<Name extends keyof ProcessRequests>(
    name: Name,
    ...args: Parameters<ProcessRequests[Name]>
  ): Promise<Awaited<ReturnType<ProcessRequests[Name]>>> {
    const answer: unknown = await this.#request<unknown>(name, (sdk) => Reflect.apply(sdk[name], sdk, args));
    // TypeScript does not relate a method's answer to its name.
    return answer as Awaited<ReturnType<ProcessRequests[Name]>>;
  }

  async permit(standing: StandingPermissions): Promise<void> {
    await this.#request("applyFlagSettings", (sdk) => applyStanding(sdk, standing));
  }

  /** Makes a control request that may take `limitMs`. The SDK sets no limit. */
  async #request<Answer>(
    name: string,
    ask: (sdk: Query) => Promise<Answer>,
    limitMs: number = REQUEST_MS,
  ): Promise<Answer> {
    const { query: sdk, clock, who } = this.#run;
    try {
      return await withDeadline(patient(clock), limitMs, ask(sdk), () => {
        const message = `${who}: Claude Code did not answer \`${name}\` within ${formatDuration(limitMs)}.`;
        throw new CastellanError("CONTROL_TIMEOUT", message);
      });
    } catch (error) {
      if (error instanceof CastellanError) throw error;
      throw new CastellanError("CONTROL_FAILED", `${who}: \`${name}\` failed: ${messageOf(error)}`, { cause: error });
    }
  }

  get marker(): string {
    return formatMarker(thisOwner(), this.#run.request.id);
  }

  get release(): string | undefined {
    return this.#run.release;
  }

  get credentials(): string {
    return this.#run.credentials;
  }

  get ending(): boolean {
    return this.#gone || this.#run.expected || this.#run.found !== undefined;
  }

  get hostCalls(): number {
    return this.#run.hostCalls.pending;
  }

  async ping(limitMs: number): Promise<void> {
    await this.#request("mcpServerStatus", (sdk) => sdk.mcpServerStatus(), limitMs);
  }

  async mcpServers(): Promise<McpServer[]> {
    return await this.#run.survey(await this.request("mcpServerStatus"));
  }

  async end(stages: EndingStages): Promise<ExitRecord> {
    this.#run.expected = true;
    await this.#run.end(stages);
    return await this.exited;
  }

  async kill(found: { readonly class: ExitClass; readonly message: string }): Promise<ExitRecord> {
    this.#run.found ??= found;
    await this.#run.end(AT_ONCE);
    return await this.exited;
  }
}

/** A method that the SDK's types omit. */
interface TakesPromptsBack {
  cancelAsyncMessage(uuid: string): Promise<boolean>;
}

function takesPromptsBack(sdk: Query): sdk is Query & TakesPromptsBack {
  return "cancelAsyncMessage" in sdk && typeof sdk.cancelAsyncMessage === "function";
}

/** A process that the application spawns may run on another machine, with other files. */
async function lockOf(request: RunRequest, id: string): Promise<ConversationLock> {
  const { options, inheritEnv } = request;
  if (options.spawnClaudeCodeProcess !== undefined) return { release: async () => {} };
  const environment = buildEnvironment({ host: process.env, inheritEnv, env: options.env });
  const { config } = await transcriptLocationOf(options.cwd ?? process.cwd(), environment);
  return await lockConversation(id, formatMarker(thisOwner(), request.id), config);
}

/** A conversation that another application uses stays locked; any other obstacle to locking passes. */
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
      const message = `the session's directory could not be created: ${messageOf(error)}`;
      throw startError("START_FAILED", who, clock, { class: classOfFault(error), message }, error);
    });
  }
  // A process that the application spawns may run on another machine, with other directories and binaries.
  if (options.spawnClaudeCodeProcess !== undefined) return;
  const fault = await preflight({ cwd: options.cwd ?? process.cwd(), executable: options.pathToClaudeCodeExecutable });
  if (fault !== undefined) throw startError(fault.code, who, clock, { class: fault.class, message: fault.message });
}
