import type { Change } from "./change.ts";

export type ChangeOf<Type extends Change["type"]> = Extract<Change, { readonly type: Type }>;

/** Changes of one type that can be applied at once: no two concern the same subject. */
export type ChangeGroup = {
  [Type in Change["type"]]: { readonly type: Type; readonly changes: ChangeOf<Type>[] };
}[Change["type"]];

/** Changes that concern any number of subjects and keep their position among all others. */
const BARRIERS: ReadonlySet<Change["type"]> = new Set(["session_forgotten", "session_erased", "conversation_erased"]);

/**
 * Groups changes that can be applied at once. Applying the groups in order has the same effect as the changes in order:
 * changes of one subject keep their order, and forgetting and erasing keep their position among all changes. Purely
 * additive changes have no subject; those of one type keep their order.
 */
export function changeGroups(changes: readonly Change[]): ChangeGroup[] {
  const groups: { readonly group: ChangeGroup; readonly things: Set<string | undefined> }[] = [];
  for (const change of changes) {
    const thing = subjectOf(change);
    const isBefore = ({ group, things }: (typeof groups)[number]): boolean =>
      BARRIERS.has(group.type) || (thing !== undefined && things.has(thing));
    const from = BARRIERS.has(change.type) ? groups.length : groups.findLastIndex(isBefore) + 1;
    const found = groups.find(({ group }, index) => index >= from && group.type === change.type);
    if (found === undefined) {
      groups.push({ group: { type: change.type, changes: [change] } as ChangeGroup, things: new Set([thing]) });
    } else {
      (found.group.changes as Change[]).push(change);
      found.things.add(thing);
    }
  }
  return groups.map(({ group }) => group);
}

/** Returns the subject of a change. Sessions, turns, jobs and approvals have separate ids. */
function subjectOf(change: Change): string | undefined {
  switch (change.type) {
    case "session_saved":
      return `session ${change.session.key}`;
    case "session_described":
    case "session_forgotten":
    case "session_erased":
    case "conversation_erased":
      return `session ${change.session}`;
    case "turn_accepted":
      return `turn ${change.turn.id}`;
    case "turn_withdrawn":
    case "turn_begun":
    case "turn_touched":
    case "turn_requeued":
    case "turn_ended":
      return `turn ${change.turn}`;
    case "job_saved":
    case "job_added":
      return `job ${change.job.id}`;
    case "job_dropped":
      return `job ${change.job}`;
    case "spent":
    case "conversation_left":
    case "event_appended":
    case "transcript_appended":
      return undefined;
    case "delivery_due":
      return `delivery ${change.delivery.session} ${change.delivery.endpoint}`;
    case "delivery_advanced":
    case "delivery_done":
      return `delivery ${change.session} ${change.endpoint}`;
    case "approval_requested":
      return `approval ${change.approval.id}`;
    case "approval_settled":
      return `approval ${change.approval}`;
  }
}
