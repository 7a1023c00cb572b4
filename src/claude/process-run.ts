import { createRequire } from "node:module";
import { constants, getPriority, setPriority } from "node:os";
import { Readable } from "node:stream";
import type {
  AccountInfo,
  HookCallbackMatcher,
  HookEvent,
  McpServerStatus,
  Query,
  SDKMessage,
  SDKStartupFailureReason,
  Options as SdkOptions,
  SpawnedProcess,
  SpawnOptions,
} from "@anthropic-ai/claude-agent-sdk";
import { type AgentSdk, agentSdk } from "../agent-sdk.ts";
import type { Clock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError, type ExitRecord } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import { printable } from "../printable.ts";
import { traceEnvironment } from "../trace-context.ts";
import { credentialsIn } from "./credentials.ts";
import { classifyExit, type ExitEvidence } from "./exit.ts";
import { GrantWatch } from "./grant-watch.ts";
import { keepConversations } from "./kept-conversations.ts";
import { type Launch, sdkOptions } from "./launch.ts";
import { formatMarker, MARKER, thisOwner } from "./marker.ts";
import type { McpServer } from "./mcp-servers.ts";
import { McpSurvey } from "./mcp-survey.ts";
import { memoryKills } from "./memory.ts";
import { formProblem } from "./messages/message-form.ts";
import { releaseProblem } from "./oldest-release.ts";
import { adviceOn, serverToolAdvice } from "./option-advice.ts";
import { parentDeathPrefix } from "./parent-death.ts";
import { classOfFault, opensNoFile } from "./passing-fault.ts";
import { scheduleDeadline } from "./patience.ts";
import type { PreflightFault } from "./preflight.ts";
import { ClaudeProcess, type EndingStages } from "./process.ts";
import { hosted, type ProcessHost } from "./process-host.ts";
import { awaitRequiredServers } from "./required-servers.ts";
import { hide, hideInMessage, type Secrets, secretsIn } from "./secrets.ts";
import { giveStanding } from "./standing-permissions.ts";
import { isWrittenHere, type MirrorTranscript, mirroring } from "./transcript-mirror.ts";

/** How long a process may take from its start to the end of the handshake. The SDK's own limit. */
const HANDSHAKE_MS = 60_000;

/** How long to wait for the remaining output of a dead process, and for the exit of a process whose output ended. */
const DRAIN_MS = 1_000;

/** Kills immediately. */
export const AT_ONCE: EndingStages = { inputMs: 0, termMs: 0 };

export interface RunRequest extends Launch {
  /** A unique id of this activation. */
  readonly id: string;
  readonly host: ProcessHost;
  /** Whether the host receives what the process writes to transcripts on this machine. */
  readonly mirrored?: boolean;
  /** Aborts when the activation is no longer needed before it is up. */
  readonly signal: AbortSignal;
}

/** A process from its start, whether or not it becomes an activation. */
export class ProcessRun {
  readonly clock: Clock;
  readonly input: Readable;
  readonly query: Query;
  readonly exited: Promise<ExitRecord>;
  expected = false;
  found: ExitEvidence["found"];
  readonly hostCalls: HostCalls = new HostCalls();
  readonly #servers: McpSurvey;
  process: ClaudeProcess | undefined;
  /** A digest of the process's credentials. */
  credentials = "";
  /** The release of Claude Code, after the handshake. */
  release: string | undefined;
  readonly request: RunRequest;
  readonly #grants: GrantWatch;
  /** Settles once the process has accepted or refused what it receives besides its options. */
  readonly #standing: Promise<void>;
  readonly #spawned = Promise.withResolvers<void>();
  readonly #memoryKills: number | undefined = memoryKills();
  #streamError: string | undefined;
  /** Values that must not appear in errors. */
  #secrets: Secrets = [];
  #startupFailure: SDKStartupFailureReason | undefined;

  /** Names the session in messages. */
  get who(): string {
    return this.request.host.who;
  }

