import { randomUUID } from "node:crypto";
import { systemClock } from "../clock.ts";
import { CastellanError, type ExitRecord } from "../errors.ts";
import { formatName, nameKey, type SessionName } from "../names.ts";
import type { SessionDeps } from "../session/dispatcher.ts";
import { type SessionOptions, type SessionSettings, sessionSettings, type TurnOptions } from "../session/options.ts";
import type { Reply } from "../session/reply.ts";
import { isSession, type RestartOptions, Session } from "../session/session.ts";
import { SessionServer } from "../session/session-server.ts";
import type { SessionStatus } from "../session/session-status.ts";
import type { Turn } from "../session/turn.ts";
import { invalidOptions } from "../session/validation.ts";
import type { ChildSpec } from "../supervision/child-spec.ts";
import type { SupervisionEvent } from "../supervision/supervision-event.ts";
import { ChildSupervisor } from "../supervision/supervisor.ts";
import { exclusiveOf } from "./exclusive.ts";
import { type Registration, registry } from "./registry.ts";
import {
  type Logger,
  type SupervisorOptions,
  type SupervisorSettings,
  supervisorSettings,
} from "./supervisor-options.ts";

/** A session by its name or by a handle of it. */
export type SessionRef = SessionName | Session;

/** A session that did not come up, and why. */
export interface NotStarted {
  readonly name: SessionName;
  readonly error: CastellanError;
}

/** Why a supervisor ended. */
export interface SupervisorEnd {
  /** `stopped` by a call, `max_restarts` by escalation, `auto_shutdown` by the end of significant sessions. */
  readonly reason: "stopped" | "max_restarts" | "auto_shutdown";
  /** What was one too many, or the end that ended it. */
  readonly cause?: unknown;
}

export interface SupervisorDeps extends SessionDeps {
  /** A number from 0 up to 1, for jitter. */
  readonly random: () => number;
}

const SYSTEM: SupervisorDeps = { clock: systemClock, newId: randomUUID, random: Math.random };

interface Member {
  readonly server: SessionServer;
  readonly registration: Registration;
}

/**
 * Starts sessions and keeps them running: a session whose process dies is started again with its conversation, its
 * options and its handshake; one that cannot be kept running is set aside while the others go on.
 *
 * @example
 * await using supervisor = await Supervisor.start([{ name: "assistant" }, { name: "reviewer", maxTurns: 5 }]);
 * const { text } = await query("reviewer", "Review this function: …");
 */
export class Supervisor implements AsyncDisposable {
  readonly name: string;
  /** Resolves when the supervisor has ended and no process of it is left. Never rejects. */
  readonly closed: Promise<SupervisorEnd>;
  readonly #settings: SupervisorSettings;
  readonly #deps: SupervisorDeps;
  readonly #members = new Map<string, Member>();
  readonly #closed: PromiseWithResolvers<SupervisorEnd> = Promise.withResolvers();
  #tree: ChildSupervisor | undefined;
  #notStarted: readonly NotStarted[] = [];
  #end: SupervisorEnd = { reason: "stopped" };
  #stopping: Promise<void> | undefined;

  private constructor(settings: SupervisorSettings, deps: SupervisorDeps) {
    this.#settings = settings;
    this.#deps = deps;
    this.name = settings.name ?? registry.nextSupervisorName();
    this.closed = this.#closed.promise;
  }

  /**
   * Starts a supervisor with these sessions. Their processes come up side by side; the promise resolves when each of them
   * is up or has been set aside, in which case {@link Supervisor.notStarted} says which and why.
   *
   * @throws CastellanError `INVALID_OPTIONS` with all that is wrong, or `SESSION_ALREADY_STARTED`; in both cases nothing
   * has been started
   */
  static start(children: readonly SessionOptions[], options: SupervisorOptions = {}): Promise<Supervisor> {
    return Supervisor.startWith(children, options, SYSTEM);
  }

  /** As {@link Supervisor.start}, with a clock, ids and chance of the caller's. */
  static async startWith(
    children: readonly SessionOptions[],
    options: SupervisorOptions,
    deps: SupervisorDeps,
  ): Promise<Supervisor> {
    const settings = supervisorSettings(options);
    const supervisor = new Supervisor(settings, deps);
    await supervisor.#open(allSettings(children, settings));
    return supervisor;
  }

