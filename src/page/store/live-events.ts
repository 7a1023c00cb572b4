import type { SupervisorEvent, SupervisorEventType } from "../../wire/supervisor-event.ts";
import type { Name } from "./name.ts";

/** The events after which the list shows something else. */
export const LIVE_TYPES: readonly SupervisorEventType[] = [
  "session:start",
  "session:state",
  "session:restart",
  "session:fault",
  "session:quarantine",
  "session:stop",
  "activation:start",
  "activation:end",
  "turn:accept",
  "turn:begin",
  "turn:end",
  "approval:request",
  "approval:settle",
  "capacity:wait",
  "capacity:end",
];

/** Returns the session that an event concerns, if any. */
export function sessionOf(event: SupervisorEvent): Name | undefined {
  return "session" in event ? event.session : undefined;
}
