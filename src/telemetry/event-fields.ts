import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { CastellanError, ExitRecord } from "../errors.ts";
import type { CastellanEvents, EventName, TurnUsage } from "../events.ts";
import { messageFields } from "./message-fields.ts";

/** What an event may have that a line does not say as it is, besides the name of the supervisor, of the node, or of a database. */
interface Parts {
  readonly supervisor?: string;
  readonly node?: string;
  readonly place?: string;
  readonly prompt?: string;
  readonly exit?: ExitRecord;
  readonly lastExits?: readonly ExitRecord[];
  readonly reply?: TurnUsage & { readonly text: string };
  readonly error?: CastellanError;
  /** What a fault says. */
  readonly reason?: string;
  readonly message?: SDKMessage;
}

/** Whether somebody should look at it. */
export function isBad({ exit, lastExits, error, reason }: Parts): boolean {
  const failed = lastExits !== undefined || error !== undefined || reason !== undefined;
  return failed || (exit !== undefined && exit.class !== "done");
}

/**
 * What a line says of an event: its numbers, words and names, and of all else only what is listed here. `content` says whether
 * that has the text of prompts, messages and replies. Errors, exits and faults are named and not quoted: they repeat what the process, or an
 * MCP server, wrote last to its standard error output, which may be anything.
 */
export function fieldsOf(event: CastellanEvents[EventName], content: boolean): Readonly<Record<string, unknown>> {
  const { prompt, exit, lastExits, reply, error, reason: _, message, ...rest }: Parts = event;
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

/** A number, a word, a truth value, or the name of a session. */
function isPlain(value: unknown): boolean {
  return value !== undefined && (typeof value !== "object" || Array.isArray(value));
}

function exitFields({ class: of, pid, code, signal }: ExitRecord): object {
  return { class: of, pid, code, signal };
}
