import type { Change } from "../model/change.ts";
import type { ChangeOf } from "../model/change-groups.ts";
import { type DeliveryEntry, type DeliveryQuery, deliveryLimitOf } from "../model/delivery-entry.ts";
import { compareKeys } from "../model/session-list.ts";

/** The types of changes of deliveries. */
type DeliveryChange = ChangeOf<Extract<Change["type"], `delivery_${string}`>>;

/** How far receivers have got with the events of the sessions in memory. */
export class MemoryDeliveries {
  /** By session and endpoint. */
  readonly #entries = new Map<string, DeliveryEntry>();

  make(change: DeliveryChange): void {
    if (change.type === "delivery_due") {
      const { delivery } = change;
      const before = this.#entries.get(idOf(delivery));
      const after = Math.min(before?.after ?? delivery.after, delivery.after);
      this.#entries.set(idOf(delivery), { ...delivery, after, at: Math.max(before?.at ?? delivery.at, delivery.at) });
    } else if (change.type === "delivery_advanced") {
      const before = this.#entries.get(idOf(change));
      if (before !== undefined) this.#entries.set(idOf(change), { ...before, after: change.after, at: change.at });
    } else this.#entries.delete(idOf(change));
  }

  page(query: DeliveryQuery): DeliveryEntry[] {
    const { supervisor, after } = query;
    const sessions = query.sessions && new Set(query.sessions);
    return [...this.#entries.values()]
      .filter((entry) => supervisor === undefined || entry.supervisor === supervisor)
      .filter((entry) => sessions === undefined || sessions.has(entry.session))
      .filter((entry) => after === undefined || compare(entry, after) > 0)
      .toSorted(compare)
      .slice(0, deliveryLimitOf(query));
  }

  prune(since: number): void {
    for (const [id, { at }] of this.#entries) if (at < since) this.#entries.delete(id);
  }

  forget(session: string): void {
    for (const [id, entry] of this.#entries) if (entry.session === session) this.#entries.delete(id);
  }
}

type Subject = Pick<DeliveryEntry, "session" | "endpoint">;

function idOf({ session, endpoint }: Subject): string {
  return JSON.stringify([session, endpoint]);
}

function compare(one: Subject, other: Subject): number {
  return compareKeys(one.session, other.session) || compareKeys(one.endpoint, other.endpoint);
}
