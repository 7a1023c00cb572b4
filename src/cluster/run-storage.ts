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
  /** The name of the node. */
  readonly node: string;
  /** Has joined the engine. */
  readonly run: OwningRun;
  readonly owned: OwnedEpochs;
  /** Whether the run may act as an owner at this moment, as far as the node knows. */
  readonly acts: () => boolean;
  readonly replay: ReplayBuffer;
  readonly clock: Clock;
}

/** Where the sessions that one run of a node owns are written: a journal and transcripts that refuse what the run does not own. */
export class RunStorage {
  /** The name of the node. */
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

  /** The journal of these sessions. Whoever opens it closes it. */
  get journal(): Journal {
    return this.#journal;
  }

  /** Resolves if the journal finds out that the run owns nothing any more. */
  get lost(): Promise<CastellanError> | undefined {
    return this.#journal.lost;
  }

  /** Whether the session of this canonical name is the run's at this moment. No other may begin here. */
  owns(key: string): boolean {
    return this.#owned.epochOf(key) !== undefined;
  }

  /** The transcripts of the session of this canonical name. */
  storeOf(key: string): SessionStore {
    return this.#transcripts.storeOf(key);
  }

  /** Tells the database once more what it lacks of what it has confirmed, see `Engine.era`. */
  async catchUp(): Promise<void> {
    await this.#journal.catchUp();
    await this.#transcripts.catchUp();
  }

  /** Refuses all that is written from now on. */
  lose(cause: CastellanError): void {
    this.#journal.lose(CastellanError.is(cause, "NOT_OWNER") ? cause : new CastellanError("NOT_OWNER", cause.message));
  }

  /** Closes the transcripts, to be called after the journal has been closed. */
  async close(): Promise<void> {
    await this.#transcripts.close();
  }
}

/** The transcripts of global sessions, as one run of a node may read and write them. */
export interface GlobalTranscripts {
  /**
   * The option `sessionStore` of the session of this canonical name. It has what every node has written, wherever it works.
   * `append` and `delete` reject with `NOT_OWNER`, and leave nothing, if the node does not own the session under the epoch
   * under which it did when they were called.
   */
  storeOf(key: string): Required<SessionStore>;
  /** See {@link PostgresTranscriptClient.catchUp}. Of sessions that the run does not own any more nothing is given again. */
  catchUp(): Promise<void>;
  /** Lets what is under way come to its end, and closes the connections. */
  close(): Promise<void>;
}

/** Under which project the transcripts of all global sessions are: the SDK's names the directory, which nodes may not share. */
const PROJECT = "global";

/**
 * Keeps the transcripts of global sessions, as {@link postgresSessionStore} does. Each entry is stored with the epoch under which
 * it was written.
 *
 * @param run has joined the engine
 * @param recovery what is done when the database lacks what it has confirmed. Default: what is known is written once more
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
