import type { SharedJournal } from "../journal/shared-journal.ts";
import { nameKey, type SessionName } from "../names.ts";
import type { SupervisorJournal } from "../session/persistence/supervisor-journal.ts";
import type { WebhookDeliveries } from "../webhooks/webhook-deliveries.ts";
import type { Webhooks } from "../webhooks/webhooks.ts";

/** The deliveries of a supervisor's sessions to the endpoints of its application, if that has any. */
export class SupervisorDeliveries {
  readonly #webhooks: Promise<Webhooks> | undefined;
  #deliveries: WebhookDeliveries | undefined;
  #opened: readonly [SharedJournal, SupervisorJournal] | undefined;

  constructor(webhooks: Promise<Webhooks> | undefined) {
    this.#webhooks = webhooks;
  }

  /** Continues what is left in the journal, which has just been opened. */
  async open(shared: SharedJournal, own: SupervisorJournal): Promise<void> {
    const { journal, writer } = shared;
    this.#opened = [shared, own];
    this.#deliveries = (await this.#webhooks)?.deliveriesOf(journal, writer, own.supervisor);
    own.delivery = this.#deliveries;
    this.#deliveries?.start();
  }

  /** Delivers again, because the journal has come back. */
  async reopen(): Promise<void> {
    if (this.#opened !== undefined) await this.open(...this.#opened);
  }

  /** Delivers nothing more about a session, because another application does. */
  leave(name: SessionName): void {
    this.#deliveries?.leave(nameKey(name));
  }

  /** Delivers nothing more, at once. */
  stop(): void {
    this.#deliveries?.stop();
  }

  async close(): Promise<void> {
    if (this.#deliveries !== undefined) await (await this.#webhooks)?.closeDeliveries(this.#deliveries);
  }
}
