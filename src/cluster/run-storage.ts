import type { SessionStore } from "@anthropic-ai/claude-agent-sdk";
import type { Clock } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import type { Journal } from "../journal/model/journal.ts";
import { type PostgresOptions, postgresLocation } from "../journal/postgres/postgres-location.ts";
import {
  type OwnedWrite,
  PostgresTranscriptClient,
  type TranscriptRecovery,
} from "../journal/postgres/postgres-transcript-client.ts";
import { type ClusterJournal, clusterJournal } from "./cluster-journal.ts";
import { fenceEpochs, type OwningRun } from "./epoch-fence.ts";
import type { OwnedEpochs } from "./owned-epochs.ts";
import { CLUSTER_TABLES } from "./postgres/cluster-tables.ts";
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

/** The journal and transcripts of one run of a node. They reject writes for sessions that the run does not own. */
export class RunStorage {
  /** Name of the node. */
  readonly node: string;
  readonly #journal: ClusterJournal;
  readonly #transcripts: GlobalTranscripts;
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
    this.#transcripts = globalTranscripts(location, run, owned, replay.transcripts);
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

  /** Returns the transcripts of a session, by canonical name. */
  storeOf(key: string): SessionStore {
    return this.#transcripts.storeOf(key);
  }

  /** Writes again what the database lacks of its confirmed commits, see `Engine.era`. */
  async catchUp(): Promise<void> {
    await this.#journal.catchUp();
    await this.#transcripts.catchUp();
  }

  /** Rejects all later writes. */
  lose(cause: CastellanError): void {
    this.#journal.lose(CastellanError.is(cause, "NOT_OWNER") ? cause : new CastellanError("NOT_OWNER", cause.message));
  }

  /** Closes the transcripts. Close the journal first. */
  async close(): Promise<void> {
    await this.#transcripts.close();
  }
}

/** The transcripts of global sessions, for one run of a node. */
export interface GlobalTranscripts {
  /**
   * Returns the `sessionStore` option of a session, by canonical name. It reads what any node has written. `append` and
   * `delete` reject with `NOT_OWNER`, without effect, unless the node still owns the session under the epoch of the
   * call.
   */
  storeOf(key: string): Required<SessionStore>;
  /** As {@link PostgresTranscriptClient.catchUp}. Skips sessions that the run no longer owns. */
  catchUp(): Promise<void>;
  /** Waits for pending calls, and closes the connections. */
  close(): Promise<void>;
}

/** One project key for all global sessions: the SDK's key is the working directory, which differs between nodes. */
const PROJECT = "global";

/**
 * Stores the transcripts of global sessions as {@link postgresSessionStore} does, each entry with the epoch of its
 * write.
 *
 * @param run a run that has joined the engine
 * @param recovery what to do when the database lacks confirmed entries. Default: write the known ones again
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function globalTranscripts(
  options: PostgresOptions,
  run: OwningRun,
  owned: OwnedEpochs,
  recovery?: TranscriptRecovery,
): GlobalTranscripts {
  const client = new PostgresTranscriptClient(postgresLocation(options), [CLUSTER_TABLES], recovery);
  const fenced = (key: string): OwnedWrite => {
    const epoch = owned.epochOf(key);
    if (epoch === undefined) {
      throw new CastellanError("NOT_OWNER", `This node does not own the session ${key}.`);
    }
    return { session: key, epoch, fence: (query) => fenceEpochs(query, run, new Map([[key, epoch]])) };
  };
  return {
    storeOf: (key) => client.store({ project: PROJECT, fenced: () => fenced(key) }),
    catchUp: () => client.catchUp(({ session }) => fenced(session)),
    close: () => client.close(),
  };
}
