import type { EventEntry } from "../journal/model/event-entry.ts";

/** The type of an event that a webhook sends. `approval.answered`: somebody approved or denied the request. */
export type WebhookType =
  | "turn.completed"
  | "turn.failed"
  | "turn.interrupted"
  | "turn.cancelled"
  | "turn.timed_out"
  | "approval.requested"
  | "approval.answered"
  | "approval.expired"
  | "approval.withdrawn";

const TYPES: { readonly [Type in WebhookType]: true } = {
  "turn.completed": true,
  "turn.failed": true,
  "turn.interrupted": true,
  "turn.cancelled": true,
  "turn.timed_out": true,
  "approval.requested": true,
  "approval.answered": true,
  "approval.expired": true,
  "approval.withdrawn": true,
};

/** The types of events that webhooks send. */
export const WEBHOOK_TYPES: readonly WebhookType[] = Object.keys(TYPES) as WebhookType[];

const TURNS: Readonly<Record<string, WebhookType>> = {
  completed: "turn.completed",
  failed: "turn.failed",
  interrupted: "turn.interrupted",
  cancelled: "turn.cancelled",
  timed_out: "turn.timed_out",
};

const SETTLED: Readonly<Record<string, WebhookType>> = {
  approved: "approval.answered",
  denied: "approval.answered",
  expired: "approval.expired",
  withdrawn: "approval.withdrawn",
};

/** Returns the type that a webhook sends an event of a record as; undefined if it sends none. */
export function webhookTypeOf({ type, body }: Pick<EventEntry, "type" | "body">): WebhookType | undefined {
  switch (type) {
    case "turn_ended":
      return TURNS[String(body["state"])];
    case "approval_requested":
      return "approval.requested";
    case "approval_settled":
      return SETTLED[String(body["outcome"])];
    default:
      return undefined;
  }
}

/** Returns the types of the events in a record that may have one of these types. */
export function recordedTypes(types: ReadonlySet<WebhookType>): readonly string[] {
  const some = (candidates: Iterable<WebhookType>): boolean => [...candidates].some((type) => types.has(type));
  return [
    ...(some(Object.values(TURNS)) ? ["turn_ended"] : []),
    ...(some(["approval.requested"]) ? ["approval_requested"] : []),
    ...(some(Object.values(SETTLED)) ? ["approval_settled"] : []),
  ];
}
