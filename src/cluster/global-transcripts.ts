import type { SessionStore } from "@anthropic-ai/claude-agent-sdk";
import { CastellanError } from "../errors.ts";
import { type PostgresOptions, postgresPlace } from "../journal/postgres/postgres-place.ts";
import {
  type LackingUse,
  type OwnedWrite,
  PostgresTranscriptClient,
} from "../journal/postgres/postgres-transcript-client.ts";
import { fenceEpochs, type OwningRun } from "./epoch-fence.ts";
import type { Holdings } from "./holdings.ts";
import { CLUSTER_TABLES } from "./postgres/cluster-tables.ts";

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
 * @param lacking what is done when the database lacks what it has confirmed. Default: what is known is written once more
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function globalTranscripts(
  options: PostgresOptions,
  run: OwningRun,
  holdings: Holdings,
  lacking?: LackingUse,
): GlobalTranscripts {
  const client = new PostgresTranscriptClient(postgresPlace(options), [CLUSTER_TABLES], lacking);
  const fenced = (key: string): OwnedWrite => {
    const epoch = holdings.epochOf(key);
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
