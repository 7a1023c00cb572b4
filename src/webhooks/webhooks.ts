import type { JournalWriter } from "../journal/journal-writer.ts";
import type { Journal } from "../journal/model/journal.ts";
import { Endpoint, type EndpointDeps } from "./endpoint.ts";
import { unknownWebhook } from "./unknown-webhook.ts";
import { WebhookDeliveries } from "./webhook-deliveries.ts";
import type { WebhookSettings } from "./webhook-options.ts";
import type { EndpointStatus, WebhookTest } from "./webhook-status.ts";

interface WebhooksDeps extends EndpointDeps {
  /** How many sessions of a journal an endpoint has in memory at most; the others wait in the journal. Default: 1,000. */
  readonly mostLanes?: number;
}

/** The endpoints of a supervisor, and what it delivers to them from its journals. */
export class Webhooks {
  readonly #endpoints: readonly Endpoint[];
  readonly #deps: WebhooksDeps;
  readonly #deliveries = new Set<WebhookDeliveries>();

  constructor(settings: readonly WebhookSettings[], deps: WebhooksDeps) {
    this.#endpoints = settings.map((one) => new Endpoint(one, deps));
    this.#deps = deps;
  }

  /** Returns what delivers the events of the sessions in a journal. The caller starts and closes it. */
  deliveriesOf(journal: Journal, writer: JournalWriter, supervisor: string): WebhookDeliveries {
    const { clock, random, mostLanes } = this.#deps;
    const endpoints = this.#endpoints;
    const deliveries = new WebhookDeliveries({ endpoints, journal, writer, supervisor, clock, random, mostLanes });
    this.#deliveries.add(deliveries);
    return deliveries;
  }

  /** Closes what {@link Webhooks.deliveriesOf} returned. */
  async closeDeliveries(deliveries: WebhookDeliveries): Promise<void> {
    await deliveries.close();
    this.#deliveries.delete(deliveries);
  }

  list(): readonly EndpointStatus[] {
    return this.#endpoints.map((endpoint) => {
      const pending = [...this.#deliveries].map((deliveries) => deliveries.pending(endpoint));
      const pendingSessions = pending.reduce((sum, { sessions }) => sum + sessions, 0);
      return { ...endpoint.status(), pendingSessions, morePending: pending.some(({ more }) => more) };
    });
  }

  /** @throws CastellanError `INVALID_OPTIONS` if there is no such endpoint */
  async test(id: string): Promise<WebhookTest> {
    return await this.#find(id).test();
  }

  /** @throws CastellanError `INVALID_OPTIONS` if there is no such endpoint */
  retry(id: string): void {
    this.#find(id).retry();
  }

  close(): void {
    for (const endpoint of this.#endpoints) endpoint.close();
  }

  #find(id: string): Endpoint {
    const found = this.#endpoints.find(({ settings }) => settings.id === id);
    if (found !== undefined) return found;
    const known = this.#endpoints.map(({ settings }) => settings.id);
    throw unknownWebhook(id, known);
  }
}