  private constructor(request: RunRequest, clock: Clock, prefix: readonly string[], query: AgentSdk["query"]) {
    this.request = request;
    this.clock = clock;
    this.#servers = new McpSurvey(request, clock, () => this.#secrets);
    this.input = new Readable({ objectMode: true, read() {} });
    this.#grants = new GrantWatch((updates) => request.host.granted(updates));
    const own = this.#grants.watch(hosted(request.options, request.host, request.approvals === true));
    const options = { ...own, env: { ...traceEnvironment(), ...own.env } };
    const start = {
      marker: formatMarker(thisOwner(), request.id),
      spawn: (options: SpawnOptions) => this.#spawn(options, prefix),
    };
    const launch = { ...request, options: this.hostCalls.watch(options) };
    const given = { ...sdkBinary(), ...sdkOptions(launch, start) };
    const isMirrored = request.mirrored === true && isWrittenHere(request.options);
    const mirror: MirrorTranscript = (key, entries) => request.host.mirrored(key, entries);
    this.query = query({ prompt: this.input, options: isMirrored ? mirroring(given, mirror) : given });
    const { standing } = request;
    this.#standing = Promise.all([
      standing === undefined ? undefined : giveStanding(this.query, request.options, standing),
      keepConversations(this.query, request.options),
    ]).then(() => {});
    // The handshake reports it to its caller.
    this.#standing.catch(() => {});
    const drained = this.#pump();
    this.exited = this.#settle(drained);
  }

  static async begin(request: RunRequest, clock: Clock): Promise<ProcessRun> {
    try {
      const [prefix, { query }] = await Promise.all([parentDeathPrefix(), agentSdk()]);
      return new ProcessRun(request, clock, prefix, query);
    } catch (error) {
      const { code, class: kind } = beginningFault(error);
      throw startError(code, request.host.who, clock, { class: kind, message: messageOf(error) }, error);
    }
  }

  async handshake(): Promise<void> {
    const { signal } = this.request;
    const { promise: given, reject } = Promise.withResolvers<never>();
    const timer = scheduleDeadline(this.clock, HANDSHAKE_MS, () => {
      this.found = { class: "crash", message: `no handshake within ${formatDuration(HANDSHAKE_MS)}` };
      reject(new Error(this.found.message));
    });
    const abort = (): void => {
      this.expected = true;
      reject(signal.reason);
    };
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    try {
      const gone = this.exited.then((exit) => Promise.reject(new Error(exit.message)));
      const hello = await Promise.race([this.query.initializationResult(), given, gone]);
      const { account, claude_code_version: version } = hello;
      this.release = version;
      const problem = releaseProblem(version);
      if (problem !== undefined) {
        this.found = { class: "bad_config", message: problem };
        throw new Error(problem);
      }
      await Promise.race([this.#standing.catch((error: unknown) => this.#refused(error)), given, gone]);
      if (lacksCredentials(account)) {
        this.found = {
          class: "auth",
          message: "no API key: set `apiKey` or ANTHROPIC_API_KEY, or log in with `claude`",
        };
        throw new Error(this.found.message);
      }
      for (const advice of await adviceOn(this.request.options, hello.models)) this.request.host.advise(advice);
    } finally {
      timer.cancel();
      signal.removeEventListener("abort", abort);
    }
  }

  /**
   * Completes Claude Code's reports of MCP servers. Advises the host of tools that options name and the servers lack.
   */
  async survey(statuses: readonly McpServerStatus[]): Promise<McpServer[]> {
    const { options, host } = this.request;
    for (const advice of serverToolAdvice(options, statuses)) host.advise(advice);
    return await this.#servers.of(statuses);
  }

  /** Waits for the required MCP servers. Throws if one cannot be had. */
  async awaitServers(): Promise<void> {
    const { requireMcpServers = false, signal } = this.request;
    if (requireMcpServers === false) return;
    const over = new AbortController();
    const ends = AbortSignal.any([signal, over.signal]);
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const abort = (): void => {
      this.expected = true;
      reject(signal.reason);
    };
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    const look = async (): Promise<McpServer[]> => await this.survey(await this.query.mcpServerStatus());
    try {
      const gone = this.exited.then((exit) => Promise.reject(new Error(exit.message)));
      const problem = await Promise.race([
        awaitRequiredServers(requireMcpServers, look, this.clock, ends),
        aborted,
        gone,
      ]);
      if (problem === undefined) return;
      this.found = problem;
      throw new Error(problem.message);
    } finally {
      over.abort();
      signal.removeEventListener("abort", abort);
    }
  }

  /** Fails the start: a process without its grants could do more than it may, or less. */
  #refused(error: unknown): never {
    const message = `it did not accept the grants of its conversation: ${messageOf(error)}`;
    this.found ??= { class: "crash", message };
    throw new Error(message, { cause: error });
  }

  /** Ends what was started and returns why it did not come up. */
  async failure(error: unknown): Promise<CastellanError> {
    this.#streamError ??= messageOf(error);
    const exit = await this.end(AT_ONCE);
    return startError("START_FAILED", this.who, this.clock, exit, error);
  }

  async end(stages: EndingStages): Promise<ExitRecord> {
    this.input.push(null);
    if (this.process === undefined) {
      this.query.close();
      this.#spawned.resolve();
    } else {
      await this.process.end(stages);
    }
    return await this.exited;
  }

  #spawn(options: SpawnOptions, prefix: readonly string[]): SpawnedProcess {
    const watch = {
      onStderr: (text: string) => this.#report(text),
      onBreak: (reason: string) => this.#broke(reason),
    };
    const own = this.request.options.spawnClaudeCodeProcess;
    if (own) this.process = ClaudeProcess.adopt(spawnedBy(own, options), options.env[MARKER], this.clock, watch);
    else {
      this.process = ClaudeProcess.spawn(options, prefix, this.clock, watch);
      lowerPriority(this.process.pid, this.request.niceness);
    }
    this.#secrets = secretsIn(options.env, serversOf(this.request.options));
    this.process.stderr.secrets = this.#secrets;
    this.credentials = credentialsIn(options.env);
    this.#spawned.resolve();
    this.request.host.spawned(this.process.pid);
    return this.process.spawned;
  }

  /** An error of an application's callback must not take the host down. */
  #report(text: string): void {
    try {
      this.request.options.stderr?.(text);
    } catch (error) {
      process.emitWarning(`${this.who}: \`stderr\` threw: ${messageOf(error)}`, { type: "CastellanWarning" });
    }
  }

  async #pump(): Promise<void> {
    try {
      for await (const said of this.query) {
        const problem = formProblem(said);
        if (problem !== undefined) {
          this.#broke(`of a message of type "${said.type}", ${problem}`);
          return;
        }
        this.#take(isError(said) ? hideInMessage(said, this.#secrets) : said);
      }
    } catch (error) {
      this.#streamError = messageOf(error);
    }
  }

  #take(message: SDKMessage): void {
    if (message.type === "result" && message.subtype === "error_during_execution") {
      this.#startupFailure = message.startup_failure_reason;
    }
    try {
      this.#grants.see(message);
      this.request.host.message(message);
    } catch (error) {
      // The session's state would be wrong from here on.
      this.#broke(`a message of type "${message.type}" cannot be processed: ${messageOf(error)}`);
    }
  }

  /** Ends the process, because its output is no longer reliable. */
  #broke(reason: string): void {
    this.found ??= { class: "crash", message: `Claude Code's output is invalid: ${reason}` };
    void this.end(AT_ONCE);
  }

  async #settle(drained: Promise<void>): Promise<ExitRecord> {
    await Promise.race([this.#spawned.promise, drained]);
    void drained
      .then(() => withDeadline(this.clock, DRAIN_MS, this.process?.exited))
      .then(() => this.process?.end(AT_ONCE));
    const exit = await this.process?.gone;
    await withDeadline(this.clock, DRAIN_MS, drained);
    this.query.close();
    this.input.push(null);
    const evidence = {
      expected: this.expected,
      found: this.found,
      code: exit?.code,
      signal: exit?.signal,
      stderr: this.process?.stderr.text,
      startupFailure: this.#startupFailure,
      spawnError: codeOf(exit?.error),
      memoryKill: (memoryKills() ?? 0) > (this.#memoryKills ?? 0),
      error: exit?.error === undefined ? this.#streamError : messageOf(exit.error),
    };
    const { class: kind, message } = classifyExit(evidence);
    return {
      class: kind,
      // The SDK, or a line that is not a message, may quote the process's output.
      message: printable(hide(message, this.#secrets)),
      at: this.clock.now(),
      ...withoutUndefined({
        pid: this.process?.pid,
        code: evidence.code,
        signal: evidence.signal,
        stderr: evidence.stderr,
      }),
    };
  }
}

/** Returns the error of a process that could not be started. */
export function startError(
  code: "START_FAILED" | "CLAUDE_NOT_FOUND",
  who: string,
  clock: Clock,
  exit: Pick<ExitRecord, "class" | "message"> & Partial<ExitRecord>,
  cause?: unknown,
): CastellanError {
  const details = { exit: { at: clock.now(), ...exit } };
  return new CastellanError(code, `${who} could not be started: ${exit.message}.`, { details, cause });
}

/** Classifies an error thrown before there was a process. */
function beginningFault(error: unknown): Pick<PreflightFault, "code" | "class"> {
  if (error instanceof SpawnError) return { code: "START_FAILED", class: "crash" };
  // Node throws for starts that it cannot handle, such as with too little memory or too long arguments.
  if (error instanceof Error && "syscall" in error) return { code: "START_FAILED", class: classOfFault(error) };
  // The SDK throws here if it ships no binary for this platform. Without free file descriptors it finds none either.
  const mayBeThere = opensNoFile() || sdkBinary().pathToClaudeCodeExecutable !== undefined;
  return { code: "CLAUDE_NOT_FOUND", class: mayBeThere ? "overload" : "bad_config" };
}

/** The application's own `spawnClaudeCodeProcess` threw. */
class SpawnError extends Error {
  override readonly name: string = "SpawnError";
}

function spawnedBy(own: (options: SpawnOptions) => SpawnedProcess, options: SpawnOptions): SpawnedProcess {
  try {
    return own(options);
  } catch (cause) {
    throw new SpawnError(`\`spawnClaudeCodeProcess\` threw: ${messageOf(cause)}`, { cause });
  }
}

/** Whether a message carries an error text, into which a gateway may have copied the key that it refuses. */
function isError(message: SDKMessage): boolean {
  if (message.type === "result") return message.is_error;
  return message.type === "assistant" ? message.error !== undefined : message.type === "system" && "error" in message;
}

/** Returns the MCP servers of a session and its agents. */
function serversOf({ mcpServers, agents }: RunRequest["options"]): Record<string, object> {
  const ofAgents = Object.values(agents ?? {}).flatMap(({ mcpServers: own = [] }) =>
    own.flatMap((server) => (typeof server === "object" ? Object.entries(server) : [])),
  );
  return Object.fromEntries([...ofAgents, ...Object.entries(mcpServers ?? {})].map(([, server], at) => [at, server]));
}

/** Whether Claude Code reports that it found no credentials for Anthropic's own API. */
function lacksCredentials(account: AccountInfo | undefined): boolean {
  return account?.apiProvider === "firstParty" && account.tokenSource === "none" && account.apiKeySource === undefined;
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** Returns the message of an error or any other thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Lowers the priority of a process before it has started others, so that they inherit it. Does nothing if the process
 * is gone.
 */
function lowerPriority(pid: number | undefined, niceness = 0): void {
  if (pid === undefined || niceness === 0) return;
  try {
    setPriority(pid, Math.min(constants.priority.PRIORITY_LOW, getPriority() + niceness));
  } catch (error) {
    if (codeOf(error) !== "ERR_SYSTEM_ERROR") throw error;
  }
}

/**
 * Counts the application's callbacks that Claude Code waits for: permissions, hooks, dialogs. While one is pending, a
 * silent process is no sign of a stall.
 */
export class HostCalls {
  #pending = 0;

  get pending(): number {
    return this.#pending;
  }

  /** Returns the options with counted callbacks. */
  watch(options: SdkOptions): SdkOptions {
    const { canUseTool, hooks, onElicitation, onUserDialog } = options;
    return {
      ...options,
      ...(canUseTool === undefined ? {} : { canUseTool: this.#counted(canUseTool) }),
      ...(onElicitation === undefined ? {} : { onElicitation: this.#counted(onElicitation) }),
      ...(onUserDialog === undefined ? {} : { onUserDialog: this.#counted(onUserDialog) }),
      ...(hooks === undefined ? {} : { hooks: this.#countedHooks(hooks) }),
    };
  }

  #countedHooks(hooks: Partial<Record<HookEvent, HookCallbackMatcher[]>>): NonNullable<SdkOptions["hooks"]> {
    return Object.fromEntries(
      Object.entries(hooks).map(([event, matchers]) => [
        event,
        matchers.map((matcher) => ({ ...matcher, hooks: matcher.hooks.map((hook) => this.#counted(hook)) })),
      ]),
    );
  }

  #counted<Parameters extends readonly unknown[], Answer>(
    call: (...parameters: Parameters) => Promise<Answer>,
  ): (...parameters: Parameters) => Promise<Answer> {
    return async (...parameters) => {
      this.#pending++;
      try {
        return await call(...parameters);
      } finally {
        this.#pending--;
      }
    };
  }
}

const SDK = "@anthropic-ai/claude-agent-sdk";

let found: { readonly pathToClaudeCodeExecutable?: string } | undefined;

/**
 * Returns the location of the SDK's Claude Code as an SDK option. Looked up once.
 *
 * On Linux the SDK detects the C library at each start with a process report, which waits for every thread of the
 * process: a thread waiting for a disk would block the event loop. If both of the SDK's packages are installed, or
 * neither can be found from here, as in a bundle, the SDK decides itself.
 */
export function sdkBinary(): { readonly pathToClaudeCodeExecutable?: string } {
  if (found !== undefined) return found;
  const binary = find();
  // Without free file descriptors nothing is found; do not remember that.
  if (binary.pathToClaudeCodeExecutable !== undefined || !opensNoFile()) found = binary;
  return binary;
}

function find(): { readonly pathToClaudeCodeExecutable?: string } {
  if (process.platform !== "linux") return {};
  const [binary, another] = ["", "-musl"].flatMap((library) =>
    resolve(`${SDK}-linux-${process.arch}${library}/claude`),
  );
  return binary === undefined || another !== undefined ? {} : { pathToClaudeCodeExecutable: binary };
}

/** Resolves from the SDK's location, as the SDK does. */
function resolve(binary: string): string[] {
  try {
    return [createRequire(createRequire(import.meta.url).resolve(SDK)).resolve(binary)];
  } catch {
    return [];
  }
}