  /** The sessions that did not come up when the supervisor was started, and why. They have been set aside. */
  get notStarted(): readonly NotStarted[] {
    return this.#notStarted;
  }

  /** See {@link Session.query}. @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED` besides */
  async query(session: SessionRef, prompt: string, options: TurnOptions = {}): Promise<Reply> {
    return await this.session(session).query(prompt, options);
  }

  /** See {@link Session.stream}. @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED` besides */
  stream(session: SessionRef, prompt: string, options: TurnOptions = {}): Turn {
    return this.session(session).stream(prompt, options);
  }

  /**
   * The session of this name, if it is one of this supervisor's.
   *
   * @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED`
   */
  session(session: SessionRef): Session {
    this.#refuseIfStopped();
    return registry.find(isSession(session) ? session.name : session, this.name);
  }

  /** What is known of each session, in the order in which they were started. */
  listSessions(): SessionStatus[] {
    return [...this.#members.values()].map(({ server }) => server.status());
  }

  countSessions(): number {
    return this.#members.size;
  }

  /**
   * Adds a session and waits until its process is up.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `SESSION_ALREADY_STARTED`, `SUPERVISOR_STOPPED`; `SESSION_QUARANTINED` with
   * the exits if it did not come up, in which case it has been removed again
   */
  async startSession(options: SessionOptions): Promise<Session> {
    this.#refuseIfStopped();
    const member = this.#add(sessionSettings(options, this.#settings.defaults));
    await this.#tree?.startChild(this.#childSpec(member.server));
    const state = await member.server.settled();
    if (state.name === "quarantined") {
      const refusal = member.server.refusal();
      await this.terminateSession(member.registration.session);
      throw refusal;
    }
    return member.registration.session;
  }

  /**
   * Ends a session: its turns end with `SESSION_STOPPED`, its process is ended, its name is free. Resolves when the
   * process is gone.
   *
   * @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED`
   */
  async terminateSession(session: SessionRef): Promise<void> {
    const { name } = this.session(session);
    const key = nameKey(name);
    const member = this.#members.get(key);
    member?.server.close("session");
    await this.#tree?.terminateChild(key);
    await this.#forget(key);
  }

  /**
   * Ends the process of a session, whatever it does, and starts another one with the conversation as it is, or with an
   * empty one. Turns that wait go on waiting. It also brings back a session that has been set aside.
   *
   * @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED`, `SESSION_QUARANTINED` if it does not come up
   */
  async restartSession(session: SessionRef, { conversation = "keep" }: RestartOptions = {}): Promise<void> {
    const { name } = this.session(session);
    const key = nameKey(name);
    const server = this.#members.get(key)?.server;
    if (conversation === "clear") server?.forget();
    await this.#tree?.recycleChild(key);
    await server?.settled();
    const refusal = server?.refusal();
    if (refusal !== undefined) throw refusal;
  }

  /**
   * Ends all sessions, in reverse order, and the supervisor. Turns end at once; the promise resolves when no process is
   * left. A second call waits for the same end.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #open(all: readonly SessionSettings[]): Promise<void> {
    try {
      for (const settings of all) this.#add(settings);
    } catch (error) {
      for (const { registration } of this.#members.values()) registry.unregister(registration);
      throw error;
    }
    const servers = [...this.#members.values()].map(({ server }) => server);
    const { clock, random } = this.#deps;
    const onEvent = (event: SupervisionEvent): void => this.#observe(event);
    this.#tree = await ChildSupervisor.start(
      servers.map((server) => this.#childSpec(server)),
      this.#settings.tree,
      { clock, random, onEvent },
    );
    void this.#tree.exited.then((exit) => this.#ended(exit.cause));
    await Promise.all(servers.map((server) => server.settled()));
    this.#notStarted = servers.flatMap((server) => {
      const error = server.refusal();
      return error === undefined ? [] : [{ name: server.settings.name, error }];
    });
  }

  #add(settings: SessionSettings): Member {
    const { key } = settings;
    const server = new SessionServer(settings, this.#deps);
    const session = new Session(server, {
      restart: (options) => this.restartSession(settings.name, options),
      terminate: () => this.terminateSession(settings.name),
    });
    const registration = { session, supervisor: this.name, exclusive: exclusiveOf(settings.sdk) };
    registry.register(registration);
    const member = { server, registration };
    this.#members.set(key, member);
    const signal = settings.sdk.abortController?.signal;
    signal?.addEventListener("abort", () => void this.terminateSession(settings.name).catch(() => {}), { once: true });
    return member;
  }

  #childSpec(server: SessionServer): ChildSpec {
    const { key: id, restart, shutdown, significant } = server.settings;
    return { id, restart, shutdown, significant, start: () => server.begin() };
  }

  #observe(event: SupervisionEvent): void {
    const server = this.#members.get(event.id)?.server;
    const who = `session ${event.id}`;
    const log: Logger | undefined = this.#settings.logger;
    switch (event.type) {
      case "restarting":
        server?.retryAt(this.#deps.clock.now() + event.delay);
        log?.info(`${who} is restarted in ${Math.round(event.delay)} ms (restart ${event.attempt} of this series)`);
        break;
      case "quarantined": {
        const exits = this.#tree?.child(event.id)?.lastExits.map(({ exit }) => exit.cause as ExitRecord);
        server?.quarantine(exits ?? [event.exit.cause as ExitRecord]);
        const message = server?.refusal()?.message ?? `${who} has been set aside`;
        if (log === undefined) process.emitWarning(message, { type: "CastellanWarning", code: "SESSION_QUARANTINED" });
        else log.warn(message);
        break;
      }
      case "exited":
      case "terminated":
        if (server?.settings.restart === "temporary") {
          server.close("session");
          void this.#forget(event.id);
        }
        break;
      case "auto_shutdown":
        this.#end = { reason: "auto_shutdown", cause: event.exit.cause };
        break;
      case "escalated":
        this.#end = { reason: "max_restarts", cause: event.exit.cause };
        break;
      default:
    }
  }

  async #forget(key: string): Promise<void> {
    const member = this.#members.get(key);
    if (member === undefined) return;
    this.#members.delete(key);
    registry.unregister(member.registration);
    await this.#tree?.deleteChild(key);
  }

  async #stop(): Promise<void> {
    for (const { server } of this.#members.values()) server.close("supervisor");
    await this.#tree?.stop();
    await this.closed;
  }

  #ended(cause: unknown): void {
    for (const { server, registration } of this.#members.values()) {
      server.close("supervisor");
      registry.unregister(registration);
    }
    this.#stopping ??= Promise.resolve();
    this.#closed.resolve({ ...this.#end, ...(this.#end.cause === undefined && cause !== undefined ? { cause } : {}) });
  }

  #refuseIfStopped(): void {
    if (this.#stopping === undefined) return;
    throw new CastellanError("SUPERVISOR_STOPPED", `${this.name} has been stopped; start another supervisor.`);
  }
}

/** The settings of all children, or all that is wrong with any of them. */
function allSettings(children: readonly SessionOptions[], { defaults }: SupervisorSettings): SessionSettings[] {
  if (!Array.isArray(children)) {
    throw invalidOptions("supervisor", [{ field: "children", message: "expected an array of session options" }]);
  }
  const problems: CastellanError<"INVALID_OPTIONS">["details"]["problems"][number][] = [];
  const places = new Map<string, number>();
  const settings = children.flatMap((options, index) => {
    try {
      const one = sessionSettings(options, defaults, `children[${index}]`);
      const first = places.get(one.key);
      if (first === undefined) places.set(one.key, index);
      else
        problems.push({
          field: `children[${index}].name`,
          message: `${formatName(one.name)} is also the name of children[${first}]`,
        });
      return [one];
    } catch (error) {
      if (!CastellanError.is(error, "INVALID_OPTIONS")) throw error;
      problems.push(...error.details.problems);
      return [];
    }
  });
  if (problems.length > 0) throw invalidOptions("supervisor", problems);
  return settings;
}
