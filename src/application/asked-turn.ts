import type { TurnAsked } from "../cluster/protocol/frames.ts";
import { withoutUndefined } from "../fields.ts";
import { command } from "../session/options/command.ts";
import type { Prompt } from "../session/options/prompt.ts";
import type { TurnOptions } from "../session/options/turn-options.ts";

/* A turn that another node asks for, as a session or a pool is asked for it. */

/** Its prompt, or its command. */
export function promptOf({ prompt, command: call }: TurnAsked): Prompt {
  return call === undefined ? prompt : command(call.name, call.args);
}

/** Its options but for its key, which a pool has no use for. */
export function turnOptionsOf({
  timeoutMs: timeout,
  queueTimeoutMs: queueTimeout,
  whenBusy,
  verbatimPrompts,
}: TurnAsked): TurnOptions {
  return withoutUndefined({ timeout, queueTimeout, whenBusy, verbatimPrompts }) as TurnOptions;
}
