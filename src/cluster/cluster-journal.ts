import type { Clock } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import type { Batch } from "../journal/model/change.ts";
import type { DeliveryEntry, DeliveryQuery } from "../journal/model/delivery-entry.ts";
import type { Journal } from "../journal/model/journal.ts";
import { type PostgresSubject, subjectOf, unavailable } from "../journal/postgres/postgres-fault.ts";
import { PostgresJournal } from "../journal/postgres/postgres-journal.ts";
import {
  type PostgresLocation,
  type PostgresOptions,
  postgresLocation,
} from "../journal/postgres/postgres-location.ts";
import type { JournalFencing } from "../journal/postgres/write-fence.ts";
import type { OwningRun } from "./epoch-fence.ts";
import { type ClosableTranscripts, formerGlobalTranscripts } from "./former-transcripts.ts";
import { NodeWriteFence } from "./node-write-fence.ts";
import type { OwnedEpochs } from "./owned-epochs.ts";
import { CLUSTER_TABLES } from "./postgres/cluster-tables.ts";

/** The journal of the sessions that one run of a node owns. */
export interface ClusterJournal extends Journal {
  /** See {@link PostgresJournal.catchUp}. */
  catchUp(): Promise<void>;
  /**
   * Tells the journal that the run has lost its lease. `lost` resolves with `error`, and later writes reject with it.
   */
  lose(error: CastellanError<"NOT_OWNER">): void;
}

/**
 * Returns the journal of one run of a node, in the cluster's schema. All nodes have it open at the same time. Each
 * batch names the sessions whose changes it holds. A batch is written only if the run owns each of them under its epoch
 * in `owned`; otherwise the journal rejects with `NOT_OWNER` and accepts no further batch.
 *
 * @param run a run that has joined the engine
 * @param acts whether the node may act as an owner now, as far as it knows
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function clusterJournal(
  options: PostgresOptions,
  run: OwningRun,
  owned: OwnedEpochs,
  acts: () => boolean,
  clock: Clock,
  hooks: Pick<JournalFencing, "recent" | "onMissing" | "doubt"> = {},
): ClusterJournal {
  return new FencedJournal(postgresLocation(options), run, owned, acts, clock, hooks);
}

class FencedJournal extends PostgresJournal implements ClusterJournal {
  readonly shared = true;
  readonly #owned: OwnedEpochs;
  readonly #acts: () => boolean;
  readonly #subject: PostgresSubject;
  readonly #opened: { fence?: NodeWriteFence };
  readonly #former: ClosableTranscripts;

  constructor(
    location: PostgresLocation,
    run: OwningRun,
    owned: OwnedEpochs,
    acts: () => boolean,
    clock: Clock,
    hooks: Pick<JournalFencing, "recent" | "onMissing" | "doubt">,
  ) {
    const opened: { fence?: NodeWriteFence } = {};
    const former = formerGlobalTranscripts(location);
    super(location, clock, {
      ...hooks,
      tables: [CLUSTER_TABLES],
      former,
      take: async (database) => {
        opened.fence = await NodeWriteFence.take(database, run, owned);
        return opened.fence;
      },
    });
    this.#owned = owned;
    this.#acts = acts;
    this.#subject = subjectOf("journal", location);
    this.#opened = opened;
    this.#former = former;
  }

  override async close(): Promise<void> {
    await super.close();
    await this.#former.close();
  }

  lose(error: CastellanError<"NOT_OWNER">): void {
    this.#opened.fence?.lose(error);
  }

  /** Checks the lease again after the write: the process may have been suspended while it waited for the answer. */
  override async write(batch: Batch): Promise<void> {
    if (batch.sessions === undefined || batch.sessions.length === 0) {
      const what = "a batch names no session";
      throw unavailable(this.#subject, "refused", what, { applied: false });
    }
    await super.write(batch);
    if (this.#acts()) return;
    const message = `The journal ${this.location} accepted this node's write, but the node's lease has expired since: other nodes may own its sessions now.`;
    const error = new CastellanError("NOT_OWNER", message);
    this.lose(error);
    throw error;
  }

  /** Returns only sessions that the run owns. */
  override async dueBeginning(keyPrefix: string, until: number): Promise<string[]> {
    const keys = await super.dueBeginning(keyPrefix, until);
    return keys.filter((key) => this.#owned.epochOf(key) !== undefined);
  }

  /** Returns only those of sessions that the run owns. */
  override async deliveries(query: DeliveryQuery): Promise<DeliveryEntry[]> {
    const owned = (query.sessions ?? this.#owned.keys).filter((key) => this.#owned.epochOf(key) !== undefined);
    return await super.deliveries({ ...query, sessions: owned });
  }

  /** Returns only sessions that the run owns. */
  override async unfinishedBeginning(keyPrefix: string): Promise<string[]> {
    const keys = await super.unfinishedBeginning(keyPrefix);
    return keys.filter((key) => this.#owned.epochOf(key) !== undefined);
  }
}
