import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { messageFields } from "../claude/messages/message-fields.ts";
import type { CastellanError, ExitRecord } from "../errors.ts";
import type { CastellanEvents, EventName, TurnUsage } from "../events.ts";
import { eventNames, on } from "../events.ts";
import { formatName, nameKey, nameProblem, type SessionName } from "../names.ts";
import { printable } from "../printable.ts";
import { invalidOptions } from "../session/options/validation.ts";
import { Session } from "../session/session.ts";
import type { EventLogger } from "./log.ts";

/** Options of {@link follow}. */
export interface FollowOptions {
  /** The logger for the lines. Default: standard error. */
  readonly logger?: EventLogger;
  /** Whether lines include the text of prompts, messages and replies. Default `false`. */
  readonly content?: boolean;
}

/**
 * Logs a line for every event of one session and for every message of its process. A line never includes the input or output of a
 * tool, the standard error of the process, its environment or a key.
 *
 * @returns a function that stops logging
 * @throws CastellanError `INVALID_OPTIONS` if `session` is not a valid name
 * @example
 * const stop = follow(["support", 42]);
 */
export function follow(session: SessionName | Session, options: FollowOptions = {}): () => void {
  const { logger = stderrLogger(), content = false } = options;
  const name = session instanceof Session ? session.name : session;
  const problem = nameProblem(name);
  if (problem !== undefined) throw invalidOptions("follow", [{ field: "session", message: problem }]);
  const key = nameKey(name);
  const write = (channel: EventName, event: CastellanEvents[EventName]): void => {
    const subject = "session" in event ? event.session : "member" in event ? event.member : undefined;
    if (subject === undefined || nameKey(subject) !== key) return;
    const what = channel.replace("castellan:", "");
    logger[isFailure(event) ? "warn" : "info"](fieldsOf(event, content), `${formatName(name)} ${what}`);
  };
  const unsubscribes = eventNames.map((channel) => on(channel, (event) => write(channel, event)));
  return () => {
    for (const unsubscribe of unsubscribes) unsubscribe();
  };
}

/** A logger that writes lines for people to standard error: time, level, message, and each field as `name=value`. */
export function stderrLogger(write: (line: string) => void = (line) => void process.stderr.write(line)): EventLogger {
  const line = (level: string) => (fields: object, message: string) => {
    const known = Object.entries(fields).filter(([, value]) => value !== undefined);
    const shown = known.map(([name, value]) => `${name}=${shownValue(value)}`);
    write(`${printable([new Date().toISOString(), level, message, ...shown].join(" "))}\n`);
  };
  return { info: line("info"), warn: line("warn") };
}

/** A plain word unquoted; any other value as JSON, which has no line breaks. */
function shownValue(value: unknown): string {
  return typeof value === "string" && /^[\w.:-]+$/.test(value) ? value : JSON.stringify(value);
}

/** The fields of events that a line shortens or omits. A line copies all other plain fields. */
interface SpecialFields {
  readonly endpoint?: string;
  readonly supervisor?: string;
  readonly node?: string;
  readonly location?: string;
  readonly prompt?: string;
  readonly exit?: ExitRecord;
  readonly lastExits?: readonly ExitRecord[];
  readonly reply?: TurnUsage & { readonly text: string };
  readonly error?: CastellanError;
  /** The message of a fault. */
  readonly reason?: string;
  readonly message?: SDKMessage;
}

/** Whether an event reports a failure. */
function isFailure({ exit, lastExits, error, reason }: SpecialFields): boolean {
  const failed = lastExits !== undefined || error !== undefined || reason !== undefined;
  return failed || (exit !== undefined && exit.class !== "done");
}

/**
 * The fields of an event's line: numbers, booleans, strings and names, and of objects only the fields listed here. With `content`
 * also the text of prompts, messages and replies. Errors, exits and faults are named, not quoted: their messages repeat the standard
 * error of the process or of an MCP server, which may contain secrets.
 */
function fieldsOf(event: CastellanEvents[EventName], content: boolean): Readonly<Record<string, unknown>> {
  const { prompt, exit, lastExits, reply, error, reason: _, message, ...rest }: SpecialFields = event;
  return {
    ...Object.fromEntries(Object.entries<unknown>(rest).filter(([, value]) => isPlain(value))),
    ...(prompt === undefined ? {} : { promptLength: prompt.length, ...(content ? { prompt } : {}) }),
    ...(exit === undefined ? {} : exitFields(exit)),
    ...(lastExits === undefined ? {} : { exits: lastExits.map(exitFields) }),
    ...(reply === undefined
      ? {}
      : { costUsd: reply.costUsd, ...reply.usage, ...(content ? { text: reply.text } : {}) }),
    ...(error === undefined ? {} : { error: error.code }),
    ...(message === undefined ? {} : messageFields(message, content)),
  };
}

/** Whether a value is a number, string, boolean or session name. */
function isPlain(value: unknown): boolean {
  return value !== undefined && (typeof value !== "object" || Array.isArray(value));
}

function exitFields({ class: of, pid, code, signal }: ExitRecord): object {
  return { class: of, pid, code, signal };
}
