import type { Clock } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import type { Journal } from "../journal/model/journal.ts";
import type { PostgresOptions } from "../journal/postgres/postgres-location.ts";
import { type ClusterJournal, clusterJournal } from "./cluster-journal.ts";
import type { OwningRun } from "./epoch-fence.ts";
import type { OwnedEpochs } from "./owned-epochs.ts";
import type { ReplayBuffer } from "./replay-buffer.ts";

export interface RunStorageDeps {
  readonly location: PostgresOptions;
  /** Name of the node. */
  readonly node: string;
  /** A run that has joined the engine. */
  readonly run: OwningRun;
  readonly owned: OwnedEpochs;
  /** Whether the run may act as an owner now, as far as the node knows. */
  readonly acts: () => boolean;
  readonly replay: ReplayBuffer;
  readonly clock: Clock;
}

/** The journal of one run of a node. It rejects writes for sessions that the run does not own. */
export class RunStorage {
  /** Name of the node. */
  readonly node: string;
  readonly #journal: ClusterJournal;
  readonly #owned: OwnedEpochs;

  /** @throws CastellanError `INVALID_OPTIONS` */
  constructor({ location, node, run, owned, acts, replay, clock }: RunStorageDeps) {
    this.node = node;
    this.#owned = owned;
    this.#journal = clusterJournal(location, run, owned, acts, clock, {
      recent: () => replay.batchesOf(run.boot),
      onMissing: (missing) => replay.reportMissing(missing),
      doubt: (problem) => replay.doubt(problem),
    });
  }

  /** The journal of these sessions. The caller opens and closes it. */
  get journal(): Journal {
    return this.#journal;
  }

  /** Resolves when the journal finds out that the run owns nothing any more. */
  get lost(): Promise<CastellanError> | undefined {
    return this.#journal.lost;
  }

  /** Whether the run owns this session now. No other session may start here. */
  owns(key: string): boolean {
    return this.#owned.epochOf(key) !== undefined;
  }

  /** Writes again what the database lacks of its confirmed commits, see `Engine.era`. */
  async catchUp(): Promise<void> {
    await this.#journal.catchUp();
  }

  /** Rejects all later writes. */
  lose(cause: CastellanError): void {
    this.#journal.lose(CastellanError.is(cause, "NOT_OWNER") ? cause : new CastellanError("NOT_OWNER", cause.message));
  }
}
