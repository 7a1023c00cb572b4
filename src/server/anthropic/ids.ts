import { createHash } from "node:crypto";
import { nameKey, nameProblem, type SessionName } from "../../names.ts";

const SESSION = "sesn_";
const EVENT = "sevt_";
const THREAD = "sthr_";

/** Returns the id of a session. It contains the name, so no table of ids is needed, on any node. */
export function sessionIdOf(name: SessionName): string {
  return `${SESSION}${Buffer.from(nameKey(name)).toString("base64url")}`;
}

/** Returns the name of the session with this id, or undefined if it is not an id. */
export function nameOfSessionId(id: string): SessionName | undefined {
  if (!id.startsWith(SESSION)) return undefined;
  let name: unknown;
  try {
    name = JSON.parse(Buffer.from(id.slice(SESSION.length), "base64url").toString());
  } catch {
    return undefined;
  }
  if (nameProblem(name) !== undefined) return undefined;
  // The check above makes it a name. Another spelling of the same name is not its id.
  const found = name as SessionName;
  return sessionIdOf(found) === id ? found : undefined;
}

/**
 * The ids of a session's events. They derive from the record: from the number of the recorded event, or from the id of
 * what the event is about, if a client has to know the event's id before the event has a number.
 */
export class EventIds {
  readonly #prefix: string;
  readonly #threadPrefix: string;

  constructor(session: SessionName) {
    const digest = createHash("sha256").update(nameKey(session)).digest("base64url").replace(/[-_]/g, "").slice(0, 12);
    this.#prefix = `${EVENT}${digest}_`;
    this.#threadPrefix = `${THREAD}${digest}_`;
  }

  /** An event that the recorded event with this number causes. @param part tells apart the events of one number */
  numbered(number: number, part: string): string {
    return `${this.#prefix}n${number}${part}`;
  }

  /** The message that began a turn. */
  message(turnId: string): string {
    return `${this.#prefix}t_${turnId}`;
  }

  /** A message that was given to a turn. */
  steer(id: string): string {
    return `${this.#prefix}s_${id}`;
  }

  /** A text or thinking. Its previews have the id, too. */
  block(block: string): string {
    return `${this.#prefix}b_${block}`;
  }

  /** A tool call. */
  toolUse(toolUseId: string): string {
    return `${this.#prefix}u_${toolUseId}`;
  }

  /** Returns the id of the tool call of an event, or undefined if the event is not one. */
  toolUseOf(eventId: string): string | undefined {
    const prefix = this.toolUse("");
    return eventId.startsWith(prefix) ? eventId.slice(prefix.length) : undefined;
  }

  /** The answer to a permission request, or to a custom tool. */
  answer(approvalId: string): string {
    return `${this.#prefix}c_${approvalId}`;
  }

  /** A note of the server in the record. */
  note(id: string): string {
    return `${this.#prefix}x_${id}`;
  }

  /** The end of a session that was deleted, which nothing records. */
  deleted(): string {
    return `${this.#prefix}deleted`;
  }

  /** The thread of a subagent, by the tool call that started it; the session's own thread without one. */
  thread(toolUseId?: string): string {
    return `${this.#threadPrefix}${toolUseId ?? "primary"}`;
  }

  /** Returns the tool call of a thread: `"primary"` for the session's own thread, undefined if it is not a thread. */
  threadOf(id: string): string | undefined {
    return id.startsWith(this.#threadPrefix) ? id.slice(this.#threadPrefix.length) : undefined;
  }
}
