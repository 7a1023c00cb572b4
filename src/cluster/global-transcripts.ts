import type { SessionStore } from "@anthropic-ai/claude-agent-sdk";
import { CastellanError } from "../errors.ts";
import { type PostgresOptions, postgresPlace } from "../journal/postgres-place.ts";
import { PostgresTranscriptDesk } from "../journal/postgres-transcript-desk.ts";
import type { FencedWrite } from "../journal/postgres-transcripts.ts";
import { CLUSTER_TABLES } from "./cluster-tables.ts";
import { fenceEpochs } from "./epoch-fence.ts";
import type { Holdings } from "./holdings.ts";

/** The transcripts of global sessions, as one run of a node may read and write them. */
export interface GlobalTranscripts {
  /**
   * The option `sessionStore` of the session of this canonical name. It has what every node has written, wherever it works.
   * `append` and `delete` reject with `NOT_OWNER`, and leave nothing, if the node does not own the session under the epoch
   * under which it did when they were called.
   */
  storeOf(key: string): Required<SessionStore>;
  /** Lets what is under way come to its end, and closes the connections. */
  close(): Promise<void>;
}

/** Under which project the transcripts of all global sessions are: the SDK's names the directory, which nodes may not share. */
const PROJECT = "global";

/**
 * Keeps the transcripts of global sessions, as {@link postgresSessionStore} does. Each entry is stored with the epoch under which
 * it was written.
 *
 * @param boot has joined the engine
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function globalTranscripts(options: PostgresOptions, boot: string, holdings: Holdings): GlobalTranscripts {
  const desk = new PostgresTranscriptDesk(postgresPlace(options), [CLUSTER_TABLES]);
  const fenced = (key: string): FencedWrite => {
    const epoch = holdings.epochOf(key);
    if (epoch === undefined) {
      throw new CastellanError("NOT_OWNER", `This node does not own the session ${key}.`);
    }
    return { epoch, fence: (query) => fenceEpochs(query, boot, new Map([[key, epoch]])) };
  };
  return {
    storeOf: (key) => desk.store({ project: PROJECT, fenced: () => fenced(key) }),
    close: () => desk.close(),
  };
}
