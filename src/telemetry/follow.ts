import type { CastellanEvents, EventName } from "../events.ts";
import { eventNames, on } from "../events.ts";
import { formatName, nameKey, nameProblem, type SessionName } from "../names.ts";
import { invalidOptions } from "../session/options/validation.ts";
import { Session } from "../session/session.ts";
import { fieldsOf, isBad } from "./event-fields.ts";
import type { EventLogger } from "./log.ts";
import { stderrLogger } from "./stderr-logger.ts";

/** How a session is followed. */
export interface FollowOptions {
  /** What lines are written to. Default: they are written to the standard error output. */
  readonly logger?: EventLogger;
  /** Whether lines have the text of prompts, messages and replies. Default `false`. */
  readonly content?: boolean;
}

/**
 * Writes a line for everything that happens to one session, to see what it is doing: each event about it, and each message of its
 * process. A line never has what goes into a tool or comes out of it, what the process writes to its standard error output, nor the
 * environment or a key of the session.
 *
 * @returns ends that
 * @throws CastellanError `INVALID_OPTIONS` if it is no name
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
    const of = "session" in event ? event.session : "member" in event ? event.member : undefined;
    if (of === undefined || nameKey(of) !== key) return;
    const what = channel.replace("castellan:", "");
    logger[isBad(event) ? "warn" : "info"](fieldsOf(event, content), `${formatName(name)} ${what}`);
  };
  const ends = eventNames.map((channel) => on(channel, (event) => write(channel, event)));
  return () => {
    for (const end of ends) end();
  };
}
