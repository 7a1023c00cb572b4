import type { Clock } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import type { Batch } from "../journal/model/change.ts";
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
import { NodeWriteFence } from "./node-write-fence.ts";
import type { OwnedEpochs } from "./owned-epochs.ts";
import { CLUSTER_TABLES } from "./postgres/cluster-tables.ts";

/** The journal of the sessions that one run of a node owns. */
export interface ClusterJournal extends Journal {
  /** See {@link PostgresJournal.catchUp}. */
  catchUp(): Promise<void>;
  /**
   * To be told that the node owns nothing any more, which it finds out by its lease: `lost` resolves with this error, and what
   * is written from now on is refused with it.
   */
  lose(error: CastellanError<"NOT_OWNER">): void;
}

/**
 * The journal of one run of a node, in the schema of the cluster; all nodes have it open at the same time. A batch has to say
 * whose changes it has. It is written if the node owns each of these sessions under the epoch in `owned`, and is not when
 * it does not: then the journal rejects with `NOT_OWNER`, and takes nothing more.
 *
 * @param run has joined the engine
 * @param acts whether the node may act as an owner at this moment, as far as it knows
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

  constructor(
    location: PostgresLocation,
    run: OwningRun,
    owned: OwnedEpochs,
    acts: () => boolean,
    clock: Clock,
    hooks: Pick<JournalFencing, "recent" | "onMissing" | "doubt">,
  ) {
    const opened: { fence?: NodeWriteFence } = {};
    super(location, clock, {
      ...hooks,
      tables: [CLUSTER_TABLES],
      take: async (database) => {
        opened.fence = await NodeWriteFence.take(database, run, owned);
        return opened.fence;
      },
    });
    this.#owned = owned;
    this.#acts = acts;
    this.#subject = subjectOf("journal", location);
    this.#opened = opened;
  }

  lose(error: CastellanError<"NOT_OWNER">): void {
    this.#opened.fence?.lose(error);
  }

  /** A node that stood still while it waited for the answer must not go on as if it had just come. */
  override async write(batch: Batch): Promise<void> {
    if (batch.sessions === undefined || batch.sessions.length === 0) {
      const what = "a batch does not say whose changes it has";
      throw unavailable(this.#subject, "refused", what, { applied: false });
    }
    await super.write(batch);
    if (this.#acts()) return;
    const message = `The journal ${this.location} has taken what this node wrote, but by now others may have taken its sessions.`;
    const error = new CastellanError("NOT_OWNER", message);
    this.lose(error);
    throw error;
  }

  /** Of the sessions that the node owns. */
  override async unfinishedBeginning(keyPrefix: string): Promise<string[]> {
    const keys = await super.unfinishedBeginning(keyPrefix);
    return keys.filter((key) => this.#owned.epochOf(key) !== undefined);
  }
}
