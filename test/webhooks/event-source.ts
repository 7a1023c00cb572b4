import { randomUUID } from "node:crypto";
import { type Clock, systemClock } from "../../src/clock.ts";
import { JournalWriter } from "../../src/journal/journal-writer.ts";
import type { EventEntry } from "../../src/journal/model/event-entry.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import type { WebhookDeliveries } from "../../src/webhooks/webhook-deliveries.ts";
import { type WebhookOptions, webhookSettings } from "../../src/webhooks/webhook-options.ts";
import { Webhooks } from "../../src/webhooks/webhooks.ts";

/** An application that writes events of sessions and delivers them, without the sessions. */
export class EventSource implements AsyncDisposable {
  readonly journal: Journal;
  readonly writer: JournalWriter;
  readonly webhooks: Webhooks;
  readonly deliveries: WebhookDeliveries;
  readonly warnings: string[] = [];
  readonly #last = new Map<string, number>();

  private constructor(journal: Journal, options: readonly WebhookOptions[], clock: Clock, last: Map<string, number>) {
    this.journal = journal;
    this.writer = new JournalWriter(journal, { clock: systemClock, random: () => 0.5 });
    const warn = (message: string): void => void this.warnings.push(message);
    const deps = { clock, random: () => 0.5, newId: randomUUID, warn, mostLanes: 40 };
    this.webhooks = new Webhooks(webhookSettings(options), deps);
    this.deliveries = this.webhooks.deliveriesOf(journal, this.writer, "application");
    this.#last = last;
  }

  /** Opens the journal, and begins to deliver what is left of earlier applications. */
  static async open(
    journal: Journal,
    options: readonly WebhookOptions[],
    clock: Clock,
    sessions: readonly string[] = [],
  ): Promise<EventSource> {
    await journal.open({ id: randomUUID(), pid: 1, host: "here", startedAt: 0 });
    const last = new Map<string, number>();
    for (const session of sessions) last.set(session, (await journal.eventExtent(session))?.last ?? 0);
    const source = new EventSource(journal, options, clock, last);
    source.deliveries.start();
    return source;
  }

  /** Writes an event as a session does. Resolves once it is written. */
  async append(session: string, changed: Partial<EventEntry> = {}): Promise<EventEntry> {
    const number = (this.#last.get(session) ?? 0) + 1;
    this.#last.set(session, number);
    const turn = `turn ${number}`;
    const body = { v: 1, state: "completed" };
    const event: EventEntry = { session, number, at: Date.now(), type: "turn_ended", turn, body, ...changed };
    const appended = { type: "event_appended", event } as const;
    const delivery = this.deliveries.due(session, [appended]);
    await new Promise<void>((resolve, reject) => {
      this.writer.note([...(delivery?.changes ?? []), appended], { session }, (error) => {
        delivery?.settled(error === undefined);
        if (error === undefined) resolve();
        else reject(error);
      });
    });
    return event;
  }

  /** Stops at once, as a killed process does, except that its requests may still arrive. */
  kill(): void {
    this.deliveries.stop();
    this.webhooks.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.webhooks.closeDeliveries(this.deliveries);
    this.webhooks.close();
    await this.writer.close(5_000);
    await this.journal.close();
  }
}
